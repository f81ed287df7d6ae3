"""A decision split over its strategies: what is said of it, with and without sizes solved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.allocate import situation
from coordinator.core.booked import sized, sleeves_booked
from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.decide import close_round
from coordinator.core.engine import Engine
from coordinator.core.objectives import Expenses
from coordinator.core.ports import Allocation, AllocationProblem, Allocator
from coordinator.core.state import Round
from coordinator.core.virtual import amount_of
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from coordinator.solver import CvxAllocator, SolverSettings
from schemas.decisions import AllocationDecided, ConflictKind, ConflictsDetected
from schemas.sleeves import SleevesBooked
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    contents,
    engine,
    events_of,
    lay,
    only,
    run,
    state_after,
    zero_clock,
)
from tests.recorded import end_of, recorded
from tests.unit.core.planted import view

AT = T0 + HOUR
MANDATE = {"position_min": -0.5, "position_max": 0.5, "gross_max": 1.5, "volatility_max": 0.252}

HOUSE_MAX = 0.02


def world(how: str = "books", **terms: Any) -> tuple[Inputs, list[Input]]:
    """s wants A, u is against it and wants B."""
    make = Inputs()
    mode = {"mode": "aggressive", "risk_aversion": 3.0, "house_max": HOUSE_MAX}
    changed = {"sleeves": how, "skill_prior": 0.2, "modes": [mode]}
    made = [make.make("control", "ParametersChanged", T0, parameters=changed)]
    made += [make.listed("A"), make.listed("B"), make.registered("s", **terms)]
    made += [make.registered("u"), make.opened("p", mandate=MANDATE, mode="aggressive")]
    made.append(make.close({"A": 10.0, "B": 20.0}, T0 + SECOND))
    made.append(make.signal("s", "A", AT, confidence=1.0))
    made.append(make.signal("u", "A", AT, direction=-1, confidence=0.6))
    return make, [*made, make.signal("u", "B", AT, confidence=0.9)]


def test_off_nothing_is_said_and_books_change_no_decision() -> None:
    logs = [run(world(how)[1], end=T0 + DAY) for how in ("off", "books")]
    assert events_of(logs[0], SleevesBooked) == []
    off, books = ([e.model_dump() for e in events_of(log, AllocationDecided)] for log in logs)
    for one, other in zip(off, books, strict=True):
        assert one.pop("identity") != other.pop("identity")  # the parameters' hash
        assert one == other


def test_what_a_decision_means_to_each_strategy_adds_up() -> None:
    log = run(world()[1], end=T0 + DAY)
    (decided,), (booked,) = events_of(log, AllocationDecided), events_of(log, SleevesBooked)
    assert (booked.decision_id, booked.sized_by) == (decided.decision_id, "split")
    own, other = booked.strategies
    assert (own.strategy, other.strategy) == ("s/s", "u/u")
    weight = np.array(booked.prices) / float(booked.nav)
    trades = np.array([own.units, other.units]) * weight
    assert np.abs(trades).sum(axis=1) == pytest.approx([own.gross, other.gross])
    for line in booked.strategies:
        assert line.crossed + line.housed + line.sent == pytest.approx(line.gross, abs=1e-12)
    assert own.crossed == pytest.approx(other.crossed)
    assert own.crossed == pytest.approx(min(trades[0][0], -trades[1][0]))
    costs = {"buy": 0.0003, "sell": 0.0003}  # three basis points by default
    gross, net = np.abs(trades).sum(axis=0), np.abs(trades.sum(axis=0))
    kappa = decided.cost / sum(abs(trade.weight) for trade in decided.trades)
    assert kappa == pytest.approx(sum(costs.values()) / 2)
    assert booked.saved == pytest.approx(kappa * (gross - net).sum())
    assert own.credit + other.credit == pytest.approx(booked.saved, abs=1e-15)
    bought = {trade.instrument: trade.weight for trade in decided.trades}
    house = sum(
        abs(bought[name] - moved)
        for name, moved in zip(booked.instruments, trades.sum(axis=0).tolist(), strict=True)
    )
    assert booked.house_weight == pytest.approx(house, abs=1e-12)


def test_impact_that_a_decision_expects_to_pay_is_saved_too() -> None:
    state = state_after(world()[1][:-3])
    portfolio = state.portfolios["p"]
    for source, direction in (("s", 1), ("u", -1)):
        said = view(source=source, strategy=source, direction=direction, confidence=0.9)
        state.views[said.key] = said
    portfolio.round = Round("signals", state.clock)
    risk = ChosenRisk()
    allocator = CvxAllocator(SolverSettings())
    said_by = close_round(state, portfolio, allocator=allocator, risk_model=risk)
    decided = next(one for one in said_by if isinstance(one, AllocationDecided))
    found = situation(state, portfolio, risk)
    assert found is not None
    sizes = sized(found, allocator.allocate(found.problem))
    none = replace(found, aims=replace(found.aims, expenses=Expenses()))
    paid = replace(found.aims, expenses=Expenses(impact=np.full(len(found.problem.mu), 0.2)))
    plain = sleeves_booked(state, portfolio, none, sizes, decided)
    dear = sleeves_booked(state, portfolio, replace(found, aims=paid), sizes, decided)
    assert plain is not None
    assert dear is not None
    trades = np.array([line.units for line in plain.strategies]) * plain.prices / float(plain.nav)
    gross, net = np.abs(trades).sum(axis=0), np.abs(trades.sum(axis=0))
    more = 0.2 * (gross**1.5 - net**1.5).sum()
    assert more > 0.0
    assert dear.saved - plain.saved == pytest.approx(more)
    assert sum(line.credit for line in dear.strategies) == pytest.approx(dear.saved)


def test_a_strategy_whose_views_are_gone_closes_its_book() -> None:
    make, inputs = world()
    later = AT + HOUR
    inputs += [make.signal("u", name, later, direction=0) for name in ("A", "B")]
    log = run(inputs, end=T0 + DAY)
    last = events_of(log, SleevesBooked)[-1]
    gone = last.strategies[1]
    assert (gone.strategy, gone.size, gone.wished, gone.size_max) == ("u/u", 0.0, 0.0, None)
    assert gone.gross > 0.0
    inputs.append(make.signal("s", "A", later + HOUR, confidence=0.9))
    closed = events_of(run(inputs, end=T0 + DAY), SleevesBooked)[-1].strategies[1]
    assert (closed.strategy, closed.gross) == ("u/u", 0.0)  # told while an order of its waits


def test_a_second_round_before_the_fills_counts_what_is_on_the_way() -> None:
    make, inputs = world()
    log = run([*inputs, make.signal("s", "A", AT + SECOND, confidence=1.0)], end=T0 + DAY)
    first, second = events_of(log, SleevesBooked)
    assert first.strategies[0].gross > 0.1
    assert second.strategies[0].gross < 1e-4


def test_sizes_that_were_solved_are_the_books_and_the_house_keeps_its_bound() -> None:
    inputs = world("budgets", risk_budget=0.3)[1]
    log = run(inputs, end=T0 + DAY)
    (booked,) = events_of(log, SleevesBooked)
    assert booked.sized_by == "solver"
    own, other = booked.strategies
    assert own.size_max == pytest.approx(0.3 * 0.252 / 252**0.5)
    assert own.size == pytest.approx(own.size_max, rel=1e-4)  # it wishes for more
    assert other.size_max is None
    assert booked.house_weight <= HOUSE_MAX + 1e-3
    (free,) = events_of(run(world("books")[1], end=T0 + DAY), AllocationDecided)
    (decided,) = events_of(log, AllocationDecided)
    assert decided.after.gross < free.after.gross - 0.05


def test_sizes_that_no_answer_has_are_fitted_within_budgets() -> None:
    for inputs in (world("books", risk_budget=0.3)[1], world("budgets", risk_budget=0.3)[1]):
        (booked,) = events_of(run(inputs, make=sizeless, end=T0 + DAY), SleevesBooked)
        assert booked.sized_by == "split"
        assert 0.0 < booked.strategies[0].size <= (booked.strategies[0].size_max or 0.0)


class Sizeless:
    """An allocator that answers without sizes, as one of the lower rungs may."""

    def __init__(self, of: Allocator) -> None:
        self._of = of

    def allocate(self, problem: AllocationProblem) -> Allocation:
        return replace(self._of.allocate(problem), sizes=np.zeros(0))


def sizeless(shard: int, shards: int) -> Engine:
    made = engine(shard, shards)
    made._allocator = Sizeless(made._allocator)
    return made


def test_a_conflict_with_a_budget_that_is_kept_says_how_much_of_how_much() -> None:
    most = 0.01 * 0.252 / 252**0.5
    kept = run(world("budgets", risk_budget=0.01)[1], end=T0 + DAY)
    told = only_budget(events_of(kept, ConflictsDetected))
    assert told.startswith(f"budget of s/s kept: volatility {most:.3%} of at most {most:.3%} ")
    assert "A: together" in told
    fitted = run(world("books", risk_budget=0.01)[1], end=T0 + DAY)
    assert "kept" not in only_budget(events_of(fitted, ConflictsDetected))


def only_budget(found: list[ConflictsDetected]) -> str:
    lines = [one for event in found for one in event.conflicts if one.kind is ConflictKind.BUDGET]
    (line,) = lines
    return line.resolution


def test_fills_and_closes_make_gains_of_strategies_that_add_up_to_the_portfolios() -> None:
    make, inputs = world()
    decided = events_of(run(inputs, end=AT + SECOND), AllocationDecided)[0]
    for trade in decided.trades:
        inputs.append(
            make.fill("p", trade.instrument, f"{trade.quantity:f}", f"{trade.price}", AT + SECOND,
                      trade_id=trade.trade_id, fee="3")
        )  # fmt: skip
    state = state_after([*inputs, make.prices({"A": 11.0, "B": 19.0}, AT + 2 * SECOND)])
    books = state.virtual["p"].books
    for book in books.values():
        gain = sum(
            amount_of(units) * {"A": 11, "B": 19}[name] for name, units in book.units.items()
        ) + sum(map(amount_of, book.cash.values()))
        moved = float(amount_of(book.units["A"])) - float(amount_of(book.units["B"]))
        assert float(gain) == pytest.approx(moved, abs=6.0)  # less its part of two fees
        assert float(gain) < moved
    assert books["s/s"].credit == pytest.approx(books["u/u"].credit)
    assert books["s/s"].credit > 0.0


def test_a_restored_engine_goes_on_as_if_nothing_had_happened() -> None:
    inputs = recorded(5)
    whole = run(inputs, end=end_of(inputs))
    said = events_of(whole, SleevesBooked)
    assert len(said) > 10
    assert sum(event.saved for event in said) > 0.0
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=end_of(inputs))
    first = engine(0, 1)
    records = list(log.read("journal", 0))
    half = len(records) // 2
    out = [entry for record in records[:half] for entry in first.step(record)]
    assert any(books.shares for books in first.state.virtual.values())
    second = engine(0, 1)
    second.restore(first.checkpoint())
    assert encode_state(decode_state(first.checkpoint())) == first.checkpoint()
    out += [entry for record in records[half:] for entry in second.step(record)]
    assert out == [record.payload for record in whole.read("decisions", 0)]


def test_books_do_not_depend_on_the_number_of_shards() -> None:
    inputs = recorded(5)
    one, many = (run(inputs, shards=n, end=end_of(inputs)) for n in (1, 3))
    kinds = ("SleevesBooked",)
    assert only(contents(one, shards=1), kinds) == only(contents(many, shards=3), kinds)

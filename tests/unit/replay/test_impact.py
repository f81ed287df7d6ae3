"""Impact asked of a log: of trades, of what would be decided, of decisions from their own state."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.core.state import Portfolio, State
from coordinator.log.memory import MemoryLog
from coordinator.quality.impact import Analysis, LimitLine
from coordinator.quality.reasons import explain_decision
from replay.errors import CannotMeasure
from replay.impact import Order, asked, of_decision, would_decide
from replay.problems import situation_at
from replay.standing import Moment, standing
from schemas.decisions import AllocationDecided
from schemas.impact import Impact
from tests.golden.record import SHARDS, golden_log
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run, state_after
from tests.recorded import end_of, recorded

INPUTS = recorded(3)
LOG = run(INPUTS, end=end_of(INPUTS))
DECISIONS = events_of(LOG, AllocationDecided)


def as_decided(told: Analysis, decision: AllocationDecided) -> None:
    """The analysis is of the very weights, risk, limits and costs that were recorded."""
    assert not any(remark.startswith("this build") for remark in told.remarks)
    assert told.at == decision.decided_at
    assert told.cost == pytest.approx(decision.cost, abs=1e-15)
    assert told.turnover == pytest.approx(decision.turnover, abs=1e-12)
    sides = ((told.before, decision.before, decision.impact_before),
             (told.after, decision.after, decision.impact_after))  # fmt: skip
    for side, profile, impact in sides:
        assert isinstance(impact, Impact)
        assert side.expected_return == pytest.approx(profile.expected_return, abs=1e-15)
        assert side.volatility == pytest.approx(profile.volatility, abs=1e-15)
        assert side.cash == pytest.approx(profile.cash, abs=1e-12)
        assert side.positions == profile.positions
        assert side.volatility_year == pytest.approx(impact.volatility_year, abs=1e-15)
        for line, found in zip(impact.factors, side.factors, strict=True):
            assert found.exposure == pytest.approx(line.exposure, abs=1e-12)


def test_every_recorded_decision_is_measured_from_the_state_that_it_was_made_from() -> None:
    for decision in DECISIONS[::3]:
        told = of_decision(LOG, explain_decision(LOG, decision.decision_id))
        as_decided(told, decision)
        units = {one.instrument: one.quantity for one in told.names if one.quantity}
        assert units == {one.instrument: one.quantity for one in decision.trades}


def test_a_hard_limit_that_is_broken_after_a_decision_is_the_one_that_it_tells_of() -> None:
    seen = 0
    for decision in DECISIONS[::3]:
        told = of_decision(LOG, explain_decision(LOG, decision.decision_id))
        hard = [one for one in told.limits if one.priority is None]
        after = max((one.given_after for one in hard), default=0.0)
        before = max((one.given_before for one in hard), default=0.0)
        # A violation is of a row over its largest coefficient, which is 2.5 for a factor here.
        assert after == pytest.approx(decision.solver.violation, abs=1e-7)
        assert before == pytest.approx(decision.solver.violation_before, abs=1e-7)
        seen += before > 0.0
    assert seen


def test_of_a_log_of_another_build_that_leads_to_the_same_problem_weights_are_as_recorded() -> None:
    _, log = golden_log()
    decisions = events_of(log, AllocationDecided, shards=SHARDS)
    for decision in decisions[:2]:
        told = of_decision(log, explain_decision(log, decision.decision_id))
        assert told.turnover == pytest.approx(decision.turnover, abs=1e-9)
        assert told.after.gross == pytest.approx(decision.after.gross, abs=1e-9)


def test_what_would_be_decided_is_what_was_decided_from_the_same_state() -> None:
    for decision in DECISIONS[1::7]:
        state, portfolio, _ = situation_at(LOG, decision.decision_id)
        told = would_decide(state, portfolio)
        units = {one.instrument: one.quantity for one in told.names if one.quantity}
        assert units == {one.instrument: one.quantity for one in decision.trades}
        as_decided(told, decision)


# -- trades that somebody asks about ---------------------------------------------------------------

NAMES = ("A", "B", "C")


def world(**mandate: Any) -> State:
    """1,000 of A in lots of 10 and 50 of B; C is not held, E is in EUR, X has no price."""
    make = Inputs()
    inputs: list[Input] = [make.listed("A", sector="t", lot="10"), make.listed("B", sector="t")]
    inputs += [make.listed("C", lot="0"), make.listed("E", currency="EUR"), make.listed("X")]
    terms = {"position_min": -0.2, "position_max": 0.3, **mandate}
    inputs += [make.registered("s"), make.opened("p", cash="100000", mandate=terms)]
    prices = {"A": 20.0, "B": 40.0, "C": 8.0, "E": 5.0}
    inputs += [make.close(prices, T0 + n * DAY + HOUR) for n in range(3)]
    inputs.append(make.fill("p", "A", "1000", "20", T0 + 3 * DAY))
    inputs.append(make.fill("p", "B", "50", "40", T0 + 3 * DAY + SECOND))
    return state_after(inputs, follows=True)


def ask(state: State, *orders: Order) -> Analysis:
    return asked(state, state.portfolios["p"], orders)


def weight(name: str, share: str, *, target: bool = False) -> Order:
    return Order(name, Decimal(share), is_weight=True, is_target=target)


def units(name: str, count: str, *, target: bool = False) -> Order:
    return Order(name, Decimal(count), is_weight=False, is_target=target)


@pytest.mark.parametrize(
    ("order", "quantity"),
    [
        (units("A", "-30"), "-30"),
        (units("A", "200", target=True), "-800"),
        (weight("A", "0.0015"), "0"),
        (weight("A", "0.0171"), "80"),
        (weight("A", "-0.0171"), "-80"),
        (weight("A", "0.1", target=True), "-500"),
        (weight("A", "0", target=True), "-1000"),
        (weight("C", "0.00001"), "0.125"),
        (weight("C", "-0.05", target=True), "-625"),
        (weight("B", "0.02", target=True), "0"),
    ],
)
def test_an_order_is_so_many_units_whole_lots_where_it_is_a_weight(
    order: Order, quantity: str
) -> None:
    found = ask(world(), order)
    (line,) = (one for one in found.names if one.instrument == order.instrument)
    assert line.quantity == Decimal(quantity)
    price = {"A": 20.0, "B": 40.0, "C": 8.0}[order.instrument]
    assert line.trade == pytest.approx(float(quantity) * price / 100_000)
    assert line.weight_after == pytest.approx(line.weight_before + line.trade)


def test_what_no_decision_would_trade_is_remarked() -> None:
    state = world(trade_min=0.01)
    assert "no whole multiple of 10" in ask(state, units("A", "515")).remarks[0]
    assert "1.7100% is 1.6000% in whole lots" in ask(state, weight("A", "0.0171")).remarks[0]
    assert "less than trade_min" in ask(state, units("B", "1")).remarks[0]
    assert ask(state, units("A", "0", target=True), units("B", "30")).remarks == ()


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (weight("A", "0.0015"), "A: nothing is traded: 0.1500% is less than a lot of 10"),
        (weight("A", "0.2001", target=True), "A: nothing is traded: 20.0100% is less than a lot"),
        (weight("C", "-0.0000000000001"), "C: nothing is traded: -0.0000% is less than a lot"),
        (units("C", "0", target=True), "C: nothing is traded: nothing of it is held"),
        (weight("C", "0", target=True), "C: nothing is traded: nothing of it is held"),
        (units("B", "50", target=True), "B: nothing is traded: 50 are held already"),
    ],
)
def test_a_request_that_comes_to_nothing_is_remarked(order: Order, says: str) -> None:
    (remark,) = ask(world(), order).remarks
    assert remark.startswith(says)


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (units("AA", "1"), "no instrument 'AA' is listed at that moment; did you mean A"),
        (units("X", "1"), "'X' has no price"),
        (units("E", "1"), "no exchange rate leads from EUR to USD"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(order: Order, says: str) -> None:
    with pytest.raises(CannotMeasure, match=says):
        ask(world(), order)


def test_one_instrument_is_asked_about_once() -> None:
    with pytest.raises(CannotMeasure, match="'A' is asked about twice"):
        ask(world(), units("A", "10"), weight("A", "0.1", target=True))


def line_of(found: Analysis, limit: str) -> LimitLine:
    (line,) = (one for one in found.limits if one.limit == limit)
    return line


@pytest.mark.parametrize(
    ("mandate", "orders", "limit", "about", "used", "given"),
    [
        ({}, [units("B", "1000")], "position_max", "B", 0.42, 0.12),
        ({}, [units("A", "-4500")], "position_min", "A", -0.7, 0.5),
        ({"gross_max": 0.5}, [units("C", "-5000")], "gross_max", None, 0.62, 0.12),
        ({"turnover_max": 0.1}, [units("C", "3000")], "turnover_max", None, 0.12, 0.02),
        ({"net_max": 0.3}, [units("C", "2000")], "net_max", None, 0.38, 0.08),
        ({"restricted": ["C"]}, [units("C", "100")], "restricted", "C", 0.008, 0.008),
        ({"universe": ["A", "B"]}, [units("C", "100")], "universe", "C", 0.008, 0.008),
        ({"volume_share_max": 0.001}, [units("B", "1100")], "volume_share_max", "B", 0.44, 0.04),
        (
            {"sectors": [{"sector": "t", "max": 0.25}]},
            [units("B", "100")], "sectors", "t", 0.26, 0.01,
        ),
        (
            {"sectors": [{"sector": "t", "max": 0.25}],
             "soft": [{"limit": "sectors", "priority": 2}]},
            [units("B", "100")], "sectors", "t", 0.26, 0.01,
        ),
        (
            {"factors": [{"factor": "market", "min": 0.1}]},
            [units("A", "0", target=True)], "factors", "market", 0.02, 0.08,
        ),
        (
            {"must_hold": [{"instrument": "A", "min": 0.15}]},
            [units("A", "-500")], "must_hold", "A", 0.1, 0.05,
        ),
    ],
)  # fmt: skip
def test_a_limit_that_the_trades_break_is_told_with_by_how_much(
    mandate: dict[str, Any],
    orders: list[Order],
    limit: str,
    about: str | None,
    used: float,
    given: float,
) -> None:
    state = world(**mandate)
    line = line_of(ask(state, *orders), limit)
    assert (line.about, line.priority) == (about, 2 if mandate.get("soft") else None)
    assert line.used_after == pytest.approx(used, abs=1e-6)
    assert line.given_after == pytest.approx(given, abs=1e-6)
    assert line.given_before == 0.0
    nothing = ask(state, units("A", "1000", target=True))
    assert nothing.limits == ()


def test_cash_below_the_floor_counts_costs() -> None:
    line = line_of(ask(world(), units("A", "5000"), units("B", "1000")), "cash_floor")
    assert line.used_after == pytest.approx(0.78 - 1.4 * 1.0003)
    assert line.given_after == pytest.approx(-line.used_after)


def test_a_limit_that_was_broken_and_is_mended_is_told() -> None:
    line = line_of(ask(world(position_max=0.15), units("A", "500", target=True)), "position_max")
    assert (line.given_before, line.given_after) == pytest.approx((0.05, 0.0))


def test_trades_of_a_halted_instrument_break_what_it_lets_trade() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p"), make.close({"A": 10.0}, T0 + HOUR)]
    inputs.append(make.make("market", "InstrumentHalted", T0 + 2 * HOUR, instrument="A"))
    found = ask(state_after(inputs, follows=True), units("A", "100"))
    assert line_of(found, "trade_max").given_after == pytest.approx(0.001)


def told_of(*more: Callable[[Inputs], Input]) -> tuple[State, Portfolio]:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.opened("p", cash="1000")]
    state = state_after([*inputs, *(one(make) for one in more)], follows=True)
    return state, state.portfolios["p"]


def test_a_portfolio_without_value_or_with_unpriced_holdings_is_refused() -> None:
    with pytest.raises(CannotMeasure, match="no price or no exchange rate: A"):
        would_decide(*told_of(lambda make: make.fill("p", "A", "5", "10", T0 + HOUR)))
    with pytest.raises(CannotMeasure, match="worth nothing"):
        would_decide(*told_of(lambda make: make.moved("p", "-1000", T0 + HOUR, kind="withdrawal")))
    with pytest.raises(CannotMeasure, match="there is nothing to decide"):
        would_decide(*told_of())


def test_a_portfolio_that_decides_nothing_any_more_says_so() -> None:
    state, portfolio = told_of(
        lambda make: make.close({"A": 10.0, "B": 5.0}, T0 + HOUR),
        lambda make: make.make("portfolios", "PortfolioClosed", T0 + 2 * HOUR, portfolio="p"),
    )
    (remark,) = asked(state, portfolio, [units("A", "10")]).remarks
    assert remark.startswith("the portfolio is closed")


def test_trades_begin_from_what_is_held_and_what_was_decided_and_not_filled() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s")]
    inputs.append(make.opened("p", mandate={"position_max": 0.5}, mode="aggressive"))
    inputs += [make.close({"A": 10.0}, T0 + SECOND)]
    inputs.append(make.signal("s", "A", T0 + HOUR, strength=0.9, confidence=1.0))
    log: MemoryLog = run(inputs, end=T0 + 2 * HOUR)
    (decision,) = events_of(log, AllocationDecided)
    state = standing(log, 0, Moment()).state
    (target,) = decision.targets
    gone = ask(state, weight("A", "0", target=True))
    (line,) = gone.names
    assert line.quantity == -target.quantity
    assert line.weight_before == pytest.approx(target.weight)
    assert gone.before.cash == pytest.approx(1.0 - target.weight)
    assert np.isclose(gone.after.gross, 0.0, atol=1e-12)

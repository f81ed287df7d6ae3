"""Conflicts: opposite opinions, apart in time, on names that move together, against the mandate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from coordinator.core.conflicts import Conflict, find_conflicts, opinions_apart
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.state import Source
from schemas.control import Parameters, SourceRegistered, StrategyRegistered
from schemas.decisions import ConflictKind
from tests.unit.core.planted import Scored, alike, board_of, combined, view

EVERYTHING = Parameters(conflict_severity_min=0.0)


def source(**terms: object) -> Source:
    return Source(SourceRegistered.model_validate({"event_id": "1", "event_time": 0, **terms}))


NO_BUDGETS = {name: source(source=name) for name in "abcdsu"}


def problem(covariance: Floats, mu: Floats) -> AllocationProblem:
    n = len(covariance)
    flat = np.zeros(n)
    return AllocationProblem(
        instruments=tuple(f"N{i}" for i in range(n)), nav=1e6, mu=mu, covariance=covariance,
        risk_aversion=5.0, filled=flat, working_buys=flat, working_sells=flat, cash=1.0,
        lot_weight=flat, exit_odd_lot=flat > 0, cost_buy=flat, cost_sell=flat, trade_max=flat + 1.0,
        position_min=flat - 0.5, position_max=flat + 0.5, gross_max=100.0, cash_floor=0.0,
        turnover_max=1.0, trade_min=0.0,
    )  # fmt: skip


def row(
    pick: int, source: str, score: float, *, skill: float = 0.1, horizon: float = 5.0
) -> Scored:
    return Scored(view(instrument=f"N{pick}", source=source, horizon=horizon), pick, score, skill)


def conflicts(
    rows: list[Scored],
    *,
    correlation: float = 0.0,
    parameters: Parameters = EVERYTHING,
    sources: Mapping[str, Source] = NO_BUDGETS,
    **limits: object,
) -> list[Conflict]:
    covariance = 4e-4 * np.array([[1.0, correlation], [correlation, 1.0]])
    mixed = combined(board_of(rows, width=2), covariance, prior=np.zeros(2), correlation=0.0)
    changed = replace(problem(covariance, mixed.mu), **limits)  # type: ignore[arg-type] # by name
    apart = opinions_apart(mixed, covariance, alike(mixed.board, 0.0), parameters)
    return find_conflicts(apart, mixed, changed, sources, parameters, rates={"EUR": 2.0})


def test_opposite_opinions_on_a_name_conflict_and_agreeing_ones_do_not() -> None:
    (found,) = conflicts([row(0, "a", 1.0), row(0, "b", -1.0)])
    assert (found.kind, found.picks, found.rows) == (ConflictKind.OPPOSITE_DIRECTION, (0,), (0, 1))
    assert conflicts([row(0, "a", 1.0), row(0, "b", 0.5)]) == []


def test_surer_opinions_conflict_more_severely() -> None:
    severities = [conflicts([row(0, "a", s), row(0, "b", -s)])[0].severity for s in (0.1, 1.0, 2.5)]
    assert severities == sorted(severities)
    assert 0.0 < severities[0] < severities[-1] < 1.0


def test_opposite_opinions_for_far_apart_horizons_may_both_be_right() -> None:
    (found,) = conflicts([row(0, "a", 1.0, horizon=2.0), row(0, "b", -1.0, horizon=6.0)])
    assert found.kind is ConflictKind.HORIZON


def test_an_opposite_view_of_which_much_more_is_over_is_stale_beside_a_fresh_one() -> None:
    fresh = row(0, "a", 1.0)
    kinds = [
        conflicts([fresh, row(0, "b", -1.0)._replace(left=left)])[0].kind
        for left in (0.9, 0.51, 0.5, 0.1)
    ]
    assert kinds == [ConflictKind.OPPOSITE_DIRECTION] * 2 + [ConflictKind.STALE] * 2
    wider = Parameters(conflict_severity_min=0.0, conflict_stale_share=0.0)
    (found,) = conflicts([fresh, row(0, "b", -1.0)._replace(left=0.1)], parameters=wider)
    assert found.kind is ConflictKind.OPPOSITE_DIRECTION


def test_wishes_beyond_a_strategys_capital_are_a_conflict_with_it() -> None:
    rows = [row(0, "a", 2.0), row(1, "b", 2.0)]
    alone = 2.0 * 0.1 / (5.0 * 0.02)  # skill score sigma / (gamma sigma^2), of 1e6 money
    for capital, severity in (("500000", 1.0 - 0.5 / alone), ("1", 1.0 - 1e-6 / alone)):
        known = {**NO_BUDGETS, "a": source(source="a", capital=Decimal(capital))}
        (found,) = conflicts(rows, sources=known)
        assert (found.kind, found.picks, found.rows) == (ConflictKind.BUDGET, (0,), (0,))
        assert found.severity == pytest.approx(severity)
    enough = {**NO_BUDGETS, "a": source(source="a", capital=Decimal(2_000_001))}
    assert conflicts(rows, sources=enough) == []


def test_wishes_beyond_a_strategys_share_of_the_risk_are_a_conflict_with_it() -> None:
    rows = [row(0, "a", 2.0), row(1, "b", 1.0)]  # of five parts of risk a's are four
    known = {**NO_BUDGETS, "a": source(source="a", risk_budget=0.5)}
    (found,) = conflicts(rows, sources=known)
    assert found.kind is ConflictKind.BUDGET
    assert found.severity == pytest.approx(1.0 - 0.5 / 0.8)
    enough = {**NO_BUDGETS, "a": source(source="a", risk_budget=0.81)}
    assert conflicts(rows, sources=enough) == []


def test_a_strategys_own_budget_counts_before_its_sources() -> None:
    known = {**NO_BUDGETS, "a": source(source="a", capital=Decimal(1))}
    terms = {"event_id": "1", "event_time": 0, "source": "a", "strategy": "s"}
    known["a"].by_strategy["s"] = StrategyRegistered.model_validate(
        terms | {"capital": Decimal(10**9)}
    )
    assert conflicts([row(0, "a", 2.0)], sources=known) == []


def test_capital_is_compared_in_its_own_currency_and_not_without_a_rate() -> None:
    rows = [row(0, "a", 2.0)]  # two millions of wishes
    for currency, told in (("EUR", 0), ("JPY", 0), (None, 1)):
        terms = {"source": "a", "capital": Decimal(1_000_001), "capital_currency": currency}
        assert len(conflicts(rows, sources={"a": source(**terms)})) == told


def test_strategies_without_a_budget_of_their_own_share_their_sources() -> None:
    known = {"a": source(source="a", capital=Decimal(3_000_000))}
    first, second = (
        Scored(view(instrument=f"N{i}", source="a", strategy=f"t{i}"), i, 2.0, 0.1) for i in (0, 1)
    )
    assert conflicts([first], sources=known) == []
    (found,) = conflicts([first, second], sources=known)
    assert (found.kind, found.rows) == (ConflictKind.BUDGET, (0, 1))


def test_an_instrument_without_room_is_one_conflict_with_those_who_wish_it() -> None:
    """Whether they speak of it alone or in a pair."""
    plain = row(0, "a", 1.5)
    pair = row(0, "b", 1.5)._replace(legs=((1, 1.0),))
    made = conflicts([plain, pair], filled=np.array([0.5, 0.0]))
    found = [one for one in made if one.kind is ConflictKind.MANDATE and one.picks == (0,)]
    assert [one.rows for one in found] == [(0, 1)]
    assert all(one.signals for one in made)


def test_a_pair_and_its_reverse_conflict() -> None:
    forth = row(0, "a", 1.5)._replace(legs=((1, 1.0),))
    back = row(1, "b", 1.5)._replace(legs=((0, 1.0),))
    (found,) = conflicts([forth, back])
    assert (found.kind, found.picks) == (ConflictKind.CORRELATED_INSTRUMENTS, (0, 1))
    assert found.rows == (0, 1)


@pytest.mark.parametrize(("correlation", "found"), [(0.9, 1), (0.5, 0), (-0.9, 0)])
def test_names_that_move_together_and_are_judged_apart_conflict(
    correlation: float, found: int
) -> None:
    rows = [row(0, "a", 1.5), row(1, "b", -1.5)]
    made = conflicts(rows, correlation=correlation)
    assert [c.kind for c in made] == [ConflictKind.CORRELATED_INSTRUMENTS] * found


def test_names_that_move_against_each_other_and_are_judged_alike_conflict() -> None:
    made = conflicts([row(0, "a", 1.5), row(1, "b", 1.5)], correlation=-0.9)
    assert [c.picks for c in made] == [(0, 1)]


def test_a_wish_that_the_mandate_has_no_room_for_is_a_conflict_with_it() -> None:
    (short,) = conflicts(
        [row(0, "a", -1.0)], position_min=np.full(2, -0.1), filled=np.full(2, -0.1)
    )
    (buy,) = conflicts([row(0, "a", 1.0)], filled=np.array([0.5, 0.0]))
    assert {short.kind, buy.kind} == {ConflictKind.MANDATE}


@pytest.mark.parametrize("held", [0.0, 0.1])
def test_selling_what_is_held_or_what_is_not_there_is_no_conflict(held: float) -> None:
    flat = np.zeros(2)
    assert conflicts([row(0, "a", -1.0)], position_min=flat, filled=flat + held) == []


def test_wishes_that_exceed_the_gross_limit_together_are_a_conflict_of_capacity() -> None:
    rows = [row(0, "a", 2.5, skill=0.4), row(1, "b", 2.5, skill=0.4)]
    (found,) = conflicts(rows, gross_max=0.6)
    assert found.kind is ConflictKind.CAPACITY
    assert found.severity == pytest.approx(1 - 0.6 / 1.0)


def test_conflicts_come_severest_first_and_mild_ones_are_left_out() -> None:
    rows = [row(0, "a", 0.1), row(0, "b", -0.1), row(1, "a", 2.5), row(1, "b", -2.5)]
    both = conflicts(rows)
    assert [c.picks for c in both] == [(1,), (0,)]
    between = (both[0].severity + both[1].severity) / 2
    assert conflicts(rows, parameters=Parameters(conflict_severity_min=between)) == both[:1]


def test_without_opinions_there_is_no_conflict() -> None:
    assert conflicts([]) == []


def test_a_source_that_contradicts_itself_is_surer_to_be_in_conflict_than_two() -> None:
    two = conflicts([row(0, "a", 1.0), row(0, "b", -1.0)])
    itself = conflicts([row(0, "a", 1.0), row(0, "a", -1.0)])
    assert itself[0].severity > two[0].severity


def test_on_names_that_move_together_a_source_contradicts_itself_more_surely_than_another() -> None:
    two = conflicts([row(0, "a", 1.5), row(1, "b", -1.5)], correlation=0.9)
    itself = conflicts([row(0, "a", 1.5), row(1, "a", -1.5)], correlation=0.9)
    assert itself[0].severity > two[0].severity


def test_of_conflicts_without_number_the_worst_are_told_and_the_others_counted() -> None:
    rows = [row(i, "a", 1.0 + i / 100) for i in range(40)]
    rows += [row(40 + i, "b", -1.0 - i / 100) for i in range(40)]
    covariance = np.full((80, 80), 3.9e-4) + np.diag(np.full(80, 1e-5))
    mixed = combined(board_of(rows), covariance, prior=np.zeros(80), correlation=0.0)
    every, few = (
        opinions_apart(
            mixed, covariance, alike(mixed.board, 0.0),
            Parameters(conflict_severity_min=0.1, conflicts_max=most),
        )
        for most in (10_000, 25)
    )  # fmt: skip
    assert (len(every.conflicts), every.beyond) == (1_600, 0)
    assert (len(few.conflicts), few.beyond) == (25, 1_575)
    worst = sorted(every.conflicts, key=lambda one: (-one.severity, one.picks))[:25]
    assert sorted(few.conflicts, key=lambda one: (-one.severity, one.picks)) == worst

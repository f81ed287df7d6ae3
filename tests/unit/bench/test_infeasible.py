"""The bench of infeasible states: what ours is held to there, and what the table would show."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from tests.bench.infeasible import Case, by_lots, cases, not_told, ours, told, two_trials
from tests.bench.libraries import REMEDY, installed
from tests.support.infeasible_states import STATES


@lru_cache
def every() -> list[Case]:
    return cases()


def test_ours_answers_every_state_and_breaks_no_more_than_it_must() -> None:
    found = told(every(), ours())
    assert found["answered"] == found["states"] == len(STATES)
    assert found["beyond_least_max_by_row"] <= 1e-6
    assert found["worse_than_not_trading"] == []


def test_whole_lots_break_little_more() -> None:
    assert by_lots(every())["beyond_continuous_max_lots"] <= 2.0


def test_the_least_violation_is_none_that_a_search_can_beat() -> None:
    """Random trades that make nothing worse never break less in sum."""
    rng = np.random.default_rng(3)
    for case in every():
        p = case.problem
        for _ in range(50):
            trades = rng.uniform(-1.0, 1.0, len(p.mu)) * np.minimum(p.trade_max, 0.3)
            if (case.excess(trades) <= case.before + 1e-12).all():
                assert case.excess(trades).sum() >= case.least - 1e-8, case.name


def test_holding_and_refusing_are_told_for_what_they_are() -> None:
    held = told(every(), lambda p: np.zeros(len(p.mu)))
    assert held["answered"] == len(STATES)
    assert held["worse_than_not_trading"] == []
    assert len(held["not_kept_to_least"]) > 10

    def refuses(_: object) -> np.ndarray:
        raise ValueError("infeasible")

    refused = told(every(), refuses)
    assert refused["answered"] == 0
    assert len(refused["refused"]) == len(STATES)


def test_the_rule_of_two_trials_answers_and_makes_some_states_worse() -> None:
    found = told(every(), two_trials)
    assert found["answered"] == len(STATES)
    assert found["kept_to_least"] < len(STATES)
    assert found["worse_than_not_trading"]


def test_who_cannot_be_told_a_state_is_said() -> None:
    assert not_told("ours") == []
    assert "sector_over_with_sells_working" in not_told("cvxportfolio")
    assert set(not_told("cvxportfolio")) < set(not_told("skfolio")) < set(STATES)


@pytest.mark.skipif(not installed(), reason=REMEDY)
@pytest.mark.filterwarnings("ignore")
def test_a_peer_solves_what_is_feasible_as_ours_does() -> None:
    from tests.bench.infeasible import cvxportfolio, skfolio  # noqa: PLC0415 - beside their skip

    case = next(one for one in every() if one.name == "sector_over_after_a_rally")
    mine = ours()(case.problem)
    for peer in (cvxportfolio, skfolio(without_limits=False)):
        theirs = peer(case.problem)
        assert case.excess(theirs).max() <= 1e-6
        assert theirs == pytest.approx(mine, abs=0.05)

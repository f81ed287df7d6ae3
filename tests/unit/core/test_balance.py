"""Balance: what pulled on a trade is told in order, and the sum is that of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.balance import Balance, balances
from coordinator.core.decide import close_round
from coordinator.core.ports import Allocation, AllocationProblem, Force
from coordinator.learning import ChosenRisk
from coordinator.solver import CvxAllocator, SolverSettings
from schemas.decisions import AllocationDecided, Target
from tests.journals import events_of, run
from tests.recorded import end_of, recorded
from tests.unit.core.test_bounding import of, planted
from tests.unit.core.test_limit_lines import answer

PULLS = {"opinion": (3e-3, 1e-4), "risk": (-2e-3, -1e-4), "cost": (-1e-3, 0.0)}


def forces(**pulls: Sequence[float]) -> tuple[Force, ...]:
    return tuple(Force(name, np.array(one, dtype=float)) for name, one in pulls.items())


def told(found: tuple[Force, ...], spoken: Sequence[float] = (1.0, 1.0)) -> list[Balance]:
    problem = of(planted()).problem
    return balances(problem, replace(answer(), forces=found), spoken=np.array(spoken))


def test_the_strongest_comes_first_and_nothing_is_not_told() -> None:
    first, second = told(forces(**PULLS))
    assert first.forces == (("opinion", 3e-3), ("risk", -2e-3), ("cost", -1e-3))
    assert second.forces == (("opinion", 1e-4), ("risk", -1e-4))
    assert first.residual == pytest.approx(0.0, abs=1e-18)


def test_what_is_too_weak_to_tell_still_counts_in_the_sum() -> None:
    (first, _) = told(forces(**PULLS, gross_max=(2e-6, 0.0), carry=(5e-7, 0.0)))
    assert [name for name, _ in first.forces] == ["opinion", "risk", "cost"]
    assert first.residual == pytest.approx(2.5e-6)


def test_two_limits_of_one_name_are_told_one_by_one() -> None:
    twice = (*forces(sectors=(1e-3, 0.0)), *forces(sectors=(-2e-3, 0.0)))
    assert told(twice)[0].forces == (("sectors", -2e-3), ("sectors", 1e-3))


def test_a_name_that_nobody_holds_wants_trades_or_speaks_of_is_not_told() -> None:
    state = planted()
    state.portfolios["p"].open_trades.clear()
    problem = of(state).problem
    idle = replace(problem, filled=np.zeros(len(problem.mu)))
    found = balances(idle, replace(answer(n=1), forces=forces(risk=(1e-3,))), spoken=np.zeros(1))
    assert found == [Balance()]
    wanted = replace(answer(n=1), forces=forces(risk=(1e-3,)), continuous=np.array([0.1]))
    assert balances(idle, wanted, spoken=np.zeros(1))[0].residual == 1e-3


@pytest.mark.parametrize("pulls", [(np.nan, 0.0), (np.inf, 1.0), (1e300, 0.0)])
def test_what_is_no_number_explains_nothing_and_spoils_no_decision(pulls: Any) -> None:
    assert told(forces(opinion=pulls)) == [Balance(), Balance()]


class Pulled:
    """The real allocator, with the forces of a problem without limits that bind."""

    def __init__(self, *others: Force) -> None:
        self.inner = CvxAllocator(SolverSettings())
        self.others = others

    def allocate(self, problem: AllocationProblem) -> Allocation:
        found = self.inner.allocate(problem)
        weights = problem.start + found.continuous
        risk = -problem.risk_aversion * (problem.covariance @ weights)
        two = (Force("opinion", problem.mu), Force("risk", risk))
        rest = Force("cost", -(problem.mu + risk))
        return replace(found, forces=(*two, rest, *self.others))


def targets(allocator: Any) -> tuple[Target, ...]:
    state = planted(position_max=0.5)
    events = close_round(state, state.portfolios["p"], allocator=allocator, risk_model=ChosenRisk())
    return next(one for one in events if isinstance(one, AllocationDecided)).targets


def test_a_decision_tells_the_forces_on_its_instruments() -> None:
    for target in targets(Pulled()):
        assert target.residual == pytest.approx(0.0, abs=1e-15)
        assert sum(pull for _, pull in target.forces) == pytest.approx(0.0, abs=1e-5)
        assert dict(target.forces).get("opinion", 0.0) in (target.expected_return, 0.0)


def test_a_decision_whose_allocator_tells_no_forces_has_none() -> None:
    class Silent(Pulled):
        def allocate(self, problem: AllocationProblem) -> Allocation:
            return replace(self.inner.allocate(problem), forces=())

    assert {(one.forces, one.residual) for one in targets(Silent())} == {((), None)}


def real_targets() -> list[tuple[str, Target]]:
    """Of all decisions of busy days by the real allocator, where it tells forces."""
    inputs = recorded(3)
    log = run(inputs, end=end_of(inputs))
    found = [
        (f"{decision.decision_id} {target.instrument}", target)
        for decision in events_of(log, AllocationDecided)
        for target in decision.targets
        if target.residual is not None
    ]
    assert len(found) > 100
    return found


def test_the_real_allocators_forces_add_up_but_beside_a_kink() -> None:
    """An answer may lie so near to no trade that either is as good: there a cost has two pulls."""
    for name, target in real_targets():
        residual = abs(target.residual or 0.0)
        traded = abs(target.weight_wanted - target.weight_before)
        assert residual <= 1e-6 or residual * traded <= 1e-9, name
        assert residual <= 1e-6 or traded < 1e-4, name


def test_the_opinions_force_is_the_expected_return() -> None:
    for name, target in real_targets():
        opinion = dict(target.forces).get("opinion", 0.0)
        assert opinion == pytest.approx(target.expected_return, abs=1e-5), name


def test_the_real_allocators_forces_add_up_everywhere() -> None:
    worst = max(real_targets(), key=lambda one: abs(one[1].residual or 0.0))
    assert abs(worst[1].residual or 0.0) <= 1e-6, worst

"""The bench beside peers: everybody solves one problem, and whose answer counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import Floats
from tests.bench import libraries, sleeves
from tests.bench.peers import OURS, Lap, race, table, turns
from tests.bench.qp import TOLERANCE, Inputs, draw, judge, reference, worth
from tests.bench.stated import (
    CLARABEL,
    OSQP,
    PIQP,
    Solve,
    alone,
    bare,
    clarabel_raw,
    ours,
    piqp_raw,
)

WAYS: dict[str, Callable[[Inputs], Solve]] = {
    "ours": ours(),
    "ours, factors": ours(factored=True),
    "ours, alone": alone(),
    "ours, alone, factors": alone(factored=True),
    "Clarabel": bare(CLARABEL),
    "PIQP": bare(PIQP),
    "OSQP": bare(OSQP),
    "PIQP, factors": bare(PIQP, factored=True),
    "raw PIQP": piqp_raw(),
    "raw PIQP, factors": piqp_raw(factored=True),
    "raw Clarabel": clarabel_raw,
}


@pytest.mark.parametrize("way", WAYS)
def test_everybody_solves_the_same_problem(way: str) -> None:
    """The first round's inputs are what it is made of, the others only what it is given."""
    rounds = list(draw(12, rounds=4))
    solve = WAYS[way](rounds[0])
    for given in rounds:
        assert judge(given, solve(given), reference(given)).worst <= TOLERANCE


def test_rounds_share_their_covariance_and_differ_otherwise() -> None:
    first, second = draw(20, rounds=2)
    assert first.covariance is second.covariance
    assert not np.array_equal(first.mu, second.mu)
    assert not np.array_equal(first.start, second.start)
    for given in (first, second):
        assert given.start.sum() == pytest.approx(1.0, abs=1e-9)
        assert given.start.min() >= 0.0
        assert given.start.max() <= given.cap + 1e-12
        rebuilt = given.factors.T @ given.factors + np.diag(given.rest)
        assert np.allclose(rebuilt, given.covariance, atol=1e-12)


def test_the_judge_sees_what_is_lost_and_what_is_broken() -> None:
    given = next(draw(12, rounds=1))
    best = reference(given)
    held = judge(given, given.start, best)
    assert held.gap == pytest.approx(best - worth(given, given.start))
    assert held.gap > 10 * TOLERANCE
    assert held.violation < 1e-9
    broken = judge(given, given.start * 1.01, best)
    assert broken.violation == pytest.approx(0.01, rel=0.01)
    one = given.start.copy()
    one[int(one.argmax())] += 0.2
    one[int(one.argmin())] -= 0.2
    assert judge(given, one, best).worst > 0.05


def test_impact_is_part_of_the_objective() -> None:
    given = next(draw(12, rounds=1, impact=True))
    assert given.impact is not None
    assert reference(given) < reference(replace(given, impact=None)) - TOLERANCE


def test_an_answer_out_of_tolerance_does_not_count_and_a_failure_is_told() -> None:
    rounds = list(draw(8, rounds=4))

    def fails(given: Inputs) -> Floats:
        raise ArithmeticError("no answer")

    solvers: dict[str, Solve] = {OURS: ours()(rounds[0]), "holds": lambda x: x.start, "no": fails}
    steps: list[int] = []
    laps = race(solvers, rounds, lambda: steps.append(1))
    assert len(steps) == len(rounds)
    assert laps[OURS].counts
    assert not laps["holds"].counts
    assert laps["no"].failed == "ArithmeticError: no answer"
    figures = {name: lap.figures(laps[OURS]) for name, lap in laps.items()}
    assert figures["holds"]["not_at_tolerance"]
    assert figures[OURS]["p50_ratio"] == 1.0
    shown = table({"n=8": {**figures, "best_peer": {}}})
    assert "| no | failed |" in shown
    assert "*" in next(line for line in shown.splitlines() if line.startswith("| holds"))


def test_answers_that_a_solver_writes_over_are_judged_as_they_were() -> None:
    rounds = list(draw(12, rounds=8))
    assert race({OURS: piqp_raw()(rounds[0])}, rounds, lambda: None)[OURS].counts


def test_warm_up_rounds_are_not_counted() -> None:
    rounds = list(draw(8, rounds=5))
    lap = race({OURS: ours()(rounds[0])}, rounds, lambda: None)[OURS]
    assert len(lap.times) == 3
    assert lap.firsts == lap.times[:1]
    assert isinstance(lap, Lap)


@pytest.mark.parametrize(
    ("count", "lengths"), [(1, [1]), (2, [2]), (15, [2, 10, 3]), (22, [2, 10, 10])]
)
def test_turns_are_all_rounds_once_and_those_of_the_warm_up_alone(
    count: int, lengths: list[int]
) -> None:
    found = list(turns(count))
    assert [len(turn) for turn in found] == lengths
    assert [at for turn in found for at in turn] == list(range(count))


@pytest.mark.parametrize("way", ["bare cvxpy, PIQP", "bare cvxpy, Clarabel"])
def test_the_strategies_problem_is_solved_alike(way: str) -> None:
    given = list(sleeves.draw(rounds=2))
    solve = sleeves.solvers(given[0])[way]
    for one in given:
        best = sleeves.reference(one)
        assert sleeves.shortfall(one, *solve(one), best) <= TOLERANCE
        held, nothing = one.inputs.start, np.zeros(len(one.sleeves.names))
        assert sleeves.shortfall(one, held, nothing, best) > 10 * TOLERANCE


@pytest.mark.skipif(not libraries.installed(), reason=libraries.REMEDY)
@pytest.mark.filterwarnings("ignore")
def test_every_library_solves_the_problem_it_is_said_to() -> None:
    rounds = list(draw(12, rounds=3))
    for name, make in libraries.libraries().items():
        solve = make(rounds[0])
        for given in rounds:
            plain = name in libraries.WITHOUT_COSTS
            asked = libraries.without_costs(given) if plain else given
            assert judge(asked, solve(asked), reference(asked)).worst <= TOLERANCE, name


@pytest.mark.skipif(libraries.installed(), reason="the peers are installed")
def test_without_the_peers_it_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="ops/setup --bench"):
        libraries.libraries()

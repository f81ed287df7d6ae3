"""What is learned from a log: who is skilled, inverted or a copy, and what that changes.

Simulated sources of known skill go through an engine that is told nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from coordinator.core.likeness import errors_between
from coordinator.core.match import combine
from coordinator.core.ports import Floats
from coordinator.core.skill import learned_skill, skill_interval
from coordinator.core.state import State
from coordinator.core.views import scored_views
from tests.journals import DAY, HOUR, T0, Inputs, state_after

NAMES = [f"N{i:02d}" for i in range(40)]
SESSIONS = 80
SIGMA = 0.02
Says = Callable[[np.random.Generator, Floats, int], Floats]
"""What a source says of every name, given what will happen and the session."""


def skilled(rho: float) -> Says:
    def says(rng: np.random.Generator, moves: Floats, session: int) -> Floats:
        said: Floats = rho * moves + np.sqrt(1 - rho**2) * rng.standard_normal(len(moves))
        return said

    return says


def drifting(rng: np.random.Generator, moves: Floats, session: int) -> Floats:
    return skilled(0.4 if session < SESSIONS // 2 else -0.4)(rng, moves, session)


KINDS: dict[str, Says] = {
    "good": skilled(0.3), "random": skilled(0.0), "inverted": skilled(-0.3), "drifting": drifting,
}  # fmt: skip


@cache
def learned(*, copies: int = 0, half_life: float = 500.0, seed: int = 1) -> State:
    """An engine's state after all sessions. copies: of the good source, under other names."""
    rng, make = np.random.default_rng(seed), Inputs()
    changed = {"parameters": {"skill_half_life_sessions": half_life}}
    inputs = [make.make("control", "ParametersChanged", T0, **changed)]
    inputs += [make.listed(name) for name in NAMES]
    names = [*KINDS, *(f"copy{n}" for n in range(copies))]
    inputs += [make.registered(name, horizon_sessions=1.0) for name in names]
    prices = np.full(len(NAMES), 100.0)
    for session in range(SESSIONS):
        at = T0 + (session + 1) * DAY
        moves = rng.standard_normal(len(NAMES))
        said = {name: says(rng, moves, session) for name, says in KINDS.items()}
        said |= {name: said["good"] for name in names if name.startswith("copy")}
        for name in names:
            for instrument, score in zip(NAMES, said[name].tolist(), strict=True):
                forecast = max(-1.0, min(1.0, score * SIGMA))
                inputs.append(make.signal(name, instrument, at - HOUR, expected_return=forecast))
        inputs.append(make.close(dict(zip(NAMES, prices.tolist(), strict=True)), at))
        prices = prices * (1 + SIGMA * moves)
    return state_after(inputs, follows=True)


def skill(state: State, name: str) -> float:
    return learned_skill(state.sources[name].skill, 1.0, state.parameters)


def opinion(state: State) -> Floats:
    picks = {name: i for i, name in enumerate(NAMES)}
    views = [state.views[key] for key in sorted(state.views)]
    board, _ = scored_views(state, views, picks=picks, ahead=1.0)
    between = errors_between(board.sources, state.sources, state.pairs, state.parameters)
    covariance = np.eye(len(NAMES)) * SIGMA**2
    return combine(board, covariance, prior=np.zeros(len(NAMES)), between=between).mu


@pytest.mark.parametrize(("name", "truth"), [("good", 0.3), ("random", 0.0), ("inverted", -0.3)])
def test_signed_skill_is_recognised_within_its_interval(name: str, truth: float) -> None:
    state = learned()
    low, high = skill_interval(state.sources[name].skill, 1.0, state.parameters)
    assert low - 0.02 < truth < high + 0.02
    assert skill(state, name) == pytest.approx(truth, abs=0.06)


def test_a_skill_that_turned_round_is_followed_by_who_forgets() -> None:
    assert abs(skill(learned(), "drifting")) < 0.1
    assert skill(learned(half_life=10.0), "drifting") < -0.15


@pytest.mark.parametrize("copies", [1, 3])
def test_a_copy_gains_no_extra_weight(copies: int) -> None:
    alone, crowd = opinion(learned()), opinion(learned(copies=copies))
    change = float(np.abs(crowd - alone).mean() / np.abs(alone).mean())
    assert change < 0.05
    # Three strangers who said the same would have moved it: that is what is told apart.
    state = learned(copies=copies)
    names = ["good", *(f"copy{n}" for n in range(copies)), "random"]
    found = errors_between(names, state.sources, state.pairs, state.parameters)
    assert float(found[0, 1]) > 0.9
    assert float(found[0, -1]) < 0.1


def test_the_opinion_follows_skill_and_turns_the_inverted_round() -> None:
    state = learned()
    ours = opinion(state)
    good = {key[0]: state.views[key].raw for key in state.views if key[1] == "good"}
    bad = {key[0]: state.views[key].raw for key in state.views if key[1] == "inverted"}
    assert np.corrcoef(ours, [good[name] for name in NAMES])[0, 1] > 0.4
    assert np.corrcoef(ours, [bad[name] for name in NAMES])[0, 1] < -0.4

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.solver import SolverSettings
from coordinator.solver import aversion as aversion_module
from coordinator.solver.aversion import optimise_limited
from coordinator.solver.by_model import optimise_model
from coordinator.solver.limits import volatility_used
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import make_room
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import CONE_BINDS
from coordinator.solver.solve import optimise
from coordinator.solver.worth import objective
from tests.support.limit_reference import limit

from .conftest import Make

SETTINGS = SolverSettings()


@pytest.mark.parametrize("size", [0.03, 0.01, 0.003, 0.0003])
@pytest.mark.parametrize("held", [0.0, 0.005])
def test_the_answer_is_that_of_the_cone(make: Make, size: float, held: float) -> None:
    p = make(40, filled=held, cash=1.0 - 40 * held, position_min=-0.1, turnover_max=0.6)
    p = replace(p, limits=(limit("volatility", n=40, upper=size),))
    room, shelf = make_room(p), ModelShelf(2)
    ours = optimise(p, room, shelf, SETTINGS, "PIQP")
    cone = optimise_model(p, room, shelf, SETTINGS, "CLARABEL")
    for found in (ours, cone):
        assert found.gap <= 1e-6
        assert found.excess <= 1e-7
    assert objective(p, ours.trades) == pytest.approx(objective(p, cone.trades), abs=1e-7)
    assert ours.prices.volatility == pytest.approx(cone.prices.volatility, rel=1e-2, abs=1e-6)


def test_few_solves_are_needed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    solves: list[float] = []
    real = optimise_segments

    def counted(problem: object, *given: object) -> object:
        solves.append(0.0)
        return real(problem, *given)  # type: ignore[arg-type]  # passed through unread

    monkeypatch.setattr(aversion_module, "optimise_segments", counted)
    for n in (10, 60):
        p = make(n, mu=np.linspace(-0.01, 0.03, n), turnover_max=0.4)
        p = replace(p, limits=(limit("volatility", n=n, upper=0.01),))
        solves.clear()
        assert optimise(p, make_room(p), ModelShelf(1), SETTINGS, "PIQP").status == "optimal"
        assert len(solves) <= 12


@pytest.mark.parametrize("size", [-0.1, 0.0, 1e-5])
def test_a_limit_that_no_aversion_keeps_leaves_the_answer_without_it(
    make: Make, size: float
) -> None:
    p = make(3, filled=0.3, cash=0.1, trade_max=0.01)
    p = replace(p, limits=(limit("volatility", n=3, upper=size),))
    room = make_room(p)
    free = optimise_segments(p, room, SETTINGS)
    assert optimise_limited(p, room, SETTINGS, free) is free
    found = optimise(p, room, ModelShelf(1), SETTINGS, "PIQP")
    assert found.status == CONE_BINDS
    assert found.excess > 1e-3


def test_solves_are_bounded(make: Make) -> None:
    p = make(20, mu=np.linspace(-0.01, 0.03, 20), turnover_max=0.4)
    p = replace(p, limits=(limit("volatility", n=20, upper=0.01),))
    one = replace(SETTINGS, cone_solves_max=1)
    room = make_room(p)
    found = optimise(p, room, ModelShelf(1), one, "PIQP")
    assert found.status == CONE_BINDS
    assert volatility_used(p, found.trades) > 0.01

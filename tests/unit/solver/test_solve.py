from __future__ import annotations

import ast
from pathlib import Path

import numpy as np

from coordinator.core.ports import AllocationProblem
from coordinator.solver import SolverSettings
from coordinator.solver import solve as solve_module
from coordinator.solver.room import make_room
from coordinator.solver.solve import ModelShelf, optimise

from .conftest import Make

SETTINGS = SolverSettings()


def solved(p: AllocationProblem, shelf: ModelShelf) -> bytes:
    return optimise(p, make_room(p), shelf, SETTINGS, "CLARABEL").trades.tobytes()


def test_every_solve_is_cold() -> None:
    tree = ast.parse(Path(solve_module.__file__).read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "solve"
    ]
    assert calls
    for call in calls:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        assert isinstance(given["warm_start"], ast.Constant)
        assert given["warm_start"].value is False


def test_a_model_used_before_gives_the_bits_of_a_fresh_one(make: Make) -> None:
    shelf, p = ModelShelf(4), make(8, turnover_max=0.2)
    solved(make(8, mu=0.3, gross_max=0.5, filled=0.01), shelf)
    assert solved(p, shelf) == solved(p, ModelShelf(4))


def test_shelf_keeps_no_more_than_its_maximum_and_drops_the_oldest() -> None:
    shelf = ModelShelf(2)
    first, second = shelf.model(1, "PIQP"), shelf.model(2, "PIQP")
    assert shelf.model(1, "PIQP") is first
    shelf.model(3, "PIQP")
    assert shelf.model(1, "PIQP") is first
    assert shelf.model(2, "PIQP") is not second


def test_bounds_given_as_huge_numbers_do_not_spoil_the_answer(make: Make) -> None:
    huge = {"gross_max": 1e12, "turnover_max": 1e12, "trade_max": 1e12, "position_max": 1e12}
    p = make(5, **huge, cash=1.0)
    found = optimise(p, make_room(p), ModelShelf(2), SETTINGS, "PIQP")
    assert found.gap <= 1e-9
    assert np.sum(found.trades) <= 1.0 + 1e-9

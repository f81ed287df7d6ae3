from __future__ import annotations

import ast
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem
from coordinator.solver import SolverSettings
from coordinator.solver import by_model as by_model_module
from coordinator.solver.further import Counts
from coordinator.solver.room import make_room
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solve import optimise
from tests.support.limit_reference import limit

from .conftest import Make

SETTINGS = SolverSettings()


def solved(p: AllocationProblem, shelf: ModelShelf) -> bytes:
    return optimise(p, make_room(p), shelf, SETTINGS, "CLARABEL").trades.tobytes()


def test_every_solve_is_cold() -> None:
    tree = ast.parse(Path(by_model_module.__file__).read_text(encoding="utf-8"))
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


def test_a_solve_that_fails_knows_nothing_of_the_one_before(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A solver's exception leaves a model's variables as they were: another's answer."""
    shelf, p = ModelShelf(4), make(8, turnover_max=0.2)
    optimise(make(8, mu=0.3, gross_max=0.5), make_room(p), shelf, SETTINGS, "CLARABEL")

    def fails(*_: object, **__: object) -> None:
        raise cp.SolverError("failed")

    monkeypatch.setattr(cp.Problem, "solve", fails)
    found = optimise(p, make_room(p), shelf, SETTINGS, "CLARABEL")
    assert found.status.startswith("failed: SolverError")
    assert np.isinf(found.gap)
    assert not found.trades.any()


def test_shelf_keeps_no_more_than_its_maximum_and_drops_the_oldest() -> None:
    shelf = ModelShelf(2)
    first, second = shelf.model(1, "PIQP"), shelf.model(2, "PIQP")
    assert shelf.model(1, "PIQP") is first
    shelf.model(3, "PIQP")
    assert shelf.model(1, "PIQP") is first
    assert shelf.model(2, "PIQP") is not second


def test_a_model_is_compiled_once_for_a_size_and_so_many_rows_and_states_them_all(
    make: Make,
) -> None:
    shelf = ModelShelf(8)
    rows = Counts(linear=2, gross=1, volatility=1)
    made = shelf.model(3, "CLARABEL", rows)
    assert made.rows is not None
    assert all(row.is_dcp(dpp=True) for row in made.rows.constraints)
    assert len(made.rows.constraints) == 3
    assert shelf.model(3, "CLARABEL", rows) is made
    assert shelf.model(3, "CLARABEL") is not made
    searched = shelf.least(3, "CLARABEL", Counts(1, 1, 2, 1, 1))
    assert searched.problem.is_dpp()
    assert shelf.least(3, "CLARABEL", Counts(1, 1, 2, 1, 1)) is searched


def test_a_limited_model_used_before_gives_the_bits_of_a_fresh_one(make: Make) -> None:
    def limited(size: float) -> AllocationProblem:
        cone, sums = (
            limit("volatility", n=8, upper=size),
            limit("linear", np.ones(8), n=8, upper=0.3),
        )
        return make(8, mu=size, limits=(cone, sums))

    shelf = ModelShelf(4)
    solved(limited(0.02), shelf)
    assert solved(limited(0.01), shelf) == solved(limited(0.01), ModelShelf(4))


def test_bounds_given_as_huge_numbers_do_not_spoil_the_answer(make: Make) -> None:
    huge = {"gross_max": 1e12, "turnover_max": 1e12, "trade_max": 1e12, "position_max": 1e12}
    p = make(5, **huge, cash=1.0)
    found = optimise(p, make_room(p), ModelShelf(2), SETTINGS, "PIQP")
    assert found.gap <= 1e-9
    assert np.sum(found.trades) <= 1.0 + 1e-9

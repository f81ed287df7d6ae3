from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem
from coordinator.solver import SolverSettings
from coordinator.solver import least_segments as least_segments_module
from coordinator.solver import quick as quick_module
from coordinator.solver import segment_qp as segment_qp_module
from coordinator.solver.by_model import optimise_model
from coordinator.solver.quick import optimise_segments
from coordinator.solver.room import make_room
from coordinator.solver.segments import cut
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.worth import objective

from .conftest import Make

SETTINGS = SolverSettings()
SHELF = ModelShelf(8)
HUNDREDTH_BP = 1e-6

KINDS = {
    "long only": {},
    "no trade costs": {"cost_buy": 0.0, "cost_sell": 0.0},
    "shorts": {"position_min": -0.2, "gross_max": 1.5},
    "gross binds": {"position_min": -0.2, "gross_max": 0.4, "mu": 0.02},
    "cash binds": {"cash": 0.1, "mu": 0.02, "cash_floor": 0.02},
    "turnover binds": {"turnover_max": 0.05, "mu": 0.02},
    "all bind": {"turnover_max": 0.1, "cash": 0.1, "gross_max": 0.5, "position_max": 0.05},
    "working both ways": {"working_buys": 0.03, "working_sells": -0.05, "position_min": -0.3},
    "must buy": {"position_min": 0.04},
    "must sell": {"filled": 0.08, "position_max": 0.05, "cash": 0.0},
    "hardly any room": {"trade_max": 1e-9},
}


def problem(make: Make, kind: str, n: int) -> AllocationProblem:
    base = make(n)
    rng = np.random.default_rng(n)
    held = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 0.08, n), 0.0)
    fields = {"filled": held, "cash": 1.0 - float(held.sum()), **KINDS[kind]}
    if "mu" in KINDS[kind]:
        fields["mu"] = base.mu + 0.02
    return make(n, **fields)


@pytest.mark.parametrize("n", [1, 7, 40, 150])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_model_through_cvxpy(make: Make, kind: str, n: int) -> None:
    p = problem(make, kind, n)
    room = make_room(p)
    ours = optimise_segments(p, room, SETTINGS)
    model = optimise_model(p, room, SHELF, SETTINGS, "PIQP")
    if not np.isfinite(model.gap) or model.excess > HUNDREDTH_BP:
        assert not np.isfinite(ours.gap) or ours.excess > HUNDREDTH_BP, (ours, model)
        return
    assert ours.gap <= HUNDREDTH_BP
    assert ours.excess <= HUNDREDTH_BP
    assert abs(objective(p, ours.trades) - objective(p, model.trades)) <= 1e-8


@pytest.mark.parametrize("limit", ["gross", "cash", "turnover"])
def test_prices_are_those_of_the_model_where_one_limit_binds(make: Make, limit: str) -> None:
    p = problem(make, f"{limit} binds", 30)
    ours = optimise_segments(p, make_room(p), SETTINGS).prices
    model = optimise_model(p, make_room(p), SHELF, SETTINGS, "PIQP").prices
    assert getattr(ours, limit) > 1e-5
    assert getattr(ours, limit) == pytest.approx(getattr(model, limit), abs=1e-6)


def test_a_long_only_name_that_is_not_held_has_one_segment_and_a_halted_one_none(
    make: Make,
) -> None:
    parts = cut(p := make(3, filled=[0.0, 0.1, 0.1], trade_max=[1.0, 1.0, 0.0]), make_room(p))
    assert parts.name.tolist() == [1, 0, 1]
    assert parts.low.tolist() == [-0.1, 0.0, 0.0]


def test_segments_of_a_name_fill_its_box_and_touch(make: Make) -> None:
    p = make(4, filled=0.1, working_buys=0.05, working_sells=-0.02, position_min=-0.3)
    room = make_room(p)
    parts = cut(p, room)
    low, high = room.box
    assert np.bincount(parts.name).tolist() == [3, 3, 3, 3]
    assert np.allclose(parts.start + np.bincount(parts.name, parts.low), low)
    assert np.allclose(parts.start + np.bincount(parts.name, parts.high), high)


def test_nothing_can_trade_answers_with_the_start_and_no_price(make: Make) -> None:
    p = make(2, trade_max=0.0)
    found = optimise_segments(p, make_room(p), SETTINGS)
    assert (found.trades.tolist(), found.iterations, found.status) == ([0.0, 0.0], 0, "optimal")


def test_a_room_without_a_point_is_never_certified(make: Make) -> None:
    p = replace(make(3, position_min=0.2, cash=0.1), gross_max=0.3)
    found = optimise_segments(p, make_room(p), SETTINGS)
    assert found.gap > HUNDREDTH_BP or found.excess > HUNDREDTH_BP


@pytest.mark.parametrize("kind", ["shorts", "turnover binds", "cash binds", "long only"])
def test_names_left_out_at_first_join_where_they_are_worth_a_trade(
    make: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = problem(make, kind, 60)
    p = replace(p, gross_max=p.gross_max + 2.0)
    room = make_room(p)
    monkeypatch.setattr(quick_module, "_WHOLE_MAX", 10_000)
    whole = optimise_segments(p, room, SETTINGS)
    monkeypatch.setattr(quick_module, "_WHOLE_MAX", 0)
    monkeypatch.setattr(quick_module, "_FIRST_MIN", 1)
    few = optimise_segments(p, room, SETTINGS)
    assert max(few.gap, whole.gap) <= HUNDREDTH_BP
    assert abs(objective(p, few.trades) - objective(p, whole.trades)) <= 1e-9


@pytest.mark.parametrize("module", [segment_qp_module, least_segments_module])
def test_every_solver_object_is_made_for_one_solve_and_set_up_without_a_guess(
    module: ModuleType,
) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [node.func.attr for node in calls if isinstance(node.func, ast.Attribute)]
    assert names.count("DenseSolver") == names.count("setup") == 1
    assert "update" not in names
    assert "warm_start" not in names
    assert "time_limit" not in names


def test_same_bits_whatever_was_solved_before(make: Make) -> None:
    p = problem(make, "working both ways", 20)
    first = optimise_segments(p, make_room(p), SETTINGS).trades.tobytes()
    other = problem(make, "all bind", 20)
    optimise_segments(other, make_room(other), SETTINGS)
    assert optimise_segments(p, make_room(p), SETTINGS).trades.tobytes() == first

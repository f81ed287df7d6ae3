from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.solver import SolverSettings
from coordinator.solver.by_model import optimise_model
from coordinator.solver.certificate import Prices, upper_bound
from coordinator.solver.limits import root_of
from coordinator.solver.room import make_room
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solve import optimise
from coordinator.solver.violations import measure
from coordinator.solver.worth import objective
from tests.support.limit_reference import limit

from .conftest import Make


def test_no_feasible_trades_beat_the_bound_at_any_prices(make: Make) -> None:
    p = make(4, filled=0.1, cash=0.6, working_buys=[0.05, 0, 0, 0], turnover_max=0.3, gross_max=0.7)
    room, rng = make_room(p), np.random.default_rng(0)
    for _ in range(300):
        prices = Prices(*rng.exponential(0.01, 3))
        at = rng.uniform(-0.1, 0.3, 4)
        bound = upper_bound(p, room, at, prices)
        z = rng.uniform(-0.1, 0.1, 4)
        assert objective(p, z) <= bound + 1e-12


@pytest.mark.parametrize("solver", ["PIQP", "CLARABEL"])
def test_bound_is_tight_at_the_optimum(make: Make, solver: str) -> None:
    p = make(10, filled=0.05, cash=0.5, turnover_max=0.1, gross_max=0.55)
    found = optimise(p, make_room(p), ModelShelf(2), SolverSettings(), solver)  # type: ignore[arg-type]  # a parameter
    assert 0 <= found.gap + 1e-12 <= 1e-9
    assert found.prices.turnover > 0


def test_a_worse_answer_is_not_certified(make: Make) -> None:
    p = make(6, turnover_max=0.2)
    found = optimise(p, make_room(p), ModelShelf(2), SolverSettings(), "PIQP")
    worse = found.trades * 0.9
    bound = upper_bound(p, make_room(p), worse, found.prices)
    assert bound - objective(p, worse) > 1e-6


def test_scale_of_the_objective_does_not_change_the_answer(make: Make) -> None:
    p = make(6, turnover_max=0.2, cost_buy=0.0, cost_sell=0.0)
    tiny = replace(p, mu=p.mu * 1e-6, covariance=p.covariance * 1e-6)
    one, other = (
        optimise(q, make_room(q), ModelShelf(2), SolverSettings(), "PIQP") for q in (p, tiny)
    )
    assert np.allclose(one.trades, other.trades, atol=1e-5)


def test_no_feasible_trades_beat_the_bound_at_any_prices_of_further_limits(make: Make) -> None:
    rng = np.random.default_rng(1)
    p = make(
        5, filled=0.1, cash=0.5, working_sells=-0.02, position_min=-0.3, gross_max=2.0,
        limits=(
            limit("linear", rng.normal(size=(3, 5)), n=5, upper=0.3, lower=-0.2),
            limit("gross", rng.uniform(size=(2, 5)), n=5, upper=0.4),
            limit("volatility", n=5, upper=0.02),
        ),
    )  # fmt: skip
    room, root = make_room(p), root_of(p.covariance)
    checked = 0
    for _ in range(400):
        along = rng.normal(size=5)
        price = float(np.linalg.norm(along)) * rng.uniform(1.0, 1.5)
        prices = Prices(
            gross=0.01,
            turnover=0.02,
            linear=rng.exponential(0.02, 6),
            groups=rng.exponential(0.02, 2),
            volatility=price,
            pull=along @ root,
        )
        bound = upper_bound(p, room, rng.uniform(-0.1, 0.3, 5), prices)
        z = rng.uniform(-0.2, 0.2, 5)
        if measure(p, z).largest == 0.0:
            checked += 1
            assert objective(p, z) <= bound + 1e-12
    assert checked > 20


@pytest.mark.parametrize("kind", ["linear", "gross", "volatility"])
def test_bound_is_tight_where_a_further_limit_binds(make: Make, kind: str) -> None:
    rows = None if kind == "volatility" else np.arange(1.0, 9.0)
    upper = 0.01 if kind == "volatility" else 1.0
    p = make(8, mu=0.02, position_min=-0.2, limits=(limit(kind, rows, n=8, upper=upper),))
    found = optimise_model(p, make_room(p), ModelShelf(2), SolverSettings(), "CLARABEL")
    assert abs(found.gap) <= 1e-8
    prices = found.prices
    assert max(prices.volatility, prices.linear.sum(), prices.groups.sum()) > 1e-3

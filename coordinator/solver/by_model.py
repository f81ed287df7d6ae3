"""Solves the model as it is written, through cvxpy, cold.

Place in the flow: `solve` asks here where the fast way has no answer. It must never warm start, set
a time limit or let a foreign exception out.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.certificate import Prices
from coordinator.solver.further import NOTHING, Counts, further_of
from coordinator.solver.model import Model, scale_of
from coordinator.solver.model_terms import has_cone, shape_of
from coordinator.solver.polish import polish
from coordinator.solver.resting import is_balanced
from coordinator.solver.room import Room
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solution import Solution, judged, no_solution
from coordinator.solver.terms import house_of
from coordinator.solver.worth import NO_SIZES

__all__ = ["least_house", "optimise_model", "solve_cold", "values_of"]

_CONE = 1e-2
"""Of the tolerance: beside a cone that leaves a thin room, prices and so gaps are large. How far
the solver really came is the certificate's to say."""


def optimise_model(
    problem: AllocationProblem,
    room: Room,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """The same by the model as it is written, through cvxpy, to the last digits where they lack."""
    counts, shape = _stated(further_of(problem).counts), shape_of(problem, room)
    model = shelf.model(len(problem.instruments), solver, counts, shape)
    scale = scale_of(problem)
    _load(model, problem, room, scale)
    volatile = model.rows is not None and model.rows.volatility is not None
    pinned = replace(settings, tolerance=settings.tolerance * _CONE) if volatile else settings
    compiled = not (volatile or has_cone(shape))
    status, iterations = solve_cold(model.problem, pinned, solver, compiled=compiled)
    found = values_of(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    volatility, pull = _cone_price(model, scale)
    sizes = NO_SIZES if model.terms.sizes is None else values_of(model.terms.sizes)
    if sizes is None:
        return no_solution(problem, solver, status, iterations)
    house, house_pull = _house_price(model, problem, found, sizes, scale)
    prices = Prices(
        gross=_price(model.gross, scale),
        cash=_price(model.cash, scale),
        turnover=_price(model.turnover, scale),
        linear=_prices(model.rows.linear, scale) if model.rows else NOTHING,
        groups=_prices(model.rows.groups, scale) if model.rows else NOTHING,
        volatility=volatility,
        pull=pull,
        house=house,
        house_pull=house_pull,
    )
    answer = judged(
        problem,
        room,
        solver=solver,
        status=status,
        iterations=iterations,
        found=found,
        prices=prices,
        sizes=sizes,
    )
    return answer if is_balanced(problem, room, answer) else polish(problem, room, answer)[0]


def least_house(
    problem: AllocationProblem,
    room: Room,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> float | None:
    """The least sum of the house book's absolute weights inside the room; None: not found."""
    counts = _stated(further_of(problem).counts)
    shape = shape_of(problem, room)._replace(least_house=True, house=False)
    model = shelf.model(len(problem.instruments), solver, counts, shape)
    _load(model, problem, room, 1.0)
    status, _ = solve_cold(model.problem, settings, solver, compiled=False)
    value = model.problem.value
    if status != cp.OPTIMAL or value is None or not np.isfinite(value):
        return None
    return max(-float(value), 0.0)


def _load(model: Model, problem: AllocationProblem, room: Room, scale: float) -> None:
    """Set every number of the model."""
    model.parameters.load_room(problem, room)
    model.parameters.load_objective(problem, scale)
    model.terms.parameters.load(problem, room, scale)
    if model.rows is not None:
        model.rows.parameters.load(problem)
        model.rows.rooms.load(room)


def _stated(counts: Counts) -> Counts:
    """The rows that the model states: those of one cone, turnover or cash are one bound of it."""
    return Counts(counts.linear, counts.gross, min(counts.volatility, 1))


def solve_cold(
    problem: cp.Problem, settings: SolverSettings, solver: SolverName, *, compiled: bool = True
) -> tuple[str, int]:
    """Solve cold with pinned options; returns the status and the iterations.

    compiled: keep what cvxpy compiles of the parameters. Of a root of the covariance that takes
    far longer than a solve and makes none of them faster.
    """
    _forget(problem)
    with warnings.catch_warnings():
        # cvxpy warns about inaccurate solutions; the certificate judges those.
        warnings.simplefilter("ignore")
        try:
            problem.solve(  # type: ignore[no-untyped-call]  # cvxpy declares no types here
                solver=solver,
                warm_start=False,
                ignore_dpp=not compiled,
                **_options(settings, solver),
            )
        except Exception as error:  # noqa: BLE001 - whatever a library raises, there is a next rung
            return f"failed: {type(error).__name__}: {error}".split(".")[0], 0
    return str(problem.status), int(problem.solver_stats.num_iters or 0)


def _forget(problem: cp.Problem) -> None:
    """Take the values of the last solve away: a solve that fails leaves them as they are."""
    for variable in problem.variables():
        variable.save_value(None)
    for constraint in problem.constraints:
        for dual in constraint.dual_variables:
            dual.save_value(None)


def _options(settings: SolverSettings, solver: SolverName) -> dict[str, float | int | str | bool]:
    """Each solver's own names for the pinned settings."""
    if solver == "PIQP":
        return {
            "backend": "sparse",
            "eps_abs": settings.tolerance,
            "eps_rel": settings.tolerance,
            "max_iter": settings.iterations_max,
        }
    return {
        "tol_gap_abs": settings.tolerance,
        "tol_gap_rel": settings.tolerance,
        "tol_feas": settings.tolerance,
        "max_iter": settings.iterations_max,
        "direct_solve_method": "qdldl",
        "max_threads": 1,
    }


def values_of(variable: cp.Variable) -> Floats | None:
    """What a variable came to, where that is finite."""
    value = variable.value
    if value is None or not np.all(np.isfinite(value)):
        return None
    return np.asarray(value, dtype=np.float64)


def _price(constraint: cp.Constraint, scale: float) -> float:
    """The constraint's dual in the objective's unit; 0 where the solver gave none."""
    value = _dual(constraint)
    if value is None:
        return 0.0
    return max(float(value.reshape(-1)[0]), 0.0) / scale


def _cone_price(model: Model, scale: float) -> tuple[float, Floats]:
    """The price of volatility and (n,) how it pulls each weight; none where there is no cone."""
    if model.rows is None or model.rows.volatility is None or model.rows.parameters.root is None:
        return 0.0, NOTHING
    duals = model.rows.volatility.dual_value
    if duals is None or any(one is None or not np.all(np.isfinite(one)) for one in duals):
        return 0.0, NOTHING
    price, along = (np.asarray(one, dtype=np.float64).reshape(-1) / scale for one in duals)
    root = np.asarray(model.rows.parameters.root.value, dtype=np.float64)
    pull: Floats = -(along @ root)
    # The bound holds for directions no longer than the price.
    return max(float(price[0]), float(np.linalg.norm(along))), pull


def _house_price(
    model: Model, problem: AllocationProblem, found: Floats, sizes: Floats, scale: float
) -> tuple[float, Floats]:
    """The price of the house book's bound and (n,) how it pulls each weight, none beyond it."""
    house, sleeves = model.terms.house, problem.sleeves
    if house is None or sleeves is None:
        return 0.0, NOTHING
    price, split = _price(house, scale), _dual(model.terms.constraints[0])
    book = house_of(sleeves, problem.start + found, sizes)
    if split is None:
        return price, price * np.sign(book)
    # The dual of w = T a + d pulls for all that d is charged: for delta, and for the bound.
    charged = sleeves.house_weight * book
    pull = split.reshape(-1) / scale
    if float(pull @ (charged + price * np.sign(book))) < 0.0:
        pull = -pull
    return price, np.clip(pull - charged, -price, price)


def _prices(constraint: cp.Constraint | None, scale: float) -> Floats:
    """(k,) the duals of a constraint of k rows in the objective's unit."""
    value = _dual(constraint)
    if constraint is None:
        return NOTHING
    if value is None:
        return np.zeros(constraint.size)
    result: Floats = np.maximum(value.reshape(-1), 0.0) / scale
    return result


def _dual(constraint: cp.Constraint | None) -> Floats | None:
    """The values of a constraint's dual, where the solver gave finite ones."""
    value = None if constraint is None else constraint.dual_value
    if value is None or not np.all(np.isfinite(value)):
        return None
    return np.asarray(value, dtype=np.float64)

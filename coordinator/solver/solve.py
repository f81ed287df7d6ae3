"""Solves a model cold and says what came out.

Place in the flow: between `ladder`, which decides what to try, and the solvers behind cvxpy. It
must never warm start, set a time limit or let a foreign exception out.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.aversion import optimise_limited
from coordinator.solver.certificate import Prices
from coordinator.solver.further import NOTHING, Counts, further_of
from coordinator.solver.least import Choice, Least, build_least
from coordinator.solver.least_segments import seek_segments
from coordinator.solver.model import (
    Model,
    Restoration,
    build_model,
    build_restoration,
    scale_of,
)
from coordinator.solver.room import Room, make_room
from coordinator.solver.segments import optimise_segments
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.solution import CONE_BINDS, Solution, judged, no_solution, volatility_broken
from coordinator.solver.violations import Violations, measure

__all__ = ["ModelShelf", "least_violation", "optimise", "optimise_model", "restore"]

_Made = TypeVar("_Made", Model, Restoration, Least)
_Key = tuple[str, int, str, Counts]
_NO_ROWS = Counts()
_CONE = 1e-2
"""Of the tolerance: beside a cone that leaves a thin room, prices and so gaps are large. How far
the solver really came is the certificate's to say."""


class ModelShelf:
    """Compiled models by purpose, size, solver and rows; the least recently used one goes first.

    Compiling is all that is kept: what a model holds is overwritten before each solve.
    """

    def __init__(self, models_max: int) -> None:
        """models_max: most models kept at a time."""
        self._models: OrderedDict[_Key, Model | Restoration | Least] = OrderedDict()
        self._models_max = models_max

    def model(self, n: int, solver: SolverName, rows: Counts = _NO_ROWS) -> Model:
        """The allocation model for n instruments and so many further rows, for one solver."""
        return self._take(("model", n, solver, rows), partial(build_model, counts=rows))

    def restoration(self, n: int, solver: SolverName) -> Restoration:
        """The phase-1 model for n instruments, for one solver."""
        return self._take(("restoration", n, solver, _NO_ROWS), build_restoration)

    def least(self, n: int, solver: SolverName, rows: Counts) -> Least:
        """The search for the least violation with so many further rows, for one solver."""
        return self._take(("least", n, solver, rows), partial(build_least, counts=rows))

    def _take(self, key: _Key, build: Callable[[int], _Made]) -> _Made:
        made = self._models.pop(key, None)
        if made is None:
            made = build(key[1])
            if len(self._models) >= self._models_max:
                self._models.popitem(last=False)
        self._models[key] = made
        return cast("_Made", made)


def optimise(
    problem: AllocationProblem,
    room: Room,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """The best trades inside the room, with the certified distance to the optimum.

    PIQP gets the model in fewer variables, without cvxpy's work for each solve.
    """
    if solver == "PIQP":
        found = optimise_segments(problem, room, settings)
        if found.status == "optimal" and volatility_broken(problem, room, found.trades):
            return optimise_limited(problem, room, settings, replace(found, status=CONE_BINDS))
        return found
    return optimise_model(problem, room, shelf, settings, solver)


def optimise_model(
    problem: AllocationProblem,
    room: Room,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """The same by the model as it is written, through cvxpy."""
    model = shelf.model(len(problem.instruments), solver, _stated(further_of(problem).counts))
    scale = scale_of(problem)
    model.parameters.load_room(problem, room)
    model.parameters.load_objective(problem, scale)
    if model.rows is not None:
        model.rows.parameters.load(problem)
        model.rows.rooms.load(room)
    has_cone = model.rows is not None and model.rows.volatility is not None
    pinned = replace(settings, tolerance=settings.tolerance * _CONE) if has_cone else settings
    status, iterations = _solve(model.problem, pinned, solver, compiled=not has_cone)
    found = _values(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    volatility, pull = _cone_price(model, scale)
    prices = Prices(
        gross=_price(model.gross, scale),
        cash=_price(model.cash, scale),
        turnover=_price(model.turnover, scale),
        linear=_prices(model.rows.linear, scale) if model.rows else NOTHING,
        groups=_prices(model.rows.groups, scale) if model.rows else NOTHING,
        volatility=volatility,
        pull=pull,
    )
    return judged(
        problem,
        room,
        solver=solver,
        status=status,
        iterations=iterations,
        found=found,
        prices=prices,
    )


def _stated(counts: Counts) -> Counts:
    """The rows that the model states: those of one cone, turnover or cash are one bound of it."""
    return Counts(counts.linear, counts.gross, min(counts.volatility, 1))


def restore(
    problem: AllocationProblem,
    before: Violations,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """Trades with the least total violation, none above what it is before trading (phase 1).

    The gap of the answer is 0 where the solver says it is optimal: `ladder` measures what it is
    worth.
    """
    model = shelf.restoration(len(problem.instruments), solver)
    model.parameters.load_room(problem, make_room(problem))
    model.load_caps(before)
    status, iterations = _solve(model.problem, settings, solver)
    found = _values(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    trades = np.clip(found, -problem.trade_max, problem.trade_max)
    excess = measure(problem, trades).turnover
    gap = 0.0 if status == cp.OPTIMAL else np.inf
    return Solution(solver, status, iterations, trades, Prices(), gap, excess)


def least_violation(
    problem: AllocationProblem,
    choice: Choice,
    shelf: ModelShelf,
    settings: SolverSettings,
    solver: SolverName,
) -> Solution:
    """Trades with the least violation of the chosen limits, no limit broken by more than it may.

    The gap of the answer is 0 where the solver says it is optimal; excess: by how much a limit is
    broken beyond what it may.
    """
    if solver == "PIQP":
        return seek_segments(problem, choice, settings)
    model = shelf.least(len(problem.instruments), solver, further_of(problem).counts)
    model.load(problem, choice)
    status, iterations = _solve(model.problem, settings, solver, compiled=False)
    found = _values(model.trades)
    if found is None:
        return no_solution(problem, solver, status, iterations)
    trades = np.clip(found, -problem.trade_max, problem.trade_max)
    gap = 0.0 if status == cp.OPTIMAL else np.inf
    excess = measure(problem, trades).beyond(choice.most)
    return Solution(solver, status, iterations, trades, Prices(), gap, excess)


def _solve(
    problem: cp.Problem, settings: SolverSettings, solver: SolverName, *, compiled: bool = True
) -> tuple[str, int]:
    """Solve cold with pinned options; returns the status and the iterations.

    compiled: keep what cvxpy compiles of the parameters. Of a root of the covariance that takes
    far longer than a solve and makes none of them faster.
    """
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
        except cp.SolverError as error:
            return f"failed: {error}".split(".")[0], 0
    return str(problem.status), int(problem.solver_stats.num_iters or 0)


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


def _values(variable: cp.Variable) -> Floats | None:
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

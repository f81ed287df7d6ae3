"""The numeric fingerprint: which last bits this machine and build give.

Place in the flow: bootstrap takes it at start; logs and decisions name it, so that a log from other
hardware is compared by tolerance and not bit for bit. It must be taken after `pin_threads`.
"""

from __future__ import annotations

import hashlib

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, RiskEstimate
from coordinator.solver.by_model import optimise_model
from coordinator.solver.room import make_room
from coordinator.solver.settings import SolverName, SolverSettings
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solve import optimise

__all__ = ["numeric_fingerprint"]

_SIZE, _WIDE = 60, 120
"""Names; with factors, so many that these are worth it."""


def numeric_fingerprint(settings: SolverSettings) -> str:
    """sha256, as hex, over the bits of a fixed factorisation and a fixed solve by each solver used.

    Equal fingerprints promise equal bits; other CPU features, libraries or settings give another
    one.
    """
    problem = _fixed_problem()
    digest = hashlib.sha256()
    for part in _factorisation(problem.covariance, problem.mu):
        digest.update(part.tobytes())
    solvers: tuple[SolverName, ...] = (settings.solver, settings.second_solver)
    shelf = ModelShelf(len(solvers))
    room = make_room(problem)
    for solver in solvers:
        # Both ways to ask: phase 1 goes through cvxpy whatever the solver.
        for found in (
            optimise(problem, room, shelf, settings, solver),
            optimise_model(problem, room, shelf, settings, solver),
        ):
            digest.update(solver.encode() + found.status.encode() + found.trades.tobytes())
            digest.update(np.array([found.prices.gross, found.prices.cash, found.gap]).tobytes())
    wide = _fixed_problem(_WIDE)
    found = optimise(wide, make_room(wide), shelf, settings, settings.solver)
    digest.update(found.solver.encode() + found.trades.tobytes())
    return digest.hexdigest()


def _factorisation(covariance: Floats, mu: Floats) -> tuple[Floats, ...]:
    factor = np.linalg.cholesky(covariance)
    values, vectors = np.linalg.eigh(covariance)
    product: Floats = factor @ factor.T
    solved = np.linalg.solve(covariance, mu)
    parts = (factor, values, vectors, product, solved, np.exp(mu))
    return tuple(np.asarray(part, dtype=np.float64) for part in parts)


def _fixed_problem(size: int = _SIZE) -> AllocationProblem:
    """A problem of irrational-looking numbers that needs no random generator."""
    steps = np.arange(1.0, size + 1.0)
    factors = np.sin(np.outer(steps, [1.0, 1.7, 2.3, 3.1])) * 0.02
    rest = 0.0004 * (1.5 + np.cos(steps))
    covariance = factors @ factors.T + np.diag(rest)
    level = np.zeros(size)
    told = RiskEstimate(np.ascontiguousarray(factors.T), rest, 0.0, 250.0, 4)
    return AllocationProblem(
        factors=told if size >= _WIDE else None,
        instruments=tuple(f"I{i:02d}" for i in range(size)),
        nav=1e6,
        mu=0.01 * np.sin(steps * 0.7),
        covariance=covariance,
        risk_aversion=5.0,
        filled=0.01 * (1.0 + np.cos(steps * 1.3)) / 2,
        working_buys=level,
        working_sells=level,
        cash=0.5,
        lot_weight=level,
        exit_odd_lot=np.ones(size, dtype=bool),
        cost_buy=level + 0.001,
        cost_sell=level + 0.002,
        trade_max=level + 0.05,
        position_min=level - 0.02,
        position_max=level + 0.08,
        gross_max=1.0,
        cash_floor=0.02,
        turnover_max=0.25,
        trade_min=0.0,
    )

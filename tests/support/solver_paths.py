"""One problem for each way the solver has, and the bits of its answer: `python -m` prints them.

Two processes that print the same lines decide the same, whichever way a problem takes.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from coordinator.core.ports import (
    Allocation,
    AllocationProblem,
    Charges,
    RiskEstimate,
    Sleeves,
    WeightLimit,
)
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads, problem_of

__all__ = ["lines", "paths"]

N, WIDE = 30, 120
"""Names; with factors, so many that they are worth it."""


def _base(n: int = N) -> AllocationProblem:
    rng = np.random.default_rng(7)
    factors = rng.normal(size=(n, 3)) * 0.02
    held = np.where(rng.random(n) < 0.5, 0.6 / n, 0.0)
    rest = rng.uniform(5e-4, 2e-3, n)
    p = problem_of(
        rng.normal(size=n) * 0.01 + 0.004,
        factors @ factors.T + np.diag(rest),
        risk_aversion=5.0, weights=held, cost_buy=0.001, cost_sell=0.002, position_max=0.1,
        turnover_max=0.5, lot_weight=1e-4, nav=1e6,
    )  # fmt: skip
    return p if n == N else replace(p, factors=RiskEstimate(factors.T, rest, 0.0, 100.0, 3))


def _sleeves(house_max: float, n: int = N) -> Sleeves:
    rng = np.random.default_rng(8)
    names = tuple(f"s/{i}" for i in range(3))
    targets = rng.normal(size=(n, 3))
    return Sleeves(
        names, targets, np.full(3, 0.02), np.full(3, 0.01), np.full(3, 2.0), 0.5, house_max
    )


def _limit(kind: str, upper: float, tier: int) -> WeightLimit:
    rows = np.ones((1, N)) if kind in ("linear", "gross") else np.zeros((1, N))
    low, high = np.full(1, -np.inf), np.full(1, upper)
    return WeightLimit(kind, kind, ("",), rows, low, high, tier)  # type: ignore[arg-type]  # every kind given is one


def paths() -> Iterator[tuple[str, AllocationProblem, SolverSettings]]:
    """Name, problem and settings of each way."""
    p, usual = _base(), SolverSettings()
    impact = Charges(impact=np.full(N, 0.05), robustness=np.full(N, 0.001), tracking=2.0)
    yield "segments", p, usual
    yield "screened", replace(p, position_min=np.full(N, -0.1), gross_max=2.0), usual
    yield "curved", replace(p, charges=impact), usual
    yield "square", replace(p, charges=Charges(impact_square=np.full(N, 0.2))), usual
    yield "sleeves", replace(p, sleeves=_sleeves(np.inf)), usual
    yield "coupled", _base(WIDE), usual
    yield "coupled sleeves", replace(_base(WIDE), sleeves=_sleeves(np.inf, WIDE)), usual
    yield "house", replace(p, sleeves=_sleeves(0.1)), usual
    yield "volatility", replace(p, limits=(_limit("volatility", 0.004, 0),)), usual
    yield "model", p, SolverSettings(solver="CLARABEL")
    yield "model with cones", replace(p, charges=impact), SolverSettings(solver="CLARABEL")
    yield "restored", replace(p, position_max=np.full(N, 0.01)), usual
    square = Charges(impact_square=np.full(N, 40.0))
    power = Charges(impact=np.full(N, 5.0))
    yield "restored, square", replace(p, cash=-0.3, charges=square), usual
    yield "restored, power", replace(p, cash=-0.3, charges=power), usual
    yield (
        "least, square",
        replace(p, cash=-0.3, charges=square, limits=(_limit("gross", 0.5, 0),)),
        usual,
    )
    yield "least", replace(p, limits=(_limit("linear", 0.1, 0), _limit("gross", 0.9, 0))), usual
    yield "tiers", replace(p, limits=(_limit("linear", 0.0, 1), _limit("gross", 0.1, 2)),
                           position_min=np.full(N, 0.005)), usual  # fmt: skip
    yield "rule", replace(p, position_max=np.full(N, 0.01)), SolverSettings(iterations_max=1)
    yield "hold", replace(p, trade_max=np.zeros(N)), usual


def _bits(answer: Allocation) -> str:
    found = hashlib.sha256()
    for part in (answer.trades, answer.lots, answer.continuous, answer.sizes):
        found.update(part.tobytes())
    for force in answer.forces:
        found.update(force.name.encode() + force.pulls.tobytes())
    told = (answer.rung, answer.solver, answer.objective, answer.gap, answer.limits, answer.remarks)
    found.update(repr(told).encode())
    return found.hexdigest()


def lines() -> list[str]:
    """Name, rung, solver and bits of each way's answer."""
    found = []
    for name, problem, settings in paths():
        answer = CvxAllocator(settings).allocate(problem)
        found.append(f"{name}: {answer.rung} {answer.solver} {_bits(answer)}")
    return found


if __name__ == "__main__":
    pin_threads()
    sys.stdout.write("\n".join(lines()) + "\n")

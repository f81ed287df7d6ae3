"""What further limits cost a decision: the allocator alone, 100 instruments, 60 rows of sectors.

`python -m tests.bench.limits [--record]`: milliseconds of processor time of one allocation without
further limits, with hard rows, with three soft tiers that can be kept (one solve) and that cannot
(tier by tier), and with a volatility limit that does not bind, binds, and gives way; each from a
portfolio inside its sectors' limits and from one beyond some of them. Where the volatility binds it
is broken at the start: nine tenths of what is held.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, LimitKind, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from tests.bench.record import finish, options, quantile

NAMES, SECTORS, SEEDS, ROUNDS = 100, 60, 10, 12


def limit(
    name: str, rows: Floats, *, lower: float = -np.inf, upper: float = np.inf, tier: int = 0,
    kind: LimitKind = "linear",
) -> WeightLimit:  # fmt: skip
    """A limit whose rows all have the same bounds."""
    k = len(rows)
    labels = tuple(f"{name}{i}" for i in range(k)) if k > 1 else ("",)
    return WeightLimit(name, kind, labels, rows, np.full(k, lower), np.full(k, upper), tier)


def problem(seed: int, *, breached: bool) -> AllocationProblem:
    """A long-only portfolio that holds forty of a hundred names."""
    rng, zero = np.random.default_rng(seed), np.zeros(NAMES)
    factors = rng.normal(size=(NAMES, 3)) * 0.02
    covariance = factors @ factors.T + np.diag(rng.uniform(5e-4, 3e-3, NAMES))
    covariance.setflags(write=False)
    held = np.where(rng.random(NAMES) < 0.4, 0.03 if breached else 0.015, 0.0)
    return AllocationProblem(
        instruments=tuple(f"I{i:03d}" for i in range(NAMES)), nav=1e6,
        mu=rng.normal(size=NAMES) * 0.02, covariance=covariance, risk_aversion=5.0, filled=held,
        working_buys=zero, working_sells=zero, cash=1.0 - float(held.sum()),
        lot_weight=zero + 1e-4, exit_odd_lot=zero == 0.0, cost_buy=zero + 0.001,
        cost_sell=zero + 0.002, trade_max=zero + 1.0, position_min=zero, position_max=zero + 0.05,
        gross_max=1.5, cash_floor=-0.5, turnover_max=1.0, trade_min=0.0,
    )  # fmt: skip


def cases(p: AllocationProblem, seed: int) -> dict[str, tuple[WeightLimit, ...]]:
    """The limits of each case, made for a problem."""
    rng = np.random.default_rng(1000 + seed)
    sectors = np.zeros((SECTORS, NAMES))
    sectors[np.arange(NAMES) % SECTORS, np.arange(NAMES)] = 1.0
    sectors += rng.random((SECTORS, NAMES)) < 0.02
    everything, none = np.ones((1, NAMES)), np.zeros((1, NAMES))
    caps = limit("sector", np.minimum(sectors, 1.0), lower=0.0, upper=0.09)
    net = limit("net", everything, upper=0.9, tier=1)
    factors = limit("factor", rng.normal(size=(2, NAMES)), lower=-0.3, upper=0.3, tier=2)
    groups = limit("group", sectors[:5], upper=0.08, tier=3, kind="gross")
    floors = limit("floor", sectors[:10], lower=0.12, tier=3)
    spread = float(np.sqrt(p.start @ p.covariance @ p.start))

    def volatility(size: float, tier: int = 0) -> WeightLimit:
        return limit("volatility", none, upper=size * spread, tier=tier, kind="volatility")

    return {
        "none": (),
        "60 hard rows": (caps,),
        "60 hard rows, 3 soft tiers kept": (caps, net, factors, groups),
        "60 hard rows, 3 soft tiers not kept": (caps, net, factors, floors),
        "the same kept, volatility not binding": (caps, net, factors, groups, volatility(50.0)),
        "the same kept, volatility binding": (caps, net, factors, groups, volatility(0.9)),
        "the same not kept, soft volatility": (caps, net, factors, floors, volatility(0.9, 1)),
    }


def measured(*, breached: bool) -> dict[str, dict[str, object]]:
    """Processor milliseconds of each case over all seeds, and which rungs answered."""
    allocator = CvxAllocator(SolverSettings())
    times: dict[str, list[float]] = {}
    rungs: dict[str, set[str]] = {}
    for seed in range(SEEDS):
        plain = problem(seed, breached=breached)
        for name, limits in cases(plain, seed).items():
            p = replace(plain, limits=limits)
            rungs.setdefault(name, set()).add(allocator.allocate(p).rung)
            for _ in range(ROUNDS):
                began = time.thread_time()
                allocator.allocate(p)
                times.setdefault(name, []).append((time.thread_time() - began) * 1000.0)
    return {
        name: {
            "p50_ms": round(quantile(found, 0.5), 2),
            "p99_ms": round(quantile(found, 0.99), 2),
            "rungs": sorted(rungs[name]),
        }
        for name, found in times.items()
    }


def main(arguments: list[str]) -> int:
    """Measure both portfolios."""
    given = options("What further limits cost a decision.").parse_args(arguments)
    pin_threads()
    figures = {
        "inside its sectors": measured(breached=False),
        "beyond its sectors": measured(breached=True),
    }
    finish("limits", figures, record=given.record)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

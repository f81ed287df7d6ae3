"""Milliseconds a portfolio where many are decided in one round over the same hundred instruments.

`python -m tests.bench.many [--record]`: rounds of 1, 10, 100 and 1,000 portfolios. They share the
covariance, its factors and what the sources say; each has holdings, a mode and a mandate of its
own: long only or with shorts, with sectors or without, with a turnover budget. What is measured is
the allocator with all that an answer carries (limits' readings, prices, forces, whole lots). Each
round has new views and holdings.

One core: `CvxAllocator.allocate` for each. More: `ManyAllocator` with as many workers as there are
cores; the first round, which starts them, is not counted. Its answers must be those of `allocate`,
to the bit.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from coordinator.core.ports import Allocation, AllocationProblem, RiskEstimate, WeightLimit
from coordinator.solver import CvxAllocator, ManyAllocator, pin_threads
from tests.bench import qp
from tests.bench.record import finish, options, quantile

__all__ = ["alike", "portfolios", "ways"]

NAMES, SECTORS = 100, 10
ROUNDS = {1: 200, 10: 40, 100: 10, 1000: 3}
MODES = (1.0, 3.0, 10.0)
Decide = Callable[[Sequence[AllocationProblem]], Sequence[Allocation]]


def portfolios(count: int, given: qp.Inputs, seed: int) -> list[AllocationProblem]:
    """As many problems as asked for, of one round."""
    rng, n = np.random.default_rng((seed, count)), len(given.mu)
    base = qp.problem_of(given)
    factors = RiskEstimate(given.factors, given.rest, 0.0, 250.0, len(given.factors))
    sectors = (np.arange(SECTORS)[:, None] == np.arange(n) % SECTORS).astype(np.float64)
    caps = _limit("sector", sectors, upper=0.2)
    net = _limit("net", np.ones((1, n)), upper=0.3)
    found = []
    for number in range(count):
        short, limited = number % 2 == 1, number // 2 % 2 == 1
        held = _held(rng, n, short=short)
        limits = ((net,) if short else ()) + ((caps,) if limited else ())
        found.append(
            replace(
                base, risk_aversion=MODES[number % len(MODES)], filled=held,
                cash=1.0 - float(held.sum()), lot_weight=np.full(n, 1e-5), limits=limits,
                position_min=np.full(n, -0.05 if short else 0.0), position_max=np.full(n, 0.06),
                gross_max=1.5 if short else 1.0, cash_floor=0.0, turnover_max=(0.1, 0.3, 1.0)[
                    number // 4 % 3
                ], factors=factors,
            )
        )  # fmt: skip
    return found


def _held(rng: np.random.Generator, n: int, *, short: bool) -> np.ndarray:
    """Whole lots of forty names or so, 80 % of NAV in all."""
    raw = rng.random(n) * (rng.random(n) < 0.4) * (rng.choice([-1, 1], n) if short else 1.0)
    raw = np.clip(0.8 * raw / max(np.abs(raw).sum(), 1e-12), -0.05, 0.06)
    found: np.ndarray = np.rint(raw / 1e-5) * 1e-5
    return found


def _limit(name: str, rows: np.ndarray, *, upper: float) -> WeightLimit:
    k = len(rows)
    labels = tuple(str(i) for i in range(k)) if k > 1 else ("",)
    return WeightLimit(name, "linear", labels, rows, np.full(k, -upper), np.full(k, upper), 0)


def ways(cores: int, begun: ExitStack) -> dict[str, Decide]:
    """How many portfolios can be decided; workers end with `begun`."""
    alone, together = CvxAllocator(), begun.enter_context(ManyAllocator(workers=cores))
    return {
        "one core": lambda problems: [alone.allocate(one) for one in problems],
        f"{cores} cores": together.allocate_many,
    }


def alike(first: Sequence[Allocation], second: Sequence[Allocation]) -> bool:
    """Whether answers are the same to the bit."""
    return len(first) == len(second) and all(
        one.trades.tobytes() == other.trades.tobytes() and one.limits == other.limits
        for one, other in zip(first, second, strict=True)
    )


def measured() -> dict[str, Any]:
    """Every way, for every number of portfolios."""
    figures: dict[str, Any] = {}
    with ExitStack() as begun:
        together = ways(max(2, os.cpu_count() or 1), begun)
        for count, rounds in ROUNDS.items():
            views = list(qp.draw(NAMES, rounds=rounds + 1))
            found = figures[f"{count} portfolios"] = {}
            first = portfolios(count, views[0], 0)
            plain = [CvxAllocator().allocate(one) for one in first]
            for name, decide in together.items():
                same = alike(plain, decide(first))
                times = []
                for number, given in enumerate(views[1:], start=1):
                    problems = portfolios(count, given, number)
                    began = time.perf_counter()
                    decide(problems)
                    times.append((time.perf_counter() - began) * 1000.0 / count)
                found[name] = {
                    "ms_a_portfolio_p50": round(quantile(times, 0.5), 3),
                    "ms_a_portfolio_worst": round(max(times), 3),
                    "rounds": rounds,
                    "same_bits": same,
                }
            found["rungs"] = sorted({one.rung for one in plain})
    return figures


def main(arguments: list[str]) -> int:
    """Measure, and fail where many together are not decided as each alone."""
    given = options("Milliseconds a portfolio, many in one round.").parse_args(arguments)
    pin_threads()
    figures = measured()
    finish("many", figures, record=given.record)
    told = (way for one in figures.values() if isinstance(one, dict) for way in one.values())
    return 0 if all(way["same_bits"] for way in told if isinstance(way, dict)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

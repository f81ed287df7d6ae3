"""How far the allocator's answers are from the best there is, over real decisions.

`python -m tests.bench.optimality --data FOLDER [--decisions 5040] [--record]`, two processes, nice.
`books` makes the problems. Judged by `tests/support/tight_reference.py`, which states them anew and
solves them at 1e-11:

- gap before lots: the best worth of any trades that break no limit by more than the answer does
  (not at all, where it breaks none), less the answer's worth. Within 0.01 bp of NAV or not; what
  the reference cannot say counts as not;
- what is broken: where the answer breaks a limit, by how much more than the least possible, tier by
  tier;
- gap after lots: the same best worth less that of the whole lots.

With `ops/setup --bench`, small cases too: ten names and coarse lots, the best whole lots of all by
SCIP, proven, in `tests/support/whole_lots.py`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.progress import Progress

from coordinator.core.ports import AllocationProblem
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from tests.bench.books import MANDATES, WINDOW, World, decisions, real
from tests.bench.record import finish, options, quantile
from tests.support.tight_reference import Tight, worth

__all__ = ["Judgement", "judged", "part", "summary"]

TOLERANCE, SHOWN = 1e-6, 1e-7
"""0.01 bp of NAV; and what is no breach."""
BP = 1e4
PARTS, WORKERS, STRETCH, NICE = 4, 2, 250, 10
SMALL = 200


@dataclass(frozen=True)
class Judgement:
    """One decision; gaps in fractions of NAV, NaN where the reference ends at no tolerance.

    beyond: broken beyond the least, worst tier.
    """

    mandate: str
    rung: str
    gap: float
    gap_lots: float
    broken: float
    beyond: float


def judged(problem: AllocationProblem, allocator: CvxAllocator, name: str) -> Any:
    """The answer and its judgement."""
    answer = allocator.allocate(problem)
    stated = Tight(problem)
    totals, beyond = stated.totals(answer.continuous), 0.0
    try:
        best = stated.best(stated.excess(answer.continuous))
        if max(totals.values()) > SHOWN:
            least, _ = stated.least()
            beyond = max(totals[tier] - least[tier] for tier in totals)
    except RuntimeError:
        best = math.nan
    gap_lots = best - worth(problem, answer.trades)
    gap = best - worth(problem, answer.continuous)
    return answer, Judgement(name, answer.rung, gap, gap_lots, max(totals.values()), beyond)


def part(world: World, number: int, *, first: int, count: int, names: int = 40) -> list[Judgement]:
    """One portfolio's decisions over a stretch of sessions.

    None of one whose charges the allocator does not state.
    """
    mandate = MANDATES[number]
    found: list[Judgement] = []
    allocator = CvxAllocator(SolverSettings())
    paths = decisions(world, mandate, first=first, last=first + count, seed=number, names=names)
    for problem, decided in paths:
        if mandate.charged and not found and not states_charges(problem, allocator):
            return []
        answer, one = judged(problem, allocator, mandate.name)
        found.append(one)
        decided(answer.trades)
    return found


def states_charges(problem: AllocationProblem, allocator: CvxAllocator) -> bool:
    """Whether what the allocator says its answer is worth is less the charges."""
    answer = allocator.allocate(problem)
    return abs(worth(problem, answer.continuous) - answer.objective_continuous) <= TOLERANCE


def _begin() -> None:
    os.nice(NICE)
    pin_threads()


def _part(folder: Path, number: int, first: int, count: int) -> list[Judgement]:
    return part(real(folder), number, first=first, count=count)


def played(folder: Path, wanted: int) -> list[Judgement]:
    """All portfolios over all stretches, in two processes, with a bar."""
    each = -(-wanted // (len(MANDATES) * PARTS))
    starts = [WINDOW + at * STRETCH for at in range(PARTS)]
    found: list[Judgement] = []
    with (
        ProcessPoolExecutor(WORKERS, get_context("spawn"), initializer=_begin) as pool,
        Progress(disable=not sys.stderr.isatty()) as progress,
    ):
        task = progress.add_task("deciding", total=each * len(MANDATES) * PARTS)
        waiting = [
            pool.submit(_part, folder, number, first, each)
            for first in starts
            for number in range(len(MANDATES))
        ]
        for done in as_completed(waiting):
            found += done.result()
            progress.advance(task, each)
    return found


def summary(found: Iterable[Judgement]) -> dict[str, Any]:
    """Shares and quantiles, in basis points of NAV."""
    all_of = list(found)
    if not all_of:
        return {"left_out": "the allocator does not state this mandate's charges"}
    known = [one for one in all_of if not math.isnan(one.gap)]
    gaps, lots = [one.gap for one in known], [one.gap_lots for one in known]
    broken = [one for one in known if one.broken > SHOWN]
    rungs = sorted({one.rung for one in all_of})
    return {
        "decisions": len(all_of),
        "without_a_reference": len(all_of) - len(known),
        "within_0.01_bp": sum(gap <= TOLERANCE for gap in gaps),
        "share_within": round(sum(gap <= TOLERANCE for gap in gaps) / len(all_of), 5),
        "gap_bp": _spread(gaps),
        "gap_after_lots_bp": _spread(lots),
        "limits_broken": len(broken),
        "beyond_least_max": float(f"{max((one.beyond for one in broken), default=0.0):.2g}"),
        "rungs": {rung: sum(one.rung == rung for one in all_of) for rung in rungs},
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    sizes = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: float(f"{BP * quantile(list(values), q):.3g}") for name, q in sizes.items()}
    return {**found, "max": float(f"{BP * max(values):.3g}")}


def small_cases(*, finer: float) -> dict[str, Any]:
    """The allocator's whole lots beside the best there are; finer: than half a to four percent."""
    if find_spec("pyscipopt") is None:
        return {"left_out": "no SCIP here: run ops/setup --bench, then .venv-bench/bin/python"}
    lots = import_module("tests.support.whole_lots")  # It needs SCIP.
    allocator, found, unproven = CvxAllocator(SolverSettings()), [], []
    for seed in range(SMALL):
        problem = lots.small(seed, finer=finer)
        answer = allocator.allocate(problem)
        proven = lots.best_lots(problem)
        found.append(proven.bound - worth(problem, answer.trades))
        unproven.append(proven.bound - proven.value)
    return {
        "cases": len(found),
        "lots_percent_of_nav": [0.5 / finer, 4.0 / finer],
        "gap_bp": _spread(found),
        "proof_gap_bp_max": float(f"{BP * max(unproven):.2g}"),
        "exact": sum(gap <= TOLERANCE for gap in found),
    }


def main(arguments: list[str]) -> int:
    """Play, judge, and fail where fewer than 99 % are within a hundredth of a basis point."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prices")
    parser.add_argument("--decisions", type=int, default=5040, help="at least so many")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    found = played(given.data, given.decisions)
    figures: dict[str, Any] = {"all": summary(found)}
    for mandate in MANDATES:
        figures[mandate.name] = summary(one for one in found if one.mandate == mandate.name)
    pin_threads()
    figures["ten names, beside the best whole lots"] = small_cases(finer=1.0)
    figures["the same, lots a tenth"] = small_cases(finer=10.0)
    figures["minutes"] = round((time.monotonic() - began) / 60, 1)
    finish("optimality", figures, record=given.record)
    return 0 if figures["all"]["share_within"] > 0.99 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

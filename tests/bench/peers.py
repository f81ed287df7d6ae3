"""The allocator beside its peers: the same problems, the same process, one thread.

`python -m tests.bench.peers [--rounds 200] [--sizes 20,50,...] [--processor] [--record]`, in the
environment that `ops/setup --bench` makes. `qp` states the problem, `libraries` says how each peer
is asked. All get the same means and present weights, new in each round, each of them ten rounds in
its turn, in an order that turns: a busy moment hits all alike, and each has its code and data at
hand, as in a stream of decisions. `first_p50_ms` is the median of the first rounds of the turns,
which come after another's. Two rounds before the first are not counted: they compile. A peer that
has used its minutes at one size stops there, and the table says after how many.

Every answer is judged by the same function against a tight reference: within a hundredth of a basis
point of NAV in objective and in limits, or its times do not count and the gap is shown.

Ours stands there twice: its whole answer, and the part that others have, weights, with certificate.

Times are of the wall's clock, for a quiet machine; with --processor, of the processor's: what can
still be compared on one that is not.

Two further rows: impact to the power of 3/2, exactly, and ten strategies' sleeves on a model of
fifteen factors, each beside bare cvxpy. They are left out, with the reason, for an allocator whose
answers know neither.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.progress import Progress

from coordinator.core.ports import Floats
from coordinator.solver import pin_threads
from tests.bench import sleeves
from tests.bench.libraries import REMEDY, WITHOUT_COSTS, installed, libraries, without_costs
from tests.bench.qp import TOLERANCE, Inputs, draw, judge, reference
from tests.bench.record import RESULTS, finish, options, quantile
from tests.bench.stated import (
    CLARABEL,
    OSQP,
    PIQP,
    Solve,
    alone,
    bare,
    clarabel_raw,
    ours,
    piqp_raw,
)

__all__ = ["OURS", "Lap", "table"]

SIZES = (20, 50, 100, 250, 500)
ROUNDS, WARM_UP, TURN = 200, 2, 10
MINUTES_MAX = 2.0
OURS = "ours"
Clock = Callable[[], float]
BARE = {
    "bare cvxpy, Clarabel": bare(CLARABEL),
    "bare cvxpy, PIQP": bare(PIQP),
    "bare cvxpy, OSQP": bare(OSQP),
}
LIMIT = {"raw PIQP": piqp_raw(), "raw Clarabel": clarabel_raw}
ALONE = "ours, solve and certificate alone"
FACTORED = {
    "ours, factors given": ours(factored=True),
    "ours, factors given, solve and certificate alone": alone(factored=True),
    "bare cvxpy, PIQP, factors written out": bare(PIQP, factored=True),
    "raw PIQP, factors written out": piqp_raw(factored=True),
}


@dataclass
class Lap:
    """What one peer did at one size: milliseconds, and the worst of its answers.

    firsts: of those times the ones that came after another's turn.
    """

    times: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    worst: float = 0.0
    failed: str | None = None

    @property
    def counts(self) -> bool:
        """Whether every answer was within tolerance."""
        return self.failed is None and self.worst <= TOLERANCE and bool(self.times)

    def figures(self, best: Lap) -> dict[str, Any]:
        """Of the table; ratios are to ours, above 1 where ours is faster."""
        if self.failed is not None:
            return {"failed": self.failed, "solves": len(self.times)}
        found: dict[str, Any] = {"solves": len(self.times), "worst_gap": float(f"{self.worst:.1e}")}
        if not self.counts:
            found["not_at_tolerance"] = True
        for name, q in (("p50", 0.5), ("p99", 0.99)):
            found[f"{name}_ms"] = round(quantile(self.times, q), 3)
            found[f"{name}_ratio"] = round(quantile(self.times, q) / quantile(best.times, q), 2)
        found["first_p50_ms"] = round(quantile(self.firsts, 0.5), 3)
        return found

    def note(self, spent: float, *, at: int) -> None:
        """A counted time, milliseconds; at: its place in the turn."""
        self.times.append(spent)
        if not at:
            self.firsts.append(spent)


def turns(count: int) -> Iterator[range]:
    """Rounds, some at a time; those that are not counted come first, on their own."""
    yield range(min(WARM_UP, count))
    for first in range(WARM_UP, count, TURN):
        yield range(first, min(first + TURN, count))


def race(
    solvers: dict[str, Solve],
    rounds: Sequence[Inputs],
    step: Callable[[], None],
    clock: Clock = time.perf_counter,
) -> dict[str, Lap]:
    """Every solver over every round, in turns."""
    laps = {name: Lap() for name in solvers}
    names = list(solvers)
    for number, turn in enumerate(turns(len(rounds))):
        block = [rounds[at] for at in turn]
        stated = {False: block, True: [without_costs(one) for one in block]}
        bests = {False: [reference(one) for one in block], True: [math.nan] * len(block)}
        if WITHOUT_COSTS & set(names):
            bests[True] = [reference(one) for one in stated[True]]
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            lap, plain = laps[name], name in WITHOUT_COSTS
            if lap.failed is not None or sum(lap.times) > MINUTES_MAX * 60_000:
                continue
            answers = [_timed(solvers[name], one, lap, clock) for one in stated[plain]]
            for at, (spent, weights) in enumerate(answers):
                if weights is not None:
                    found = judge(stated[plain][at], weights, bests[plain][at])
                    lap.worst = max(lap.worst, found.worst)
                    if turn.start >= WARM_UP:
                        lap.note(spent, at=at)
        for _ in block:
            step()
    return laps


def _timed(solve: Solve, given: Inputs, lap: Lap, clock: Clock) -> tuple[float, Floats | None]:
    if lap.failed is not None:
        return 0.0, None
    began = clock()
    try:
        weights = solve(given)
    except Exception as error:  # noqa: BLE001 - whatever a library raises is its result
        lap.failed = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        return 0.0, None
    spent = (clock() - began) * 1000.0
    return spent, np.array(weights)  # a solver may write its next answer over this one


def measured(
    sizes: Sequence[int], rounds: int, step: Callable[[], None], clock: Clock
) -> dict[str, Any]:
    """Each size's table."""
    makers = {OURS: ours(), ALONE: alone(), **libraries(), **BARE, **LIMIT, **FACTORED}
    pin_threads()
    found: dict[str, Any] = {}
    for n in sizes:
        inputs = list(draw(n, rounds=rounds + WARM_UP))
        laps = race({name: make(inputs[0]) for name, make in makers.items()}, inputs, step, clock)
        found[f"n={n}"] = {name: lap.figures(laps[OURS]) for name, lap in laps.items()}
        found[f"n={n}"]["best_peer"] = _best(laps)
    return found


def _best(laps: dict[str, Lap]) -> dict[str, Any]:
    """The fastest of the libraries and of bare cvxpy, by p50 and by p99, where it counts."""
    theirs = {name: lap for name, lap in laps.items() if lap.counts and _is_peer(name)}
    return {
        name: min(theirs, key=lambda who: quantile(theirs[who].times, q), default=None)
        for name, q in (("p50", 0.5), ("p99", 0.99))
    }


def _is_peer(name: str) -> bool:
    return name not in (OURS, ALONE) and name not in LIMIT and name not in FACTORED


def with_impact(rounds: int, step: Callable[[], None], clock: Clock) -> dict[str, Any]:
    """Exact 3/2 impact at n = 100, beside bare cvxpy with cones of powers."""
    inputs = list(draw(100, rounds=rounds + WARM_UP, impact=True))
    if not sleeves.charges_impact(inputs[0]):
        return {"left_out": "the allocator does not charge impact"}
    makers = {OURS: ours(), ALONE: alone(), "bare cvxpy, Clarabel": bare(CLARABEL)}
    laps = race({name: make(inputs[0]) for name, make in makers.items()}, inputs, step, clock)
    return {name: lap.figures(laps[OURS]) for name, lap in laps.items()}


def with_sleeves(rounds: int, step: Callable[[], None], clock: Clock) -> dict[str, Any]:
    """Ten strategies on fifteen factors at n = 100."""
    given = list(sleeves.draw(rounds=rounds + WARM_UP))
    if not sleeves.knows_sleeves(given[0]):
        return {"left_out": "the allocator has no sleeves"}
    solvers = sleeves.solvers(given[0])
    laps = {name: Lap() for name in solvers}
    for turn in turns(len(given)):
        block = [given[at] for at in turn]
        bests = [sleeves.reference(one) for one in block]
        for name, lap in laps.items():
            for at, (one, best) in enumerate(zip(block, bests, strict=True)):
                began = clock()
                weights, sizes = solvers[name](one)
                spent = (clock() - began) * 1000.0
                lap.worst = max(lap.worst, sleeves.shortfall(one, weights, sizes, best))
                if turn.start >= WARM_UP:
                    lap.note(spent, at=at)
        for _ in block:
            step()
    return {name: lap.figures(laps[OURS]) for name, lap in laps.items()}


def table(figures: dict[str, Any]) -> str:
    """Milliseconds p50 / p99 by size; in brackets how many times ours; * not at tolerance."""
    sizes = [name for name in figures if name.startswith("n=")]
    rows = [f"| who | {' | '.join(sizes)} |", "| --- |" + " ---: |" * len(sizes)]
    for who in figures[sizes[0]]:
        if who != "best_peer":
            cells = " | ".join(_cell(figures[size].get(who, {})) for size in sizes)
            rows.append(f"| {who} | {cells} |")
    return "\n".join(rows) + "\n"


def _cell(one: dict[str, Any]) -> str:
    if "p50_ms" not in one:
        return "failed"
    mark = f" *{one['worst_gap'] * 1e4:.2g} bp" if one.get("not_at_tolerance") else ""
    fewer = f", {one['solves']} solves" if one["solves"] < ROUNDS else ""
    return f"{one['p50_ms']:.2f} / {one['p99_ms']:.2f} ({one['p50_ratio']}{fewer}){mark}"


def main(arguments: list[str]) -> int:
    """Measure all, print the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="counted solves of each peer")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of instruments")
    parser.add_argument("--processor", action="store_true", help="time of the processor")
    given = parser.parse_args(arguments)
    clock = time.process_time if given.processor else time.perf_counter
    if not installed():
        print(REMEDY, file=sys.stderr)
        return 1
    sizes = [int(size) for size in given.sizes.split(",")]
    with Progress(disable=not sys.stderr.isatty()) as progress:
        total = (len(sizes) + 2) * (given.rounds + WARM_UP)
        task = progress.add_task("solving", total=total)
        step = lambda: progress.advance(task)  # noqa: E731 - one step of the bar
        figures = measured(sizes, given.rounds, step, clock)
        figures["impact, n=100"] = with_impact(given.rounds, step, clock)
        figures["sleeves, n=100"] = with_sleeves(given.rounds, step, clock)
    figures["clock"] = "processor" if given.processor else "wall"
    finish("peers", figures, record=given.record)
    print(table(figures))
    if given.record:
        (RESULTS / "peers.md").write_text(table(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Many portfolios at once, on as many cores as are given.

Place in the flow: for whoever has several problems at the same time: a sweep, a bench, a notebook.
Each problem is solved by the same code in the same way wherever it runs, so that the answers are
those of one allocator asked one by one, bit for bit. It must never depend on who was quicker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from multiprocessing import get_context
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from coordinator.core.ports import Allocation, AllocationProblem, Floats, Force, LimitReading
from coordinator.solver.allocator import CvxAllocator
from coordinator.solver.settings import SolverSettings
from coordinator.solver.threads import pin_threads

__all__ = ["ManyAllocator"]

_ours: CvxAllocator | None = None
"""Of a worker process."""


class ManyAllocator:
    """An allocator for many problems at once: one part is solved here, the others by workers.

    Portfolios that share a covariance share it on the way to a worker, too: give them the same
    array. A worker that dies costs time, no answer. Used as a context, it ends its workers.
    """

    def __init__(self, settings: SolverSettings | None = None, *, workers: int = 1) -> None:
        """workers: processes that solve, this one included, at least 1; cores are a good number.

        Raises ValueError for less than 1.
        """
        if workers != int(workers) or workers < 1:
            message = f"workers is {workers!r}: give a whole number, at least 1, this process"
            raise ValueError(message)
        self._settings = settings or SolverSettings()
        self._here = CvxAllocator(self._settings)
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def allocate(self, problem: AllocationProblem) -> Allocation:
        """One problem, here; see `CvxAllocator.allocate`."""
        return self._here.allocate(problem)

    def allocate_many(self, problems: Sequence[AllocationProblem]) -> tuple[Allocation, ...]:
        """The answers, in the order of the problems.

        Raises ProblemError for the first part that holds no allocation problem, as `allocate`.
        """
        problems = list(problems)
        parts = _parts(problems, self._workers)
        if len(parts) <= 1:
            return tuple(self._here.allocate(problem) for problem in problems)
        futures = [self._sent(part) for part in parts[1:]]
        answers = [self._here.allocate(problem) for problem in parts[0]]
        for part, future in zip(parts[1:], futures, strict=True):
            found: list[Allocation] | None = None
            with contextlib.suppress(BrokenProcessPool):
                found = None if future is None else [_unpacked(one) for one in future.result()]
            if found is None:
                self.close()
                found = [self._here.allocate(problem) for problem in part]
            answers += found
        return tuple(answers)

    def _sent(self, part: Sequence[AllocationProblem]) -> Future[list[_Packed]] | None:
        """A part on its way to a worker; None where the workers are gone."""
        with contextlib.suppress(BrokenProcessPool):
            return self._started().submit(_solve_there, part)
        return None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Forked, a worker would inherit locks that nobody opens.
            self._pool = ProcessPoolExecutor(
                self._workers - 1,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(self._settings,),
            )
        return self._pool


def _parts(problems: Sequence[AllocationProblem], count: int) -> list[Sequence[AllocationProblem]]:
    """As many consecutive parts of nearly one size; fewer where there are fewer problems."""
    count = max(1, min(count, len(problems)))
    ends = [len(problems) * k // count for k in range(count + 1)]
    return [problems[ends[k] : ends[k + 1]] for k in range(count)]


def _begin(settings: SolverSettings) -> None:
    """A worker's own allocator, on one thread as everywhere."""
    global _ours  # noqa: PLW0603 - a worker process keeps its allocator between parts
    pin_threads()
    _ours = CvxAllocator(settings)


def _solve_there(problems: Sequence[AllocationProblem]) -> list[_Packed]:
    """A part's answers, in a worker."""
    allocator = _ours or CvxAllocator(SolverSettings())
    for problem in problems:
        # Arrived arrays belong to nobody else: a covariance of many problems is judged once.
        if isinstance(problem.covariance, np.ndarray):
            problem.covariance.setflags(write=False)
    return [_packed(allocator.allocate(problem)) for problem in problems]


class _Packed(NamedTuple):
    """An answer on its way: in few objects, as each takes its time to send.

    rest: (name, value) of all fields but limits and forces. pulls: (f, n) of the forces.
    """

    limits: list[tuple[Any, ...]]
    forces: list[str]
    pulls: Floats
    rest: list[tuple[str, Any]]


_REST = [one.name for one in fields(Allocation) if one.name not in ("limits", "forces")]


def _packed(answer: Allocation) -> _Packed:
    return _Packed(
        limits=[tuple(one) for one in answer.limits],
        forces=[one.name for one in answer.forces],
        pulls=np.array([one.pulls for one in answer.forces]),
        rest=[(name, getattr(answer, name)) for name in _REST],
    )


def _unpacked(found: _Packed) -> Allocation:
    return Allocation(
        **dict(found.rest),
        limits=tuple([LimitReading(*one) for one in found.limits]),
        forces=tuple(map(Force, found.forces, found.pulls)),
    )

"""Logs that several builds decided, one after the other, each behind the seal of the one before.

Place in the flow: tests only. A build is a name and a way to make engines; "ours" is this process's
own identity.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import TypeVar

import coordinator
from coordinator.bootstrap import engine_started, identity
from coordinator.core.engine import Engine
from coordinator.core.ports import Allocation, AllocationProblem, Log
from coordinator.learning import ChosenRisk
from coordinator.shells.local import LocalShell
from coordinator.solver import CvxAllocator, SolverSettings
from schemas.journal import EngineStarted
from tests.journals import DAY, HOUR, T0, Inputs, engine

__all__ = ["OURS", "Build", "cautious", "environment_of", "lived_by"]

OURS = "ours"
SHARDS = 2
L = TypeVar("L", bound=Log)


@dataclass(frozen=True, slots=True)
class Build:
    """A build by name, and its engines."""

    name: str
    make: Callable[[int, int], Engine] = engine

    def started(self, *, at: int, shards: int) -> EngineStarted:
        ours = engine_started(at=at, shards=shards)
        return ours if self.name == OURS else ours.model_copy(update={"build": self.name})


class _Cautious:
    """Another build's allocator: one constant is another."""

    def __init__(self) -> None:
        self._inner = CvxAllocator(SolverSettings())

    def allocate(self, problem: AllocationProblem) -> Allocation:
        return self._inner.allocate(replace(problem, risk_aversion=2 * problem.risk_aversion))


def cautious(shard: int, shards: int) -> Engine:
    return Engine(shard=shard, shards=shards, allocator=_Cautious(), risk_model=ChosenRisk())


def lived_by(builds: Sequence[Build], log: L, *, sealed: bool = False) -> L:
    """Each build decides for a day, and writes its state down at the seal.

    sealed: the last one seals, too.
    """
    make = Inputs()
    now = T0

    def clock() -> int:
        return now

    for number, build in enumerate(builds):
        now = start = T0 + number * DAY
        shell = LocalShell(
            log, shards=SHARDS, clock=clock, engines=build.make, started=build.started
        )
        shell.start()
        made = []
        if number == 0:
            made += [make.listed("A"), make.registered("s"), *map(make.opened, "pc")]
        made.append(make.close({"A": 10.0 + number}, start + HOUR))
        made += [make.signal("s", "A", start + n * HOUR) for n in range(2, 6)]
        for one in made:
            now = max(now, one.at)
            shell.accept([one.raw])
        now = start + 8 * HOUR
        shell.tick()
        if number + 1 == len(builds) and not sealed:
            shell.stop()
        else:
            shell.seal()
    return log


def environment_of(build: str, folder: Path) -> Path:
    """A folder like a virtual environment's, whose coordinator takes itself for that build."""
    command = folder / "bin" / "coordinator"
    command.parent.mkdir(parents=True)
    tree = Path(next(iter(coordinator.__path__))).parent
    command.write_text(
        dedent(f"""\
            #!{sys.executable}
            import sys
            sys.path.insert(0, {str(tree)!r})
            import coordinator.bootstrap
            ours = coordinator.bootstrap.identity()
            import replay.identity
            replay.identity.identity = lambda: ({build!r}, *ours[1:])
            from coordinator.cli.main import main
            sys.exit(main())
            """),
        encoding="utf-8",
    )
    command.chmod(0o755)
    return folder


def ours() -> str:
    """The name of this process's build."""
    return identity()[0]

"""The local shell: all shards of one log in one process, without a server.

Place in the flow: messages in, through the router and the shards' engines, decisions out, all in
one log (SQLite by default). A restart follows the rule of every shell: newest checkpoint, fold,
audit. No rule of the engine lives here; it only says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coordinator.bootstrap import build_engine, engine_started
from coordinator.core.clock import SECOND
from coordinator.core.engine import Engine
from coordinator.core.ports import Log
from coordinator.core.route import Raw, RouteCounts, Router
from coordinator.core.shard import Recovery, Shard
from schemas.entries import decode_journal
from schemas.journal import EngineStarted

__all__ = ["LocalShell", "OtherBuild"]

IDLE_TICK = 10 * SECOND
"""An idle shard is told the time this often, so that its clock never lies far behind."""
EngineFactory = Callable[[int, int], Engine]


class OtherBuild(Exception):
    """The log was begun by another engine: go on with that one, or in a new log."""


def _engine(shard: int, shards: int) -> Engine:
    return build_engine(shard=shard, shards=shards)


class LocalShell:
    """One log, all its shards. Call `start` once, then `accept` and `tick` from one thread.

    clock: nanoseconds UTC; the only clock there is. engines: how a shard's engine is made.
    """

    def __init__(
        self,
        log: Log,
        *,
        shards: int,
        clock: Callable[[], int],
        engines: EngineFactory = _engine,
        started: Callable[..., EngineStarted] = engine_started,
    ) -> None:
        self._log = log
        self._clock = clock
        self._started = started
        self._router = Router(log, shards=shards)
        self._shards = [Shard(log, engines(number, shards)) for number in range(shards)]

    def start(self) -> tuple[Recovery, ...]:
        """Begin the journals that are new, recover the others; returns what each shard found.

        Raises OtherBuild, and Diverged when the log holds what this engine would not say.
        """
        now = self._clock()
        event = self._started(at=now)
        new = [shard.number for shard in self._shards if not self._log.end("journal", shard.number)]
        if new:
            self._router.write(event, shards=new, journal_time=now)
        for shard in self._shards:
            self._refuse_other_build(shard.number, event)
        return tuple(shard.recover() for shard in self._shards)

    def _refuse_other_build(self, shard: int, ours: EngineStarted) -> None:
        """Raise OtherBuild, before anything is decided, where another engine began the journal."""
        record = next(self._log.read("journal", shard))
        theirs = decode_journal(record.payload).event
        here = (ours.build, ours.dependencies, ours.fingerprint)
        if not isinstance(theirs, EngineStarted) or here != (
            theirs.build,
            theirs.dependencies,
            theirs.fingerprint,
        ):
            message = f"shard {shard} was begun by another build, library or processor"
            raise OtherBuild(message)

    def accept(self, raws: Sequence[Raw]) -> RouteCounts:
        """Route messages into the journals and apply them; durable and decided on return."""
        now = self._clock()
        counts = self._router.accept(raws, journal_times=[now] * len(raws))
        self._pump()
        return counts

    def tick(self) -> int | None:
        """Tell the time to shards whose timers are due or that idled; when to call again, ns."""
        now = self._clock()
        for shard in self._shards:
            deadline = shard.engine.next_deadline()
            due = deadline is not None and deadline < now
            if due or now - shard.engine.clock >= IDLE_TICK:
                shard.tick(now)
        self._pump()
        deadlines = [shard.engine.next_deadline() for shard in self._shards]
        return min((at + 1 for at in deadlines if at is not None), default=None)

    def stop(self) -> None:
        """Write every shard's checkpoint; the next start begins there."""
        for shard in self._shards:
            shard.checkpoint()

    def _pump(self) -> None:
        for shard in self._shards:
            shard.pump()

"""The local shell: all shards of one log in one process, without a server.

Place in the flow: messages in, through the router and the shards' engines, decisions out, all in
one log (SQLite by default). A restart follows the rule of every shell: newest checkpoint, fold,
audit. No rule of the engine lives here; it only says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from coordinator.bootstrap import engine_started
from coordinator.core.clock import SECOND
from coordinator.core.engine import Engine
from coordinator.core.ports import Log
from coordinator.core.route import Raw, RouteCounts, Router
from coordinator.core.shard import Recovery, Shard
from coordinator.shells.forked import engine_on_cores
from schemas.journal import EngineSealed, EngineStarted

__all__ = ["LocalShell"]

IDLE_TICK = 10 * SECOND
"""An idle shard is told the time this often, so that its clock never lies far behind."""
EngineFactory = Callable[[int, int], Engine]


def _engine(shard: int, shards: int) -> Engine:
    return engine_on_cores(shard=shard, shards=shards)


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
        self._started = partial(started, shards=shards)
        self._router = Router(log, shards=shards)
        ours = self._started(at=clock())
        self._engines = [engines(number, shards) for number in range(shards)]
        self._shards = [Shard(log, engine, ours=ours) for engine in self._engines]

    def start(self) -> tuple[Recovery, ...]:
        """Begin the journals that are new, recover the others; returns what each shard found.

        A journal that was sealed goes on with this build, and what was appended behind the seal is
        decided by it. Raises OtherBuild where another decides, WrongShards for another number of
        shards, and Diverged when the log holds what this engine would not say.
        """
        new = [s for s in self._shards if not self._log.end("journal", s.number)]
        found = tuple(map(_recovered, self._shards))  # before it is said that this build begins
        sealed = [shard for shard in self._shards if shard.engine.state.sealed]
        self._begin([*new, *sealed])
        for shard in sealed:
            shard.pump_to_seal()
        self._pump()
        return found

    def _begin(self, shards: Sequence[Shard]) -> None:
        """Say in these journals that from now on this build decides."""
        if shards:
            now = self._clock()
            numbers = [shard.number for shard in shards]
            self._router.write(self._started(at=now), shards=numbers, journal_time=now)

    def seal(self, reason: str = "") -> None:
        """The last thing this build does with the log: the next one starts behind the seal."""
        now = self._clock()
        event = EngineSealed(event_id=f"seal {now}", event_time=now, reason=reason)
        numbers = [shard.number for shard in self._shards]
        self._router.write(event, shards=numbers, journal_time=now)
        self._pump()
        self.stop()

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

    @property
    def rounds_open(self) -> int:
        """Portfolios that collect signals for a decision now."""
        return sum(
            portfolio.round is not None
            for engine in self._engines
            for portfolio in engine.state.portfolios.values()
        )

    def stop(self) -> None:
        """Write every shard's checkpoint; the next start begins there."""
        for shard in self._shards:
            shard.checkpoint()

    def _pump(self) -> None:
        for shard in self._shards:
            shard.pump()


def _recovered(shard: Shard) -> Recovery:
    """Up to the journal's end, or a seal that nobody has passed yet."""
    shard.begin()
    return shard.recovered(shard.pump_to_seal())

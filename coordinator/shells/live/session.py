"""Session: a shard on one connection to the log, from one failure to the next.

Place in the flow: what an owner holds while it owns: what it reads, applies, says and writes down.
After a failed send nothing is ever sent on it again.
"""

from __future__ import annotations

from collections.abc import Callable

from coordinator.core.shard import Shard
from coordinator.log.kafka import KafkaLog
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.keeping import Checkpoints
from coordinator.shells.live.observing import Observer
from coordinator.shells.live.publishing import Publisher

__all__ = ["Session"]


class Session:
    """Make it before the shard begins: it asks the log, and raises LogUnavailable.

    wake: called when what was sent is through. broker_time: told what is acknowledged.
    """

    def __init__(
        self,
        log: KafkaLog,
        shard: Shard,
        *,
        wake: Callable[[], None],
        observer: Observer,
        broker_time: BrokerTime,
    ) -> None:
        self.log = log
        self.shard = shard
        self._observer = observer
        # Asked before the tail is read: what a zombie adds meanwhile is looked at twice, not never.
        end = log.end("decisions", shard.number)
        self.publisher = Publisher(
            log, shard.number, wake=wake, end=end, repeated=observer.repeated,
            broker_time=broker_time,
        )  # fmt: skip
        self.checkpoints = Checkpoints(log, shard, wake=wake, took=observer.checkpointed)

    def publish_soon(self, *, urgent_only: bool = False) -> None:
        """Take note of what is through, and send what waits: of a round, or all."""
        if done := self.publisher.flush_soon(urgent_only=urgent_only):
            self._observer.published(done)

    def flush(self) -> None:
        """Wait until all that was said is acknowledged. Raises LogUnavailable, Diverged."""
        if done := self.publisher.flush():
            self._observer.published(done)

    def checkpoint(self) -> None:
        """Write the state down once all that was said is there; it is on its way then."""
        self.flush()
        self.checkpoints.begin()

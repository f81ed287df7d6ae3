"""The projector: follows a log and keeps one projection up to date, for ever.

Place in the flow: a process of its own beside the engine's; decisions never wait for it. A target
that is away is tried again for ever with growing pauses, and nothing is lost, because the marks
stand in the target. What trying again cannot mend stops it loudly. It must never skip a record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from coordinator.core.ports import LogReader
from coordinator.log.errors import LogUnavailable
from projections.errors import ProjectionStopped, TargetAway, TargetBusy, TargetChanged
from projections.following import Follower
from projections.sink import Sink

__all__ = ["HealthBoard", "LagGauges", "Pace", "Projector", "lag_gauges"]

_log: Any = structlog.get_logger(__name__)


class HealthBoard(Protocol):
    """Where the projector says how it is: coordinator.telemetry's Health, or a fake."""

    def set(
        self,
        name: str,
        ok: bool,  # noqa: FBT001 - as Health has it
        reason: str = "",
        *,
        lapses_s: float | None = None,
    ) -> None:
        """State of the check of that name; it fails by itself when not set again in that time."""
        ...


class LagGauges(Protocol):
    """Where the projector says how far it is behind, per shard."""

    def __call__(self, projection: str, shard: int, *, records: int, seconds: float) -> None:
        """Records not projected yet, and how long ago the oldest of them was journaled."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """Bounds of the projector's loop; seconds unless said.

    rows_max: of a batch, soon after which it is written; batch: longest time one is gathered.
    interval: between looks at a log that had nothing new. pause, pause_max: after a failed try,
    doubling. beat: how often an idle writer shows that it lives. look: how often new shards are
    looked for, and the lag is measured. lapse: without a step for so long, health is lost.
    """

    rows_max: int = 5_000
    batch: float = 0.5
    interval: float = 0.1
    pause: float = 0.2
    pause_max: float = 10.0
    beat: float = 3.0
    look: float = 2.0
    lapse: float = 10.0


PACE = Pace()


@dataclass(slots=True)
class Projector:
    """Keeps `sink` up to date with `reader`; one instance a thread.

    health: gets the check "projection NAME". gauges: get the lag. clock: of the journal, ns UTC.
    """

    reader: LogReader
    sink: Sink
    pace: Pace = PACE
    health: HealthBoard | None = None
    gauges: LagGauges | None = None
    clock: Callable[[], int] = time.time_ns
    _follower: Follower = field(init=False)
    _open: bool = False
    _state: str = ""
    _pause: float = 0.0
    _beaten: float = 0.0
    _looked: float = float("-inf")

    def __post_init__(self) -> None:
        self._follower = Follower(self.reader, self.sink.name)
        if self.health is not None:
            self.health.set(f"projection {self.sink.name}", ok=False, reason="not open yet")

    def run(self, stop: threading.Event) -> None:
        """Follow the log until `stop` is set. Raises ProjectionStopped, and the log's errors."""
        try:
            while not stop.is_set():
                done = self.step()
                if self._pause:
                    stop.wait(self._pause)
                elif not done:
                    stop.wait(self.pace.interval)
        finally:
            self.close()

    def step(self) -> int:
        """Read on once and write it; records written, 0 when there was none or it has to wait.

        Raises ProjectionStopped, and the log's errors.
        """
        try:
            return self._step()
        except TargetAway as error:
            self._wait("away", error)
        except TargetBusy as error:
            self._wait("standby", error)
        except LogUnavailable as error:
            self._wait("log away", error)
        except TargetChanged as error:
            self._open = False
            self._say("changed", str(error), ok=False)
        except ProjectionStopped as error:
            self._say("stopped", str(error), ok=False)
            raise
        return 0

    def close(self) -> None:
        """Let a standby take over."""
        self._open = False
        self.sink.close()

    def _step(self) -> int:
        if not self._open:
            self._follower.reset(self.sink.open())
            self._open, self._looked = True, float("-inf")
        self._look()
        end = time.monotonic() + self.pace.batch
        batch = self._follower.batch(
            rows_max=self.pace.rows_max, until=lambda: time.monotonic() >= end
        )
        if batch.after:
            self.sink.commit(batch)
            self._beaten = time.monotonic()
        else:
            self.sink.caught_up()
            self._beat()
        self._pause = 0.0
        self._say("writing", "", ok=True)
        return batch.records

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten >= self.pace.beat:
            self.sink.beat()
            self._beaten = now

    def _look(self) -> None:
        """New shards, and the lag, every now and then."""
        now = time.monotonic()
        if now - self._looked < self.pace.look:
            return
        self._looked = now
        self._follower.find_shards()
        if self.gauges is None:
            return
        lags: dict[int, tuple[int, float]] = {}
        for part in self._follower.parts:
            records, seconds = lags.get(part[1], (0, 0.0))
            behind = self._follower.lag(part)
            since = self._follower.oldest(part) if behind else None
            late = 0.0 if since is None else (self.clock() - since) / 1e9
            lags[part[1]] = (records + behind, max(seconds, late))
        for shard, (records, seconds) in lags.items():
            self.gauges(self.sink.name, shard, records=records, seconds=max(0.0, seconds))

    def _wait(self, state: str, error: Exception) -> None:
        """Nothing can be written now: pause, longer each time, and open anew."""
        self._open = False
        longer = min(self._pause * 2, self.pace.pause_max)
        # A standby's turn comes soon after the writer's end: no need to back off for long.
        self._pause = self.pace.pause if state == "standby" else max(self.pace.pause, longer)
        # A standby is well: it is ready to take over.
        self._say(state, str(error), ok=state == "standby")

    def _say(self, state: str, reason: str, *, ok: bool) -> None:
        """Log a change of state once; health always has the newest reason."""
        if self.health is not None:
            self.health.set(f"projection {self.sink.name}", ok, reason, lapses_s=self.pace.lapse)
        if state == self._state:
            return
        self._state = state
        write = _log.info if ok else _log.error if state == "stopped" else _log.warning
        write("projection_state", projection=self.sink.name, state=state, reason=reason)


def lag_gauges(metrics: Any) -> LagGauges:
    """The two gauges of coordinator.telemetry's Metrics as one function."""

    def show(projection: str, shard: int, *, records: int, seconds: float) -> None:
        labels = {"projection": projection, "shard": str(shard)}
        metrics.projection_lag_records.labels(**labels).set(records)
        metrics.projection_lag_seconds.labels(**labels).set(seconds)

    return show

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from coordinator.core.ports import Append, Record
from coordinator.log.errors import LogUnavailable
from coordinator.log.memory import MemoryLog
from coordinator.telemetry.health import Health
from coordinator.telemetry.metrics import Metrics
from projections.errors import ProjectionError, RowRefused, TargetAway, TargetBusy, TargetChanged
from projections.projector import Pace, Projector, lag_gauges
from tests.support.projected import FakeSink, batches, busy_log, copied, everything

PACE = Pace(rows_max=200, interval=0.001, pause=0.001, pause_max=0.004, beat=0.0, look=0.0)


@dataclass(slots=True)
class Board:
    said: list[tuple[str, bool, str]] = field(default_factory=list)

    def set(self, name: str, ok: bool, reason: str = "", *, lapses_s: float | None = None) -> None:
        self.said.append((name, ok, reason))


def away() -> TargetAway:
    return TargetAway("fake", "connection refused")


def drain(projector: Projector, *, idle: int = 3) -> None:
    """Step until nothing came for some steps."""
    quiet = 0
    for _ in range(2_000):
        quiet = 0 if projector.step() else quiet + 1
        if quiet == idle and projector._open:
            return
    pytest.fail("never idle")


def assert_complete(sink: FakeSink) -> None:
    rows, marks = everything(batches(busy_log()))
    assert Counter(map(repr, sink.rows)) == Counter(map(repr, rows))
    assert sink.marks == marks


def test_a_log_is_projected_whole_and_once() -> None:
    sink = FakeSink()
    drain(Projector(busy_log(), sink, pace=PACE))
    assert_complete(sink)


def test_a_target_that_never_answers_is_told_within_ten_seconds() -> None:
    now = [100.0]
    health = Health(clock=lambda: now[0])
    projector = Projector(busy_log(), FakeSink(), pace=Pace(interval=0.001), health=health)
    drain(projector)
    assert health.ready()[0]
    now[0] += Pace().beat + Pace().batch + 1.0
    assert health.ready()[0], "an idle projector steps in that time"
    now[0] = 110.1
    assert not health.ready()[0]


def test_what_comes_later_is_projected_too() -> None:
    log = copied(busy_log(), {("decisions", 0): 30, ("journal", 1): 0, ("decisions", 1): 0})
    sink = FakeSink()
    projector = Projector(log, sink, pace=PACE)
    drain(projector)
    for part in busy_log().partitions():
        log.append([_append(one) for one in busy_log().read(*part, log.end(*part))])
    drain(projector)
    assert_complete(sink)


def test_a_target_that_is_away_loses_nothing_and_is_said_once() -> None:
    fails: list[ProjectionError | None] = [away(), away(), None, away(), away(), away(), None]
    sink, board = FakeSink(fails=fails), Board()
    projector = Projector(busy_log(), sink, pace=PACE, health=board)
    with capture_logs() as logs:
        drain(projector)
    assert_complete(sink)
    states = [one["state"] for one in logs if one["event"] == "projection_state"]
    assert states == ["away", "writing"]
    assert ("projection fake", False, "fake: connection refused") in board.said
    assert board.said[-1] == ("projection fake", True, "")


def test_pauses_grow_to_a_bound_and_end_with_the_outage() -> None:
    sink = FakeSink(fails=[away() for _ in range(5)])
    projector = Projector(busy_log(), sink, pace=PACE)
    pauses = []
    for _ in range(6):
        projector.step()
        pauses.append(projector._pause)
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004, 0.0]


def test_a_commit_of_which_nobody_knows_whether_it_was_done_is_not_done_twice() -> None:
    sink = FakeSink(fails=[None, away(), None, None, away()], after_write=True)
    drain(Projector(busy_log(), sink, pace=PACE))
    assert_complete(sink)


def test_a_standby_is_well_and_takes_over() -> None:
    sink, board = FakeSink(fails=[TargetBusy("fake", "another writes")] * 3), Board()
    projector = Projector(busy_log(), sink, pace=PACE, health=board)
    assert [projector.step() for _ in range(3)] == [0, 0, 0]
    assert board.said[-1] == ("projection fake", True, "fake: another writes")
    drain(projector)
    assert_complete(sink)


def test_a_swapped_target_is_opened_anew_and_followed_from_its_own_marks() -> None:
    sink = FakeSink()
    projector = Projector(busy_log(), sink, pace=PACE)
    for _ in range(4):
        projector.step()
    sink.rows.clear()
    sink.marks.clear()
    sink.fails = [TargetChanged("fake", "a rebuild was swapped in")]
    drain(projector)
    assert_complete(sink)


def test_a_refused_row_stops_and_says_so() -> None:
    sink, board = FakeSink(fails=[None, RowRefused("fake", "decisions", "too large")]), Board()
    with capture_logs() as logs, pytest.raises(RowRefused, match="decisions"):
        Projector(busy_log(), sink, pace=PACE, health=board).run(threading.Event())
    assert logs[-1]["log_level"] == "error"
    assert not board.said[-1][1]
    assert sink.calls[-1] == "close"
    assert not sink.rows


def test_a_log_that_is_away_is_waited_for() -> None:
    log = Flaky()
    log.append([_append(one) for part in busy_log().partitions() for one in busy_log().read(*part)])
    sink = FakeSink()
    drain(Projector(log, sink, pace=PACE))
    assert log.failed >= 2
    assert_complete(sink)


def test_running_ends_when_told_and_lets_the_next_writer_in() -> None:
    sink, stop = FakeSink(), threading.Event()
    projector = Projector(busy_log(), sink, pace=PACE)
    thread = threading.Thread(target=projector.run, args=[stop])
    thread.start()
    deadline = threading.Event()
    for _ in range(1_000):
        if "caught_up" in sink.calls:
            break
        deadline.wait(0.01)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert sink.calls[-1] == "close"
    assert_complete(sink)


def test_an_idle_writer_shows_that_it_lives() -> None:
    sink = FakeSink()
    projector = Projector(busy_log(), sink, pace=PACE)
    drain(projector)
    sink.calls.clear()
    projector.step()
    assert "beat" in sink.calls


def test_lag_falls_to_nothing() -> None:
    shown: list[tuple[int, int, float]] = []

    def gauges(projection: str, shard: int, *, records: int, seconds: float) -> None:
        shown.append((shard, records, seconds))

    pace = replace(PACE, rows_max=20)
    log, now = busy_log(), 2**62
    projector = Projector(log, FakeSink(), pace, gauges=gauges, clock=lambda: now)
    drain(projector)
    everything_left = log.end("journal", 0) + log.end("decisions", 0)
    oldest = min(
        record.journal_time
        for topic in ("journal", "decisions")
        for record in log.read(topic, 0, 0, 1)
    )
    assert shown[0] == (0, everything_left, (now - oldest) / 1e9)
    assert shown[-1] == (1, 0, 0.0)


def test_the_lag_is_the_age_of_the_oldest_record_that_waits_not_of_the_last_one_taken() -> None:
    """Nothing for an hour and then one record that is a second old: a second, not an hour."""
    shown: list[float] = []

    def gauges(projection: str, shard: int, *, records: int, seconds: float) -> None:
        if shard == 0:
            shown.append(seconds if records else -1.0)

    log, hour = busy_log(), 3_600 * 10**9
    (last,) = log.read("journal", 0, log.end("journal", 0) - 1)
    now = last.journal_time + hour
    projector = Projector(log, FakeSink(), PACE, gauges=gauges, clock=lambda: now)
    drain(projector)
    log.append([Append("journal", 0, last.payload, now - 10**9)])
    shown.clear()
    projector._looked = float("-inf")
    projector.step()
    assert shown[0] == pytest.approx(1.0)


def test_gauges_are_those_of_the_metrics() -> None:
    metrics = Metrics()
    lag_gauges(metrics)("redis", 3, records=12, seconds=1.5)
    text = metrics.render().decode()
    assert 'coordinator_projection_lag_records{projection="redis",shard="3"} 12.0' in text
    assert 'coordinator_projection_lag_seconds{projection="redis",shard="3"} 1.5' in text


class Flaky(MemoryLog):
    """Does not answer now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.failed = 0

    def partitions(self) -> tuple[tuple[str, int], ...]:
        self.asked += 1
        if self.asked % 3 == 2 and self.failed < 4:
            self.failed += 1
            raise LogUnavailable("kafka", "connection refused")
        return super().partitions()


def _append(one: Record) -> Append:
    return Append(one.topic, one.shard, one.payload, one.journal_time)

"""What an owner's metrics say of a round is what its entries say, told without decoding them."""

from __future__ import annotations

import json
import time

import pytest

from coordinator.core.clock import SECOND
from coordinator.core.ports import Record
from coordinator.shells.live import observing
from coordinator.shells.live.observing import Observer
from coordinator.telemetry.metrics import Metrics
from schemas.decisions import ConflictKind, ConflictLine, ConflictsDetected
from schemas.entries import GENESIS, encode_output

HOSTILE = 'x","kind":"horizon", {"kind":"horizon"}'


def line(kind: ConflictKind) -> ConflictLine:
    return ConflictLine(
        kind=kind, instruments=(HOSTILE,), signals=(f"{HOSTILE}/1",), severity=0.5,
        resolution=HOSTILE,
    )  # fmt: skip


@pytest.mark.parametrize("opposite", [1, 80])
def test_each_conflict_of_a_round_counts_by_its_kind(opposite: int) -> None:
    metrics = Metrics()
    lines = [line(ConflictKind.OPPOSITE_DIRECTION)] * opposite + [line(ConflictKind.MANDATE)]
    event = ConflictsDetected(
        decided_at=1, portfolio=HOSTILE, decision_id=f"{HOSTILE}:1", conflicts=tuple(lines)
    )
    entry = encode_output(0, 0, 0, GENESIS, event)
    Observer(0, metrics).applied(Record("journal", 0, 0, 1, b"{}"), [entry], began=0)

    def counted(kind: str) -> float | None:
        return metrics.registry.get_sample_value("coordinator_conflicts_total", {"kind": kind})

    assert counted("opposite_direction") == opposite
    assert counted("mandate") == 1
    assert counted("horizon") is None


def count(metrics: Metrics, stage: str, what: str = "count") -> float:
    name = f"coordinator_stage_seconds_{what}"
    return metrics.registry.get_sample_value(name, {"stage": stage}) or 0.0


def signal(position: int, journal_time: int) -> Record:
    body = {"event": {"appended_at": journal_time - 1}}
    payload = b'{"type":"SignalIssued"' + json.dumps(body, separators=(",", ":")).encode()
    return Record("journal", 0, position, journal_time, payload)


def a_round(opened_at: int) -> bytes:
    return b'{"type":"RoundClosed","decided_at":%d,"opened_at":%d}' % (opened_at + 1, opened_at)


def test_what_is_replayed_to_recover_has_no_stages() -> None:
    """A restart after minutes must not write them into the latency of signals."""
    metrics = Metrics()
    observer = Observer(0, metrics)
    observer.recovering()
    before = time.time_ns() - 600 * SECOND
    for position in range(3):
        observer.applied(signal(position, before), [a_round(before)], time.time_ns())
    observer.published(2)
    observer.recovered(1.0)
    observer.applied(signal(3, time.time_ns()), [a_round(before)], time.time_ns())
    observer.published(1)
    assert [count(metrics, stage) for stage in ("window", "total")] == [0, 0]
    assert [count(metrics, stage) for stage in ("ingest", "queue", "publish")] == [1, 1, 1]
    assert count(metrics, "queue", "sum") < 60
    applied = metrics.registry.get_sample_value("coordinator_records_total", {"stage": "applied"})
    assert applied == 4


def test_a_second_recovery_is_one_too() -> None:
    metrics = Metrics()
    observer = Observer(0, metrics)
    for number in range(2):
        observer.recovering()
        observer.applied(signal(number, time.time_ns()), [], time.time_ns())
        observer.recovered(1.0)
    assert count(metrics, "queue") == 0


def test_more_outputs_than_are_remembered_pair_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones keep their own moments; what does not fit has none."""
    monkeypatch.setattr(observing, "WAITING_MAX", 2)
    clock = [100 * SECOND]
    metrics = Metrics()
    observer = Observer(0, metrics, now=lambda: clock[0])
    for position in range(4):
        observer.applied(Record("journal", 0, position, 1, b"{}"), [b"x"], clock[0])
        clock[0] += 10 * SECOND
    clock[0] = 100 * SECOND
    observer.published(1)
    assert (count(metrics, "publish"), count(metrics, "publish", "sum")) == (1, 0.0)
    clock[0] = 140 * SECOND
    observer.published(3)
    assert (count(metrics, "publish"), count(metrics, "publish", "sum")) == (2, 30.0)
    observer.applied(Record("journal", 0, 9, 1, b"{}"), [b"x"], clock[0])
    observer.published(1)
    assert (count(metrics, "publish"), count(metrics, "publish", "sum")) == (3, 30.0)


def test_arrivals_are_forgotten_on_a_shard_without_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "WAITING_MAX", 10)
    observer = Observer(0, Metrics())
    for number in range(500):
        observer.applied(signal(number, number * SECOND), [], began=number * SECOND)
        assert len(observer._arrived) <= 60 * 5 // 4 + 1
    assert list(observer._arrived)[-1] == 499 * SECOND


def test_a_signal_where_nobody_decides_is_on_its_way_to_no_decision() -> None:
    metrics = Metrics()
    observer = Observer(0, metrics)
    for portfolios in (0, 0, 2):
        now = time.time_ns()
        observer.applied(signal(now, now), [], now, portfolios=portfolios)
    shown = metrics.render().decode()
    assert 'coordinator_stage_seconds_count{stage="queue"} 1.0' in shown
    assert 'coordinator_records_total{stage="applied"} 3.0' in shown

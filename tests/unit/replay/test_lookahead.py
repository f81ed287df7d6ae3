"""The look-ahead audit: silent on an honest log, loud on one that peeked."""

from __future__ import annotations

import pytest

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.evolve import evolve_input
from coordinator.core.ports import Append, Record
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from coordinator.solver import CvxAllocator, SolverSettings
from replay.backtest import run_backtest
from replay.datarules import findings
from replay.errors import NothingToReplay, NotVerified
from replay.lookahead import audit_lookahead, cut_times
from replay.perturb import cut_off, perturbed
from schemas.entries import decode_journal, decode_output
from schemas.journal import ClockTicked
from schemas.market import PricesObserved
from schemas.orders import Fill
from schemas.signals import SignalIssued
from schemas.verdicts import InputRejected
from tests.unit.replay.worlds import HOUR, NAMES, START, copied, input_log, journal, messages


class Peeking(Engine):
    """Applies each snapshot before the timers that are due before it: a look ahead."""

    def step(self, record: Record, **options: object) -> list[bytes]:
        entry = decode_journal(record.payload)
        if isinstance(entry.event, PricesObserved):
            evolve_input(self.state, entry.stamp, entry.event)
        return super().step(record)


def peeking(*, shard: int, shards: int) -> Engine:
    return Peeking(
        shard=shard, shards=shards,
        allocator=CvxAllocator(SolverSettings()), risk_model=ChosenRisk(),
    )  # fmt: skip


def test_an_honest_run_passes_at_every_cut(run: MemoryLog) -> None:
    report = audit_lookahead(run, cuts=3, at=START + 1)
    assert report.ok
    assert len({cut.at for cut in report.cuts}) == 4
    assert {cut.future for cut in report.cuts} == {"changed", "cut off"}
    assert any(cut.outputs for cut in report.cuts)
    assert report.findings == ()


def test_an_engine_that_peeks_at_the_next_prices_is_caught(inputs: MemoryLog) -> None:
    peeked = MemoryLog(clock=lambda: 0)
    run_backtest(inputs, peeked, engines=peeking)
    report = audit_lookahead(peeked, cuts=4, engines=peeking)
    assert not report.ok
    assert any(cut.differences for cut in report.cuts)
    assert {found.rule for found in report.findings} >= {"price_not_seen"}


def test_a_log_whose_decisions_do_not_follow_proves_nothing(run: MemoryLog) -> None:
    dearer = copied(
        run, lambda record: record.payload.replace(b'"cash":"1000000"', b'"cash":"2000000"')
    )
    with pytest.raises(NotVerified, match="replay --verify"):
        audit_lookahead(dearer)


def test_a_log_without_decisions_is_refused() -> None:
    with pytest.raises(NothingToReplay, match="backtest"):
        audit_lookahead(input_log(shards=1, sessions=1), engines=build_engine)


def test_cuts_are_times_of_decisions_and_the_one_asked_for(run: MemoryLog) -> None:
    times = cut_times(run, cuts=2, at=7)
    assert len(times) == 3
    assert times[0] == 7
    assert list(times) == sorted(times)


def test_another_future_keeps_places_and_changes_every_opinion_and_price(run: MemoryLog) -> None:
    for record, entry in journal(run, 1):
        other = perturbed(record)
        assert (other.position, other.journal_time) == (record.position, record.journal_time)
        changed = decode_journal(other.payload).event
        if isinstance(entry.event, PricesObserved):
            assert isinstance(changed, PricesObserved)
            assert all(a != b for a, b in zip(entry.event.price, changed.price, strict=True))
        elif isinstance(entry.event, SignalIssued):
            assert isinstance(changed, SignalIssued)
            assert changed.direction == -(entry.event.direction or 0)
        elif isinstance(entry.event, Fill):
            assert isinstance(changed, ClockTicked)
        assert isinstance(decode_journal(cut_off(record).payload).event, ClockTicked)


def moved(log: MemoryLog, kind: bytes, before: int) -> MemoryLog:
    """The log with journal records of a kind stamped `before` ns earlier by the log."""
    made = MemoryLog(clock=lambda: 0)
    for topic, shard in log.partitions():
        for record in log.read(topic, shard):
            early = topic == "journal" and record.payload.startswith(kind)
            at = record.journal_time - (before if early else 0)
            made.append([Append(topic, shard, record.payload, at)])
    return made


def test_a_price_journaled_before_its_own_time_is_found(run: MemoryLog) -> None:
    found = findings(moved(run, b'{"type":"PricesObserved"', 5), 1)
    assert {one.rule for one in found} >= {"price_before_its_time"}


def test_prices_that_came_too_late_to_count_are_no_finding() -> None:
    world = messages(sessions=4)
    for at, topic, seen in list(world):
        if seen.get("kind") == "open":
            # A quote at half past, and before the signals another one that is older than it.
            quote = {**seen, "kind": "quote", "event_id": f"quote {at}"}
            world.append((at + HOUR // 2, topic, {**quote, "event_time": at + HOUR // 2}))
            late = {**quote, "event_id": f"late {at}", "price": [1.0] * len(NAMES)}
            world.append((at + HOUR * 3 // 4, topic, late))
    world.sort(key=lambda one: one[0])
    run = MemoryLog(clock=lambda: 0)
    run_backtest(input_log(shards=1, made=world), run)
    said = [decode_output(record.payload).event for record in run.read("decisions", 0)]
    assert any(isinstance(one, InputRejected) and one.reason == "stale" for one in said)
    assert findings(run, 0) == ()


def test_a_fill_no_later_than_its_decision_and_time_running_back_are_found(run: MemoryLog) -> None:
    found = findings(moved(run, b'{"type":"OrderFilled"', 2 * 86_400_000_000_000), 1)
    assert {one.rule for one in found} == {"fill_before_decision", "time_went_back"}


def test_a_signal_that_was_never_journaled_is_found(run: MemoryLog) -> None:
    waiting = [True]

    def without_one(record: Record) -> bytes | None:
        if waiting and record.shard == 1 and record.payload.startswith(b'{"type":"SignalIssued"'):
            waiting.clear()
            return None
        return record.payload

    # Positions move by one, which the rules need not mind: they compare what was known by then.
    assert "signal_not_seen" in {one.rule for one in findings(copied(run, without_one), 1)}

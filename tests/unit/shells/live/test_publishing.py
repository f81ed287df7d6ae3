"""Publisher: in order, one send in flight, nothing behind a failure, foreign outputs compared."""

from __future__ import annotations

import tracemalloc

import pytest

from coordinator.core.ports import Append
from coordinator.core.shard import Diverged
from coordinator.log.errors import LogClosed, LogUnavailable
from coordinator.log.memory import MemoryLog
from coordinator.shells.live import publishing
from coordinator.shells.live.publishing import Publisher
from schemas.canonical import digest
from schemas.entries import GENESIS, encode_output
from schemas.verdicts import ClockJumped
from tests.unit.shells.live.fakes import HeldLog


def entry(seq: int, step: int = 5) -> bytes:
    event = ClockJumped(decided_at=1, previous=1, step_ms=step)
    return encode_output(seq, 0, seq, GENESIS, event)


def made(
    log: HeldLog, *, end: int = 0, repeats: list[int] | None = None
) -> tuple[Publisher, list[str]]:
    woken: list[str] = []
    counts: list[int] = [] if repeats is None else repeats
    publisher = Publisher(
        log, 0, wake=lambda: woken.append("woken"), end=end, repeated=counts.append
    )
    return publisher, woken


@pytest.fixture
def log() -> HeldLog:
    return HeldLog(MemoryLog())


def stored(log: HeldLog) -> list[bytes]:
    return [record.payload for record in log.memory.read("decisions", 0)]


def test_what_is_said_during_a_send_goes_with_the_next_one(log: HeldLog) -> None:
    publisher, woken = made(log)
    for seq in range(4):
        publisher.say([entry(seq)], 1)
        assert publisher.flush_soon() == 0
        assert log.in_flight == 1
    log.through()
    assert woken == ["woken"]
    assert publisher.flush_soon() == 1
    assert (log.in_flight, len(log.sends)) == (1, 2)
    log.through()
    assert (publisher.flush_soon(), publisher.idle) == (3, True)
    assert stored(log) == [entry(seq) for seq in range(4)]


def test_batches_are_bounded_and_a_large_one_goes_alone(
    log: HeldLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "BATCH_RECORDS_MAX", 3)
    monkeypatch.setattr(publishing, "BATCH_BYTES_MAX", 2 * len(entry(0)))
    publisher, _ = made(log)
    publisher.say([entry(seq) for seq in range(9)], 1)
    assert publisher.full
    while not publisher.idle:
        publisher.flush_soon()
        if log.in_flight:
            log.through()
    assert [len(batch) for batch, _ in log.sends] == [2, 2, 2, 2, 1]
    monkeypatch.setattr(publishing, "BATCH_BYTES_MAX", 1)
    publisher.say([entry(9), entry(10)], 1)
    publisher.flush_soon()
    assert len(log.sends[-1][0]) == 1


def test_nothing_is_sent_behind_a_failure(log: HeldLog) -> None:
    publisher, _ = made(log)
    publisher.say([entry(0)], 1)
    publisher.flush_soon()
    publisher.say([entry(1)], 1)
    log.fail()
    for attempt in (publisher.flush_soon, publisher.flush, publisher.flush_soon):
        with pytest.raises(LogUnavailable):
            attempt()
    assert len(log.sends) == 1
    assert not publisher.idle


def test_nothing_is_forgotten_where_a_send_could_not_begin(log: HeldLog) -> None:
    publisher, _ = made(log)
    publisher.say([entry(0)], 1)

    def closed(_: object) -> None:
        raise LogClosed("fake")

    whole, log.append_soon = log.append_soon, closed  # type: ignore[method-assign,assignment] # what a closed log does
    with pytest.raises(LogClosed):
        publisher.flush_soon()
    log.append_soon = whole  # type: ignore[method-assign] # as above
    publisher.flush_soon()
    assert [item.payload for item in log.sends[0][0]] == [entry(0)]


def foreign(log: HeldLog, *entries: bytes) -> None:
    log.memory.append([Append("decisions", 0, one) for one in entries])


def said_and_sent(log: HeldLog, publisher: Publisher, *entries: bytes) -> None:
    publisher.say(list(entries), 1)
    publisher.flush_soon()
    log.through()
    publisher.flush_soon()


def test_a_zombies_equal_repeats_are_counted_and_harm_nothing(log: HeldLog) -> None:
    repeats: list[int] = []
    publisher, _ = made(log, repeats=repeats)
    said_and_sent(log, publisher, entry(0), entry(1))
    foreign(log, entry(0), entry(1))
    said_and_sent(log, publisher, entry(2))
    assert repeats == [2]


def test_a_zombies_other_output_for_what_was_said_halts(log: HeldLog) -> None:
    publisher, _ = made(log)
    said_and_sent(log, publisher, entry(0))
    foreign(log, entry(0, step=6))
    publisher.say([entry(1)], 1)
    publisher.flush_soon()
    log.through()
    with pytest.raises(Diverged, match="seq 0"):
        publisher.flush_soon()


@pytest.mark.parametrize("differs", [False, True])
def test_a_zombie_that_is_ahead_is_compared_when_its_turn_comes(
    log: HeldLog, *, differs: bool
) -> None:
    repeats: list[int] = []
    publisher, _ = made(log, repeats=repeats)
    foreign(log, entry(0), entry(1), entry(2, step=6 if differs else 5))
    said_and_sent(log, publisher, entry(0))
    publisher.say([entry(1)], 1)
    if differs:
        with pytest.raises(Diverged, match="seq 2"):
            publisher.say([entry(2)], 1)
    else:
        publisher.say([entry(2)], 1)
    assert repeats == [3]


def test_positions_that_hold_nothing_are_no_strangers() -> None:
    log = HeldLog(MemoryLog(skip=lambda position: position + 2))
    repeats: list[int] = []
    publisher, _ = made(log, repeats=repeats)
    said_and_sent(log, publisher, entry(0), entry(1))
    said_and_sent(log, publisher, entry(2))
    assert repeats == []


def test_hashes_of_old_outputs_are_forgotten(log: HeldLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "REMEMBERED_MAX", 2)
    publisher, _ = made(log)
    said_and_sent(log, publisher, *[entry(seq) for seq in range(5)])
    assert [publisher._ours.get(seq) for seq in (-1, 2, 3, 4, 5)] == [
        None, None, digest(entry(3)), digest(entry(4)), None
    ]  # fmt: skip


def test_an_output_takes_few_bytes_to_remember() -> None:
    said = publishing._Said()
    hashes = [digest(b"%d" % seq) for seq in range(40)]
    tracemalloc.start()
    try:
        for seq in range(20_000):
            said.put(seq, hashes[seq % 40])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000 * 40
    assert [said.get(seq) for seq in range(19_960, 20_000)] == hashes


def test_behind_a_gap_only_what_follows_it_is_remembered() -> None:
    said = publishing._Said()
    for seq in (3, 4, 9, 10):
        said.put(seq, digest(b"%d" % seq))
    assert [said.get(seq) for seq in (3, 4, 8)] == [None] * 3
    assert [said.get(seq) for seq in (9, 10)] == [digest(b"9"), digest(b"10")]


@pytest.mark.parametrize("differs", [False, True])
@pytest.mark.parametrize("step", [1, 1_000])
def test_a_zombies_repeat_from_before_our_time_is_compared_with_the_log(
    log: HeldLog, monkeypatch: pytest.MonkeyPatch, *, step: int, differs: bool
) -> None:
    """Recovery found seqs 0 to 9 in the log: this publisher never said them."""
    monkeypatch.setattr(publishing, "LOOK_BACK", step)
    foreign(log, *[entry(seq) for seq in range(10)])
    repeats: list[int] = []
    publisher, _ = made(log, end=10, repeats=repeats)
    said_and_sent(log, publisher, entry(10))
    foreign(log, entry(7), entry(3, step=6 if differs else 5), entry(4))
    publisher.say([entry(11)], 1)
    publisher.flush_soon()
    log.through()
    if differs:
        with pytest.raises(Diverged, match="seq 3"):
            publisher.flush_soon()
    else:
        publisher.flush_soon()
        said_and_sent(log, publisher, entry(12))
        assert not publisher._theirs
    assert repeats == [3]


def test_a_zombies_repeat_of_what_we_forgot_is_compared_with_the_log(
    log: HeldLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "REMEMBERED_MAX", 2)
    publisher, _ = made(log)
    said_and_sent(log, publisher, *[entry(seq) for seq in range(5)])
    foreign(log, entry(1, step=6))
    publisher.say([entry(5)], 1)
    publisher.flush_soon()
    log.through()
    with pytest.raises(Diverged, match="seq 1"):
        publisher.flush_soon()


def test_what_is_no_longer_in_the_log_is_not_looked_for(log: HeldLog) -> None:
    publisher, _ = made(log)
    said_and_sent(log, publisher, entry(10))
    foreign(log, entry(3))
    said_and_sent(log, publisher, entry(11))
    assert publisher.idle


def test_somebody_who_is_far_ahead_fills_no_memory(
    log: HeldLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "REMEMBERED_MAX", 3)
    publisher, _ = made(log)
    foreign(log, *[entry(seq) for seq in range(50)])
    said_and_sent(log, publisher, entry(0))
    assert sorted(publisher._theirs) == [1, 2, 3]


def test_two_strangers_who_differ_halt_before_our_turn_comes(log: HeldLog) -> None:
    publisher, _ = made(log)
    foreign(log, entry(5), entry(5, step=6))
    publisher.say([entry(0)], 1)
    publisher.flush_soon()
    log.through()
    with pytest.raises(Diverged, match="seq 5"):
        publisher.flush_soon()


def test_a_foreign_output_behind_a_gap_halts(log: HeldLog) -> None:
    publisher, _ = made(log)
    said_and_sent(log, publisher, entry(0), entry(1))
    foreign(log, entry(2), entry(3))
    said_and_sent(log, publisher, entry(2))  # one that is ahead without a gap may be
    foreign(log, entry(5))
    publisher.say([entry(3)], 1)
    publisher.flush_soon()
    log.through()
    with pytest.raises(Diverged, match="behind a gap"):
        publisher.flush_soon()


def test_a_topic_that_was_made_anew_halts(log: HeldLog) -> None:
    publisher, _ = made(log, end=7)
    publisher.say([entry(0)], 1)
    publisher.flush_soon()
    log.through()
    with pytest.raises(Diverged, match="made anew"):
        publisher.flush_soon()

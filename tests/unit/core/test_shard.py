"""A shard's owner: recovers, audits what is there, publishes what is missing, halts on another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.core.chain import ChainBroken
from coordinator.core.engine import WrongShards
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append
from coordinator.core.shard import Diverged, JournalReplaced, OtherBuild, Shard
from coordinator.log.memory import MemoryLog
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output, encode_output
from tests.journals import (
    HOUR,
    T0,
    Inputs,
    engine,
    events_of,
    lay,
    owners,
    run,
    started,
    zero_clock,
)
from tests.recorded import end_of, recorded

INPUTS = recorded(1)
END = end_of(INPUTS)


def fresh(log: MemoryLog) -> Shard:
    return owners(log, shards=1)[0]


def test_a_restart_finds_everything_there_and_says_nothing_twice() -> None:
    log = run(INPUTS, end=END)
    end = log.end("decisions", 0)
    found = fresh(log).recover()
    assert (found.from_position, found.outputs_missing) == (-1, 0)
    assert found.outputs_equal == end == log.end("decisions", 0)


def test_outputs_that_were_never_published_are_published() -> None:
    whole = run(INPUTS, end=END)
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    for record in list(whole.read("decisions", 0))[:10]:
        log.append([Append("decisions", 0, record.payload, record.journal_time)])
    found = fresh(log).recover()
    assert found.outputs_equal == 10
    assert [r.payload for r in log.read("decisions", 0)] == [
        r.payload for r in whole.read("decisions", 0)
    ]


def test_a_restart_begins_at_the_newest_checkpoint() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    owner = Shard(log, engine(0, 1), checkpoint_every=10)
    owner.recover()
    assert log.end("checkpoints", 0) > 1
    found = fresh(log).recover()
    assert found.from_position > 0
    assert found.records == len(list(log.read("journal", 0, found.from_position + 1)))


def _tampered(log: MemoryLog, at: int) -> MemoryLog:
    """The same log with one output about something else, and the chain after it made again."""
    made = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    prev = "0" * 64
    for number, record in enumerate(log.read("decisions", 0)):
        entry = decode_output(record.payload)
        event = entry.event
        if number == at:
            event = event.model_copy(update={"decided_at": 1})
        payload = encode_output(entry.position, entry.ordinal, entry.seq, prev, event)
        prev = digest(payload)
        made.append([Append("decisions", 0, payload, record.journal_time)])
    return made


def test_another_output_than_the_engines_halts_and_names_the_position() -> None:
    log = run(INPUTS, end=END)
    wrong = decode_output(list(log.read("decisions", 0))[5].payload)
    with pytest.raises(Diverged, match=f"journal position {wrong.position}: another output"):
        fresh(_tampered(log, 5)).recover()


def test_outputs_that_the_journal_does_not_explain_halt() -> None:
    log = run(INPUTS, end=END)
    last = list(log.read("decisions", 0))[-1]
    entry = decode_output(last.payload)
    extra = encode_output(entry.position, 9, entry.seq + 1, entry.hash, entry.event)
    log.append([Append("decisions", 0, extra, last.journal_time)])
    with pytest.raises(Diverged, match="the journal does not explain"):
        fresh(log).recover()


def test_a_hole_in_the_decisions_halts() -> None:
    log = run(INPUTS, end=END)
    holed = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    for record in log.read("decisions", 0):
        if record.position != 3:
            holed.append([Append("decisions", 0, record.payload, record.journal_time)])
    with pytest.raises(ChainBroken, match="an output is missing"):
        fresh(holed).recover()


def test_early_and_doubled_ticks_do_nothing() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.opened("p")]
    inputs += [make.prices({"A": 10.0}, T0), make.signal("s", "A", T0)]
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1)
    owner = fresh(log)
    owner.recover()
    due = owner.engine.next_deadline()
    assert due is not None
    for at, said in ((due - 1, 0), (due, 0), (due + 1, 1), (due + 1, 1), (due + 1, 1)):
        owner.tick(at)
        owner.pump()
        assert owner.engine.decisions == said


def test_the_two_newest_checkpoints_are_found_the_newest_first() -> None:
    log = MemoryLog(clock=zero_clock)
    assert checkpoints(log, 0) == []
    for body in (b"1\nnone", b"3\none", b"7\ntwo\nlines"):
        log.append([Append("checkpoints", 0, body)])
    assert checkpoints(log, 0) == [(b"two\nlines", 7), (b"one", 3)]


def test_an_applied_position_gives_nothing_a_second_time() -> None:
    log = run(INPUTS, end=END)
    owner = fresh(log)
    owner.recover()
    record = list(log.read("journal", 0))[-1]
    assert owner.engine.step(record) == []
    assert owner.engine.step(replace(record, position=0)) == []


def _decisions(log: MemoryLog) -> list[bytes]:
    return [record.payload for record in log.read("decisions", 0)]


@pytest.mark.parametrize("damage", [b"7\nnothing", b"x", b"5\n{}\n{}", b"12\n"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_damaged_checkpoint_falls_back_to_the_older_and_two_to_the_beginning(
    damage: bytes, count: int
) -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    first = owners(log, shards=1, every=10)[0]
    first.recover()
    older = fresh(log).recover().from_position
    said = _decisions(log)
    for _ in range(count):
        log.append([Append("checkpoints", 0, damage)])
    again = fresh(log)
    found = again.recover()
    assert found.from_position == (older if count == 1 else -1)
    assert (found.outputs_missing, _decisions(log)) == (0, said)
    assert again.engine.checkpoint() == first.engine.checkpoint()


def test_a_checkpoint_written_amid_a_recovery_knows_which_outputs_come_after_it() -> None:
    log = run(INPUTS, end=END)
    said = _decisions(log)
    half = len(events_of(log, AllocationDecided)) // 2 + 1
    Shard(log, engine(0, 1), checkpoint_every=half).recover()
    assert log.end("checkpoints", 0) == 1
    found = fresh(log).recover()
    assert 0 < found.from_position < log.end("journal", 0) - 1
    assert (found.outputs_missing, _decisions(log)) == (0, said)
    assert found.outputs_equal > 0


@pytest.mark.parametrize("repeats", [0, 1, 30])
@pytest.mark.parametrize("based", [False, True])
def test_a_checkpoint_of_one_whom_another_has_overtaken_knows_what_comes_after_it(
    repeats: int, *, based: bool
) -> None:
    """A zombie wakes: its state is old, and the log's end is beyond what it has said."""
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    zombie, journal = fresh(log), list(log.read("journal", 0))
    zombie.begin()
    half = len(journal) // 2
    for record in journal[: half - 10]:
        zombie.apply(record)
    if based:
        zombie.checkpoint()
    for record in journal[half - 10 : half]:
        zombie.apply(record)
    assert log.end("decisions", 0) > 0
    fresh(log).recover()
    said, end = _decisions(log), log.end("decisions", 0)
    for record in journal[half : half + repeats]:
        zombie.apply(record)  # what it had still to say: the same again
    assert log.end("decisions", 0) > end or repeats < 30
    zombie.checkpoint()
    found = fresh(log).recover()
    assert found.from_position == half - 1 + repeats
    assert (found.outputs_missing, _decisions(log)[:end]) == (0, said)
    zombie.checkpoint()  # and so does the next one
    assert fresh(log).recover().outputs_missing == 0


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_a_journal_of_another_number_of_shards_is_refused(with_checkpoint: bool) -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=3, end=END)
    for owner in owners(log, shards=3):
        owner.recover()
        if with_checkpoint:
            owner.checkpoint()
    ends = {key: log.end(*key) for key in log.partitions()}
    for owner in owners(log, shards=5)[:3]:
        with pytest.raises(WrongShards, match="has 3 shards, not 5"):
            owner.recover()
    assert {key: log.end(*key) for key in log.partitions()} == ends


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_another_build_says_nothing_where_it_does_not_decide(with_checkpoint: bool) -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    if with_checkpoint:
        owner = fresh(log)
        owner.recover()
        owner.checkpoint()
    said = _decisions(log)
    with pytest.raises(OtherBuild, match="build build decides here"):
        Shard(log, engine(0, 1), ours=started(T0 + HOUR, build="next")).recover()
    assert _decisions(log) == said
    assert Shard(log, engine(0, 1), ours=started()).recover().records >= 0


def test_a_journal_that_is_shorter_than_the_state_or_was_made_anew_is_refused() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    owner = fresh(log)
    owner.recover()
    owner.checkpoint()
    (state,) = (record.payload for record in log.read("checkpoints", 0))
    whole = list(log.read("journal", 0))
    for kept, later, why in ((5, 0, "no record"), (len(whole), HOUR, "another record")):
        again = MemoryLog(clock=zero_clock)
        for record in whole[:kept]:
            time = record.journal_time + 1_000 * later
            again.append([Append("journal", 0, record.payload, time)])
        again.append([Append("checkpoints", 0, state, T0)])
        with pytest.raises(JournalReplaced, match=why):
            fresh(again).recover()


def test_the_journal_of_the_state_is_known_wherever_the_state_stands() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=END)
    owner = owners(log, shards=1, every=1)[0]
    owner.recover()
    for _ in range(3):
        assert fresh(log).recover().outputs_missing == 0

"""Verify: it finds and names what is not the same, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.ports import Allocation, AllocationProblem, Record
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from coordinator.log.segments import SegmentLog, export
from coordinator.solver import CvxAllocator, SolverSettings
from replay import verify
from replay.errors import NoCheckpoint, NothingToReplay
from replay.verify import FirstDifference
from schemas.decisions import AllocationDecided
from schemas.entries import Stamp, decode_output, encode_journal, encode_output
from schemas.journal import EngineStarted
from tests.unit.replay.worlds import copied

FIRST_DECISION = b'{"type":"AllocationDecided"'


def changed_once(log: MemoryLog, kind: bytes, change: Callable[[bytes], bytes | None]) -> MemoryLog:
    """The log with its first record of a kind, in shard 1, changed."""
    waiting = [True]

    def maybe(record: Record) -> bytes | None:
        if waiting and record.shard == 1 and record.payload.startswith(kind):
            waiting.clear()
            return change(record.payload)
        return record.payload

    return copied(log, maybe)


def difference(
    log: MemoryLog, *, this_engine: bool = False, tolerance: bool = False
) -> FirstDifference:
    report = verify(log, this_engine=this_engine, tolerance=tolerance)
    assert not report.ok
    assert report.difference is not None
    return report.difference


def test_an_untouched_run_is_identical_from_the_start_and_from_a_checkpoint(run: MemoryLog) -> None:
    whole, tail = verify(run), verify(run, from_checkpoint=True)
    assert whole.ok
    assert tail.ok
    assert sum(one.outputs for one in whole.shards) == sum(
        run.end("decisions", shard) for shard in (0, 1)
    )
    later = [one for one in tail.shards if one.from_position > 0]
    assert later
    assert all(one.outputs for one in later)


def test_a_checkpoint_that_is_not_the_state_is_named_by_part(run: MemoryLog) -> None:
    def richer(record: Record) -> bytes:
        if record.topic != "checkpoints":
            return record.payload
        return record.payload.replace(b'"sessions_waited":', b'"sessions_waited":9')

    found = difference(copied(run, richer))
    assert (found.kind, found.event) == ("state", "checkpoint")
    assert found.fields[0].path.startswith("state[portfolio ")
    assert found.fields[0].path.endswith(".sessions_waited")


def test_a_parquet_copy_verifies_like_its_original(run: MemoryLog, tmp_path: Path) -> None:
    export(run, tmp_path / "log")
    with SegmentLog(tmp_path / "log") as reader:
        assert verify(reader).ok
    assert verify(tmp_path / "log").ok


def test_a_changed_decision_is_named_by_field_with_both_values(run: MemoryLog) -> None:
    def edit(payload: bytes) -> bytes:
        entry = decode_output(payload)
        assert isinstance(entry.event, AllocationDecided)
        event = entry.event.model_copy(update={"turnover": 0.123})
        return encode_output(entry.position, entry.ordinal, entry.seq, entry.prev, event)

    found = difference(changed_once(run, FIRST_DECISION, edit))
    assert (found.kind, found.shard, found.event) == ("different", 1, "AllocationDecided")
    assert [one.path for one in found.fields] == ["event.turnover"]
    assert found.fields[0].recorded == 0.123


def test_a_missing_output_shows_as_a_gap_in_seq(run: MemoryLog) -> None:
    found = difference(changed_once(run, FIRST_DECISION, lambda _: None))
    assert found.kind == "different"
    assert "seq" in [one.path for one in found.fields]


def test_outputs_cut_off_at_the_end_are_told_with_the_first_of_them(run: MemoryLog) -> None:
    last = run.end("decisions", 1) - 1
    cut = copied(
        run,
        lambda record: (
            None
            if (record.topic, record.shard, record.position) == ("decisions", 1, last)
            else record.payload
        ),
    )
    found = difference(cut)
    assert (found.kind, found.seq) == ("unsaid", last)


def test_outputs_that_follow_from_no_input_are_extra(run: MemoryLog) -> None:
    cut = copied(
        run,
        lambda record: (
            None
            if (record.topic, record.shard) == ("journal", 1) and record.position > 20
            else record.payload
        ),
    )
    assert difference(cut).kind == "extra"


def test_a_broken_chain_is_a_difference(run: MemoryLog) -> None:
    def unhinge(payload: bytes) -> bytes:
        entry = decode_output(payload)
        return encode_output(entry.position, entry.ordinal, entry.seq, "f" * 64, entry.event)

    found = difference(changed_once(run, FIRST_DECISION, unhinge))
    assert [one.path for one in found.fields] == ["prev"]


def test_a_changed_input_changes_what_follows(run: MemoryLog) -> None:
    def dearer(payload: bytes) -> bytes:
        return payload.replace(b'"cash":"1000000"', b'"cash":"2000000"')

    assert difference(changed_once(run, b'{"type":"PortfolioOpened"', dearer)).kind == "different"


def elsewhere(payload: bytes) -> bytes:
    event = EngineStarted(
        event_id="s", event_time=0, build="another", dependencies="d", fingerprint="f", shards=2
    )
    return encode_journal(Stamp("journal", "t", 0, -1, 0), event)


def test_another_engines_range_is_named_by_what_differs_and_the_others_are_compared(
    run: MemoryLog,
) -> None:
    report = verify(changed_once(run, b'{"type":"EngineStarted"', elsewhere))
    (found,) = report.unverified
    assert [part.field for part in found.parts] == ["build", "dependencies", "fingerprint"]
    assert (found.range.shard, found.range.first) == (1, 0)
    assert found.range.engine == ("another", "d", "f")
    assert not report.ok
    assert report.difference is None
    compared, left = report.shards
    assert compared.decisions > 0
    assert left.records == 0


def test_another_engines_log_is_compared_when_asked(run: MemoryLog) -> None:
    log = changed_once(run, b'{"type":"EngineStarted"', elsewhere)
    found = difference(log, this_engine=True)
    # The identity in a decision is the log's own, so the recorded one is what differs here.
    assert {one.path for one in found.fields} == {
        "event.identity.build", "event.identity.dependencies", "event.identity.fingerprint",
    }  # fmt: skip
    # Nor does the contract cover a decision that names another build than its own journal.
    assert difference(log, tolerance=True).fields == found.fields


def test_an_allocator_that_looks_at_the_clock_is_caught(run: MemoryLog) -> None:
    class Hasty:
        def __init__(self) -> None:
            self._inner = CvxAllocator(SolverSettings())

        def allocate(self, problem: AllocationProblem) -> Allocation:
            answer = self._inner.allocate(problem)
            return replace(answer, objective=answer.objective + time.time() * 1e-18)

    def hasty(*, shard: int, shards: int) -> Engine:
        return Engine(shard=shard, shards=shards, allocator=Hasty(), risk_model=ChosenRisk())

    report = verify(run, engines=hasty)
    assert report.difference is not None
    assert {"event.priority", "event.solver.objective"} <= {
        one.path for one in report.difference.fields
    }


def test_a_log_without_checkpoints_cannot_start_from_one(run: MemoryLog) -> None:
    bare = copied(run, lambda record: None if record.topic == "checkpoints" else record.payload)
    with pytest.raises(NoCheckpoint, match="from the start"):
        verify(bare, from_checkpoint=True)
    damaged = copied(
        run, lambda record: b"0\n{}" if record.topic == "checkpoints" else record.payload
    )
    with pytest.raises(NoCheckpoint):
        verify(damaged, from_checkpoint=True)


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(NothingToReplay):
        verify(MemoryLog(), engines=build_engine)

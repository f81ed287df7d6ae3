"""The archive holds what the log held, counts it only when it was verified, and can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.core.ports import Append, Record
from coordinator.core.route import Router
from coordinator.log.archive import DAY_NS, SegmentSize, archive
from coordinator.log.combined import CombinedLog
from coordinator.log.errors import CorruptRecord, LogError, LogUnreadable
from coordinator.log.memory import MemoryLog
from coordinator.log.segments import SegmentLog, export
from schemas.entries import decode_output
from schemas.journal import EngineSealed
from tests.journals import DAY, HOUR, T0, owners
from tests.support.cut_log import CutLog
from tests.support.lived_log import SHARDS, copy_of, everything, laid, place_of


def test_the_archive_holds_journal_decisions_and_dead_letters_as_they_were(
    live: CutLog, tmp_path: Path
) -> None:
    report = archive(live, tmp_path / "a")
    with SegmentLog(tmp_path / "a") as sealed:
        assert everything(sealed) == everything(live)
        assert report.records == len(everything(live))
        assert {topic for topic, _ in sealed.partitions()} == {
            "decisions",
            "journal",
            "signals.dlq",
        }
    assert archive(live, tmp_path / "a").records == 0


def test_an_archive_continues_the_chain_as_one_export_would_have_made_it(
    live: CutLog, tmp_path: Path
) -> None:
    archive(live, tmp_path / "a", until=T0 + DAY + 3 * HOUR)
    archive(live, tmp_path / "a")
    export(live.log, tmp_path / "whole")  # type: ignore[arg-type]  # a memory log has links
    with SegmentLog(tmp_path / "a") as one, SegmentLog(tmp_path / "whole") as other:
        for topic, shard in one.partitions():
            end = other.end(topic, shard)
            assert one.link_before(topic, shard, end) == other.link_before(topic, shard, end)


def test_segments_end_with_the_day_and_with_the_most_records(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "days")
    files = sorted((tmp_path / "days").glob("journal-00000-*.parquet"))
    assert len(files) == 4
    archive(live, tmp_path / "small", size=SegmentSize(records_max=4, time_ns=100 * DAY_NS))
    small = sorted((tmp_path / "small").glob("journal-00000-*.parquet"))
    assert len(small) == -(-len(list(live.read("journal", 0))) // 4)
    with SegmentLog(tmp_path / "small") as sealed:
        assert everything(sealed) == everything(live)


def test_until_cuts_the_journal_by_time_and_the_decisions_by_what_they_follow_from(
    live: CutLog, tmp_path: Path
) -> None:
    until = T0 + DAY + 3 * HOUR
    archive(live, tmp_path / "a", until=until)
    with SegmentLog(tmp_path / "a") as sealed:
        for shard in range(SHARDS):
            journal = list(sealed.read("journal", shard))
            assert journal == [r for r in live.read("journal", shard) if r.journal_time < until]
            causes = {r.position for r in journal}
            said = list(sealed.read("decisions", shard))
            assert said == [
                r
                for r in live.read("decisions", shard)
                if decode_output(r.payload).position in causes
            ]


def test_only_the_shards_asked_for_are_archived(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "a", shards=[1])
    with SegmentLog(tmp_path / "a") as sealed:
        assert sealed.partitions() == (("decisions", 1), ("journal", 1))
    archive(live, tmp_path / "a")
    with SegmentLog(tmp_path / "a") as sealed:
        assert everything(sealed) == everything(live)


def test_a_dry_run_counts_and_writes_nothing(live: CutLog, tmp_path: Path) -> None:
    would = archive(live, tmp_path / "a", dry_run=True)
    assert not (tmp_path / "a").exists()
    done = archive(live, tmp_path / "a")
    assert would.ranges == done.ranges
    assert archive(live, tmp_path / "a", dry_run=True).records == 0


def test_a_log_that_says_something_else_when_read_again_is_not_archived(
    live: CutLog, tmp_path: Path
) -> None:
    target = next(r for r in live.read("journal", 1) if r.journal_time > T0 + DAY)
    seen: list[Record] = []

    def once_true(record: Record) -> Record:
        if record != target:
            return record
        seen.append(record)
        return record if len(seen) == 1 else replace(record, journal_time=record.journal_time + 1)

    live.on_read = once_true
    with pytest.raises(CorruptRecord, match="something else") as caught:
        archive(live, tmp_path / "a")
    assert (caught.value.shard, caught.value.position) == (1, target.position)
    with SegmentLog(tmp_path / "a") as sealed:
        assert sealed.end("journal", 1) <= target.position
        assert sealed.end("journal", 0) == live.end("journal", 0)
    live.on_read = lambda record: record
    archive(live, tmp_path / "a")
    with SegmentLog(tmp_path / "a") as sealed:
        assert everything(sealed) == everything(live)


def test_decisions_that_are_no_chain_are_not_archived_from_there_on(
    live: CutLog, tmp_path: Path
) -> None:
    lost = [r.position for r in live.read("decisions", 0)][5]
    live.on_read = lambda r: None if place_of(r) == ("decisions", 0, lost) else r
    with pytest.raises(CorruptRecord, match="an output is missing"):
        archive(live, tmp_path / "a")


def test_the_chain_is_followed_across_runs(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "a", until=T0 + DAY + 3 * HOUR)
    with SegmentLog(tmp_path / "a") as sealed:
        sealed_end = sealed.end("decisions", 0)
        assert (
            int(sealed.notes("decisions", 0)["seq"]) == len(list(sealed.read("decisions", 0))) - 1
        )
    lost = next(r.position for r in live.read("decisions", 0, sealed_end))
    live.on_read = lambda r: None if place_of(r) == ("decisions", 0, lost) else r
    with pytest.raises(CorruptRecord, match="an output is missing"):
        archive(live, tmp_path / "a")


def test_what_a_zombie_repeated_is_archived_as_it_stands(live: CutLog, tmp_path: Path) -> None:
    said = list(live.read("decisions", 0))
    live.append([Append("decisions", 0, r.payload, T0 + 4 * DAY) for r in said[-3:]])
    archive(live, tmp_path / "a")
    with SegmentLog(tmp_path / "a") as sealed:
        assert list(sealed.read("decisions", 0)) == list(live.read("decisions", 0))
        assert int(sealed.notes("decisions", 0)["seq"]) == len(said) - 1
    (again,) = live.append([Append("decisions", 0, said[-1].payload, T0 + 4 * DAY)])
    report = archive(live, tmp_path / "a")
    assert [one.stop for one in report.ranges if one.records] == [again + 1]


def test_an_export_is_continued_as_an_archive(live: CutLog, tmp_path: Path) -> None:
    export(copy_of(live), tmp_path / "a")
    for path in (tmp_path / "a").glob("checkpoints-*"):
        path.unlink()  # lost ones are missed by name
    with pytest.raises(LogUnreadable, match="checkpoints"):
        archive(live, tmp_path / "a")


def test_the_archive_of_another_log_is_refused(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "a")
    with pytest.raises(LogError, match=r"another log|something else"):
        archive(CutLog(laid(days=2)), tmp_path / "a")
    with pytest.raises(LogUnreadable, match="other times"):
        archive(CutLog(live.log, broker_times=True), tmp_path / "a")


def test_a_hole_between_archive_and_log_is_refused_by_both(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "a", until=T0 + DAY)
    with SegmentLog(tmp_path / "a") as sealed:
        live.truncate("journal", 1, sealed.end("journal", 1) + 1)
    with pytest.raises(LogUnreadable, match="in neither"):
        archive(live, tmp_path / "a")
    combined = CombinedLog(live, SegmentLog(tmp_path / "a"))
    with pytest.raises(LogUnreadable, match="in neither"):
        combined.end("journal", 1)


def test_the_record_at_the_seam_must_be_the_same_in_both(live: CutLog, tmp_path: Path) -> None:
    archive(live, tmp_path / "a", until=T0 + DAY)
    with SegmentLog(tmp_path / "a") as sealed:
        last = sealed.end("journal", 0) - 1
    live.on_read = lambda r: (
        replace(r, payload=b"other") if place_of(r) == ("journal", 0, last) else r
    )
    combined = CombinedLog(live, SegmentLog(tmp_path / "a"))
    with pytest.raises(CorruptRecord) as caught:
        list(combined.read("journal", 0))
    assert caught.value.position == last


def test_dead_letters_that_expired_unarchived_are_counted_and_no_hole(
    live: CutLog, tmp_path: Path
) -> None:
    archive(live, tmp_path / "a")
    live.append([Append("signals.dlq", 0, b"{%d}" % n, T0) for n in range(3)])
    positions = [r.position for r in live.read("signals.dlq", 0)]
    live.truncate("signals.dlq", 0, positions[2])
    combined = CombinedLog(live, SegmentLog(tmp_path / "a"))
    held = [positions[0], *positions[2:]]
    assert [r.position for r in combined.read("signals.dlq", 0)] == held
    (found,) = [one for one in archive(live, tmp_path / "a").ranges if one.records]
    assert found.missing == positions[2] - positions[0] - 1
    with SegmentLog(tmp_path / "a") as sealed:
        assert [r.position for r in sealed.read("signals.dlq", 0)] == held


def test_the_state_a_sealed_build_left_is_archived_and_no_other(tmp_path: Path) -> None:
    log = copy_of(laid())
    seal = EngineSealed(event_id="seal", event_time=T0 + 4 * DAY)
    Router(log, shards=SHARDS).write(seal, shards=range(SHARDS), journal_time=T0 + 4 * DAY)
    for owner in owners(log, shards=SHARDS):
        owner.recover()
        owner.checkpoint()
    live = CutLog(log)
    archive(live, tmp_path / "a")
    with SegmentLog(tmp_path / "a") as sealed:
        for shard in range(SHARDS):
            last = list(live.read("checkpoints", shard))[-1]
            assert list(sealed.read("checkpoints", shard)) == [last]
    combined = CombinedLog(live, SegmentLog(tmp_path / "a"))
    assert list(combined.read("checkpoints", 0)) == list(live.read("checkpoints", 0))
    # An owner carries that state on; once archived, it is not archived again.
    last = list(live.read("checkpoints", 0))[-1]
    live.append([Append("checkpoints", 0, last.payload, last.journal_time)])
    live.truncate("checkpoints", 0, last.position + 1)
    assert [one for one in archive(live, tmp_path / "a").ranges if one.records] == []
    archive(live, tmp_path / "b", shards=[0])
    with SegmentLog(tmp_path / "b") as late:
        assert [r.payload for r in late.read("checkpoints", 0)] == [last.payload]


# -- killed ------------------------------------------------------------------------------------

_CHILD = """
import sys
from coordinator.log.archive import SegmentSize, archive
from coordinator.log.open import open_reader
print("ready", flush=True)
with open_reader(sys.argv[1]) as reader:
    archive(reader, sys.argv[2], size=SegmentSize(records_max=3))
"""


def test_killed_at_any_moment_it_goes_on_where_it_was(recorded: MemoryLog, tmp_path: Path) -> None:
    export(recorded, tmp_path / "source")
    target = tmp_path / "a"
    seen = set()
    for delay in (1, 6, 25):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, tmp_path / "source", target], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        while child.poll() is None and len(list(target.glob("*.parquet*"))) < delay:
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)
        seen.add(child.returncode)
        if target.exists() and (target / "heads.json").exists():
            with SegmentLog(target) as sealed:
                everything(sealed)
    assert -signal.SIGKILL in seen
    archive(SegmentLog(tmp_path / "source"), target)
    with SegmentLog(target) as sealed:
        assert everything(sealed) == everything(recorded)

"""Only what is archived, compared and needed by no recovery is taken from a topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.core.ports import Record
from coordinator.core.shard import Shard
from coordinator.log.archive import archive
from coordinator.log.combined import CombinedLog
from coordinator.log.errors import CorruptRecord, LogError
from coordinator.log.segments import SegmentLog
from coordinator.log.truncate import plan_cuts, truncate
from tests.journals import DAY, HOUR, T0, engine
from tests.support.cut_log import CutLog
from tests.support.lived_log import SHARDS, everything, place_of


def archived(live: CutLog, folder: Path) -> SegmentLog:
    archive(live, folder)
    return SegmentLog(folder)


def damaging(shard: int, position: int, payload: bytes) -> Callable[[Record], Record]:
    """A checkpoint that is something else when it is read."""

    def change(record: Record) -> Record:
        hit = place_of(record) == ("checkpoints", shard, position)
        return replace(record, payload=payload) if hit else record

    return change


def recovers(live: CutLog) -> None:
    """Both shards recover from what is left, and find nothing to say."""
    for shard in range(SHARDS):
        before = live.end("decisions", shard)
        owner = Shard(live, engine(shard, SHARDS))
        assert owner.recover().from_position > 0
        assert live.end("decisions", shard) == before


def test_truncation_leaves_what_a_recovery_needs(live: CutLog, tmp_path: Path) -> None:
    whole = everything(live)
    with archived(live, tmp_path / "a") as sealed:
        deleted = truncate(live, sealed, plan_cuts(live, sealed))
        assert sum(cut.records for cut in deleted) > 10
        assert len(everything(live)) == len(whole) - sum(cut.records for cut in deleted)
        recovers(live)
        # Also from the older of the two checkpoints, when the newest is damaged.
        for shard in range(SHARDS):
            (newest,) = [r.position for r in live.read("checkpoints", shard)][-1:]
            live.on_read = damaging(shard, newest, b"0\ndamaged")
            before = live.end("decisions", shard)
            Shard(live, engine(shard, SHARDS)).recover()
            assert live.end("decisions", shard) == before
        live.on_read = lambda record: record
        assert everything(CombinedLog(live, sealed)) == whole
        again = truncate(live, sealed, plan_cuts(live, sealed))
        assert sum(cut.records for cut in again) == 0
    assert archive(live, tmp_path / "a").records == 0


def test_nothing_goes_while_two_checkpoints_do_not_cover_it(live: CutLog, tmp_path: Path) -> None:
    for damage in (b"0\n{}", b"no checkpoint"):
        live.on_read = damaging(1, live.end("checkpoints", 1) - 1, damage)
        with archived(live, tmp_path / "a") as sealed:
            cuts = plan_cuts(live, sealed, shards=[1])
            assert len(cuts) == 2
            assert all(cut.begin == cut.before == 0 for cut in cuts)
            assert all("recovery" in cut.reason for cut in cuts)


def test_nothing_goes_that_is_not_archived_or_after_the_time_asked_for(
    live: CutLog, tmp_path: Path
) -> None:
    archive(live, tmp_path / "a", until=T0 + 5 * HOUR)
    with SegmentLog(tmp_path / "a") as sealed:
        for cut in plan_cuts(live, sealed):
            last = list(sealed.read(cut.topic, cut.shard))[-1]
            assert cut.before <= last.position
    with archived(live, tmp_path / "a") as sealed:
        truncate(live, sealed, plan_cuts(live, sealed), until=T0 + DAY)
        for shard in range(SHARDS):
            first = next(iter(live.read("journal", shard, live.begin("journal", shard))))
            assert first.journal_time >= T0 + DAY


def test_a_damaged_archive_stops_the_truncation_before_it_deletes(
    live: CutLog, tmp_path: Path
) -> None:
    archive(live, tmp_path / "a")
    path = min((tmp_path / "a").glob("journal-00000-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with SegmentLog(tmp_path / "a") as sealed:
        cuts = [cut for cut in plan_cuts(live, sealed) if (cut.topic, cut.shard) == ("journal", 0)]
        with pytest.raises(LogError):
            truncate(live, sealed, cuts)
    assert live.begin("journal", 0) == 0


def test_a_topic_that_differs_from_the_archive_is_not_truncated(
    live: CutLog, tmp_path: Path
) -> None:
    with archived(live, tmp_path / "a") as sealed:
        cuts = plan_cuts(live, sealed)
        third = [r.position for r in live.read("journal", 1)][2]
        live.on_read = lambda r: None if place_of(r) == ("journal", 1, third) else r
        with pytest.raises(CorruptRecord, match="nothing of it was deleted"):
            truncate(live, sealed, [cut for cut in cuts if cut.shard == 1])
    assert live.begin("journal", 1) == 0

"""Truncating: takes from a topic what the archive holds and no recovery needs any more.

Place in the flow: after `archive`, when somebody asks for it. Journal and decisions only. What is
deleted was compared with the archive record by record right before, lies below what both newest
checkpoints go on from, and never includes the last archived record, at which the two are held
together. It must never delete what it has not just read in both.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from coordinator.core.checkpoint import CheckpointError, decode_state
from coordinator.core.fold import checkpoints
from coordinator.core.ports import LogReader
from coordinator.log.archive import Progress
from coordinator.log.errors import CorruptRecord, LogUnreadable
from coordinator.log.live import TruncatableLog, begin_of
from coordinator.log.segments import SegmentLog

__all__ = ["Cut", "plan_cuts", "truncate"]

TOPICS = ("journal", "decisions")
CHECKPOINTS_NEEDED = 2
_PROGRESS_RECORDS = 1_000


@dataclass(frozen=True, slots=True)
class Cut:
    """What may go from one partition: records from `begin` below `before`.

    reason: what holds the rest back, in words. records: deleted, or compared for a plan.
    """

    topic: str
    shard: int
    begin: int
    before: int
    reason: str
    records: int = 0


def plan_cuts(
    live: LogReader, sealed: SegmentLog, *, shards: Collection[int] | None = None
) -> tuple[Cut, ...]:
    """How far each partition could be truncated at most. Reads checkpoints, deletes nothing."""
    found = []
    for topic, shard in live.partitions():
        if topic not in TOPICS or (shards is not None and shard not in shards):
            continue
        begin = begin_of(live, topic, shard)
        end = sealed.end(topic, shard)
        covered, reason = _covered(live, topic, shard)
        # The last archived record stays: it shows that archive and topic are of one log.
        kept = sealed.link_before(topic, shard, end - 1).position + 1 if end else 0
        if kept <= covered:
            covered, reason = kept, "archived up to there, but for its last record"
        found.append(Cut(topic, shard, begin, max(begin, covered), reason))
    return tuple(found)


def truncate(
    live: TruncatableLog,
    sealed: SegmentLog,
    cuts: Collection[Cut],
    *,
    until: int | None = None,
    progress: Progress | None = None,
) -> tuple[Cut, ...]:
    """Compare what each cut names in both, then delete it; returns what was deleted.

    until: nothing at or after this journal time. Killed at any moment, it can be planned and run
    again. Raises CorruptRecord, before anything of that partition is deleted, at the first record
    that the two do not hold alike.
    """
    total = sum(cut.before - cut.begin for cut in cuts)
    done = 0
    deleted = []
    for cut in cuts:
        compared = _compared(live, sealed, cut, until, (done, total, progress))
        if compared.records:
            begin = live.truncate(cut.topic, cut.shard, compared.before)
            if begin < compared.before:
                what = f"{cut.topic}/{cut.shard} still begins at {begin}, not {compared.before}"
                raise LogUnreadable(sealed.where, f"the topic was not truncated: {what}")
        deleted.append(compared)
        done += cut.before - cut.begin
    return tuple(deleted)


def _compared(
    live: LogReader,
    sealed: SegmentLog,
    cut: Cut,
    until: int | None,
    progress: tuple[int, int, Progress | None],
) -> Cut:
    """The cut, no further than the two agree that there are records to delete."""
    done, total, tell = progress
    count, before, reason = 0, cut.begin, cut.reason
    place = (cut.topic, cut.shard, cut.begin, cut.before)
    if cut.begin >= cut.before:
        return Cut(*place[:3], before, reason)
    archived = sealed.read(*place)
    if until is not None:
        archived = takewhile(lambda record: record.journal_time < until, archived)
        reason = f"{reason}, and not after the time asked for"
    for one, other in zip_longest(archived, live.read(*place)):
        if one is None:
            break
        if one != other:
            what = "the topic says something else than what was sealed; nothing of it was deleted"
            raise CorruptRecord(cut.topic, cut.shard, one.position, where=sealed.where, what=what)
        count, before = count + 1, one.position + 1
        if tell is not None and count % _PROGRESS_RECORDS == 0:
            tell(done + count, total, f"{cut.topic}/{cut.shard}")
    return Cut(*place[:3], before, reason, count)


def _covered(live: LogReader, topic: str, shard: int) -> tuple[int, str]:
    """Below which position no recovery reads this topic, and why no further."""
    newest = checkpoints(live, shard)
    if len(newest) < CHECKPOINTS_NEEDED:
        return 0, f"a recovery needs all of it: {len(newest)} of 2 checkpoints are there"
    bounds = []
    for body, decisions_from in newest:
        try:
            state = decode_state(body)
        except CheckpointError as error:
            return 0, f"a recovery may need all of it: a checkpoint cannot be used ({error})"
        bounds.append(decisions_from if topic == "decisions" else state.position)
    return min(bounds), "the older of the two newest checkpoints goes on from there"

"""A log of several builds is verified in parts: each by the build that decided it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.core.ports import Append, Record
from coordinator.core.route import Raw, Router
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from replay.errors import EngineFailed
from replay.other_engine import answered_by
from replay.ranges import ranges_of
from replay.verify import Result, verify
from tests.journals import DAY, HOUR, T0, engine, tick_all, zero_clock
from tests.support.cut_log import CutLog
from tests.unit.replay.sealed_runs import OURS, Build, cautious, environment_of, lived_by, ours
from tests.unit.replay.worlds import copied

OLD, NEW = Build("old", cautious), Build(OURS)


@pytest.fixture(scope="module")
def run() -> MemoryLog:
    """Sealed by another build that decides otherwise, gone on with by ours."""
    return lived_by([OLD, NEW], MemoryLog(clock=zero_clock))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("sealed") / "run.sqlite"
    with SqliteLog(place, clock=zero_clock) as log:
        lived_by([OLD, NEW], log)
    return str(place)


def results(log: MemoryLog) -> list[tuple[int, str]]:
    return [(one.range.shard, one.result.value) for one in verify(log).ranges]


def test_ranges_begin_where_another_engine_starts(run: MemoryLog) -> None:
    old, new = ranges_of(run, 0)
    assert not new.open
    assert (old.engine or ("",))[0] == "old"
    assert (new.engine or ("",))[0] == ours()
    assert (old.first, old.follows, new.follows, new.first) == (0, -1, old.last, old.last + 1)
    assert new.last == run.end("journal", 0) - 1
    records = list(run.read("journal", 0))
    assert records[old.last].payload.startswith(b'{"type":"EngineSealed"')
    assert records[new.first].payload.startswith(b'{"type":"EngineStarted"')


def test_our_range_behind_another_builds_seal_is_compared_from_the_state_left_there(
    run: MemoryLog,
) -> None:
    report = verify(run)
    assert results(run) == [(shard, which) for shard in (0, 1) for which in
                            ("other engine", "identical")]  # fmt: skip
    assert report.difference is None
    assert not report.ok
    assert sum(one.decisions for one in report.shards) > 2
    # Decided again from the beginning by this engine, the old build's decisions come out otherwise.
    assert verify(run, this_engine=True).difference is not None


def test_a_log_that_the_same_build_sealed_and_went_on_with_is_one_range() -> None:
    log = lived_by([NEW, NEW, NEW], MemoryLog(clock=zero_clock))
    report = verify(log)
    assert report.ok
    assert [one.result for one in report.ranges] == [Result.IDENTICAL, Result.IDENTICAL]


def appended(log: MemoryLog, *, at: int) -> MemoryLog:
    """The log with a signal that a router appended at the end of its journals."""
    made = copied(log, lambda r: r.payload)
    event = {"source": "s", "strategy": "s", "instrument": "A", "direction": 1, "strength": 0.5}
    body = {"type": "SignalIssued", "event_id": "late", "event_time": at, **event}
    raw = Raw("signals", "late", 0, 0, at, json.dumps(body).encode())
    Router(made, shards=2).accept([raw], journal_times=[at])
    return made


def gone_on_with(log: MemoryLog, *, at: int) -> MemoryLog:
    """Our build starts behind what stands behind the seal, as a live owner does."""
    router = Router(log, shards=2)
    router.write(NEW.started(at=at, shards=2), shards=[0, 1], journal_time=at)
    tick_all(log, shards=2, at=at + HOUR)
    for shard in (0, 1):
        owner = Shard(log, engine(shard, 2), ours=NEW.started(at=at, shards=2))
        owner.behind_seal = True
        owner.recover()
        owner.checkpoint()
    return log


def test_what_stands_behind_a_seal_is_the_next_builds_and_nobodys_before_it_starts() -> None:
    at = T0 + 9 * HOUR
    log = appended(lived_by([OLD], MemoryLog(clock=zero_clock), sealed=True), at=at)
    assert [one.open for one in ranges_of(log, 1)] == [False, True]
    ended = appended(lived_by([NEW], MemoryLog(clock=zero_clock), sealed=True), at=at)
    report = verify(ended)
    assert report.ok
    assert [one.result.value for one in report.ranges] == ["identical", "undecided"] * 2
    assert verify(ended, from_checkpoint=True).ok
    assert verify(ended, this_engine=True).ok
    goes_on = gone_on_with(log, at=T0 + DAY)
    old, new = ranges_of(goes_on, 1)
    between = next(goes_on.read("journal", 1, new.first))
    assert b'"late"' in between.payload
    assert new.follows == old.last == between.position - 1
    report = verify(goes_on)
    assert [one.result.value for one in report.ranges] == ["other engine", "identical"] * 2
    assert report.difference is None


def test_outputs_behind_a_seal_that_nobody_passed_are_extra() -> None:
    log = lived_by([NEW], MemoryLog(clock=zero_clock), sealed=True)
    log = appended(log, at=T0 + 9 * HOUR)
    said = list(log.read("decisions", 1))[-1]
    head = json.loads(said.payload)
    cause = log.end("journal", 1) - 1
    forged = said.payload.replace(b'"position":%d' % head["position"], b'"position":%d' % cause)
    forged = forged.replace(b'"seq":%d' % head["seq"], b'"seq":%d' % (head["seq"] + 1))
    log.append([Append("decisions", 1, forged, said.journal_time)])
    found = verify(log).difference
    assert found is not None
    assert (found.kind, found.position) == ("extra", cause)


def test_a_build_that_comes_back_is_compared_in_both_of_its_ranges() -> None:
    log = lived_by([NEW, OLD, NEW], MemoryLog(clock=zero_clock))
    report = verify(log)
    assert [one.result.value for one in report.ranges][:3] == [
        "identical", "other engine", "identical",
    ]  # fmt: skip
    assert report.difference is None
    assert len(report.unverified) == 2


def changed(log: MemoryLog, topic: str, nth: int, old: bytes, new: bytes) -> MemoryLog:
    """The log with the nth record of a topic that holds some bytes changed, in shard 1."""
    count = 0

    def change(record: Record) -> bytes:
        nonlocal count
        if (record.topic, record.shard) != (topic, 1) or old not in record.payload:
            return record.payload
        count += 1
        return record.payload.replace(old, new) if count == nth else record.payload

    made = copied(log, change)
    assert count >= nth
    return made


def test_a_difference_in_our_range_is_found_and_in_the_other_left_to_its_build(
    run: MemoryLog,
) -> None:
    decisions = [r.position for r in run.read("decisions", 1) if b"AllocationDecided" in r.payload]
    first = changed(run, "decisions", 1, b'"AllocationDecided"', b'"AllocationDecidet"')
    assert verify(first).difference is None
    last = changed(run, "decisions", len(decisions), b'"AllocationDecided"', b'"AllocationDecidet"')
    report = verify(last)
    assert report.difference is not None
    assert report.difference.kind == "different"
    assert Result.DIFFERENT in {one.result for one in report.ranges}


def test_outputs_that_nothing_in_our_range_leads_to_are_extra_at_its_end() -> None:
    log = lived_by([NEW, OLD], MemoryLog(clock=zero_clock))
    ended = ranges_of(log, 1)[0].last
    lost = max(
        r.position for r in log.read("journal", 1, 0, ended) if b"PricesObserved" in r.payload
    )
    cut = copied(
        log,
        lambda r: (
            b'{"type":"ClockTicked","version":1,"topic":"journal","topic_id":"","partition":0,'
            b'"offset":-1,"appended_at":1,"event":{"event_id":"t","event_time":1}}'
            if (r.topic, r.shard, r.position) == ("journal", 1, lost)
            else r.payload
        ),
    )
    assert verify(cut).difference is not None


def test_without_a_state_at_the_seal_our_range_is_left_and_said_so(run: MemoryLog) -> None:
    bare = copied(run, lambda r: None if r.topic == "checkpoints" else r.payload)
    assert [one.result.value for one in verify(bare).ranges] == ["other engine", "no state"] * 2
    assert not verify(bare).ok


def test_from_a_checkpoint_only_what_follows_it_is_split(run: MemoryLog) -> None:
    report = verify(run, from_checkpoint=True)
    assert report.ok
    assert all(one.from_position > 0 for one in report.shards)


# -- the reader's rule, and a broker's times -----------------------------------------------------


def test_repeated_outputs_are_passed_over_and_counted() -> None:
    log = lived_by([NEW], MemoryLog(clock=zero_clock))
    doubled = MemoryLog(clock=zero_clock)
    for topic, shard in log.partitions():
        records = list(log.read(topic, shard))
        for index, record in enumerate(records):
            again = (
                records[max(0, index - 3) : index]
                if topic == "decisions" and index % 4 == 3
                else []
            )
            for one in [record, *again]:
                doubled.append([Append(topic, shard, one.payload, one.journal_time)])
    report = verify(copied(doubled, lambda r: None if r.topic == "checkpoints" else r.payload))
    assert report.ok
    assert sum(one.repeats for one in report.shards) > 3


def test_something_else_under_a_seq_that_was_taken_is_a_difference() -> None:
    log = lived_by([NEW], MemoryLog(clock=zero_clock))
    first = next(log.read("decisions", 1))
    other = first.payload.replace(b'"decided_at":', b'"decided_at":1')
    assert other != first.payload
    log.append([Append("decisions", 1, other, first.journal_time)])
    report = verify(log)
    assert report.difference is not None
    assert report.difference.kind == "extra"


def test_times_that_a_broker_gave_outputs_and_checkpoints_are_its_own() -> None:
    log = lived_by([NEW], MemoryLog(clock=zero_clock))
    later = MemoryLog(clock=zero_clock)
    for topic, shard in log.partitions():
        for record in log.read(topic, shard):
            late = 0 if topic == "journal" else 1_000_000
            later.append([Append(topic, shard, record.payload, record.journal_time + late)])
    assert not verify(CutLog(later)).ok
    assert verify(CutLog(later, broker_times=True)).ok


class Growing(CutLog):
    """Shard 1 gets its last records after its ranges were read."""

    def __init__(self, log: MemoryLog, *, end: int) -> None:
        super().__init__(log)
        self._end = end
        self._journal_reads = 0

    def end(self, topic: str, shard: int) -> int:
        early = (topic, shard) == ("journal", 1) and self._journal_reads < 2
        return self._end if early else super().end(topic, shard)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        if (topic, shard) == ("journal", 1):
            self._journal_reads += 1
            stop = self._end if self._journal_reads < 2 else stop
        return super().read(topic, shard, start, stop)


def test_what_the_journal_got_meanwhile_is_not_judged() -> None:
    log = copied(
        lived_by([NEW], MemoryLog(clock=zero_clock)),
        lambda r: None if (r.topic, r.shard) == ("checkpoints", 1) else r.payload,
    )
    last = list(log.read("decisions", 1))[-1]
    cause = json.loads(last.payload)["position"]
    report = verify(Growing(log, end=cause))
    assert report.ok
    assert report.shards[1].records == cause
    # Of a log that does not grow, the same outputs are one too many.
    cut = copied(
        log,
        lambda r: (
            None if (r.topic, r.shard) == ("journal", 1) and r.position >= cause else r.payload
        ),
    )
    found = verify(cut).difference
    assert found is not None
    assert found.kind == "extra"


# -- the command ---------------------------------------------------------------------------------


def test_another_builds_range_exits_4_and_names_range_and_build(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--verify", "--log", path]) == 4
    told = capsys.readouterr()
    assert "shard 0 positions 0 to " in told.err
    assert "build old (here " in told.err
    assert "--engine VENV" in told.err
    assert "identical, in part not compared" in told.out
    assert main(["replay", "--verify", "--log", path, "--json"]) == 4
    ranges = json.loads(capsys.readouterr().out)["ranges"]
    assert [one["result"] for one in ranges] == ["other engine", "identical"] * 2
    assert main(["replay", "--verify", "--log", path, "--this-engine"]) == 3


def test_the_other_build_verifies_its_range_with_engine(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The environment takes itself for the old build but decides as ours does: it differs.
    venv = environment_of("old", tmp_path / "venv")
    assert main(["replay", "--verify", "--log", path, "--engine", str(venv)]) == 3
    assert "AllocationDecided differs" in capsys.readouterr().out
    same = str(tmp_path / "same.sqlite")
    with SqliteLog(same, clock=zero_clock) as log:
        lived_by([Build("old"), NEW], log)
    assert main(["replay", "--verify", "--log", same]) == 4
    capsys.readouterr()
    assert main(["replay", "--verify", "--log", same, "--engine", str(venv)]) == 0
    assert f"the rest by {venv}" in capsys.readouterr().out
    third = str(environment_of("third", tmp_path / "third"))
    assert main(["replay", "--verify", "--log", same, "--engine", third]) == 4


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (None, "cannot be run"),
        ("#!/bin/sh\necho broken >&2; exit 1\n", "exit code 1: broken"),
        ("#!/bin/sh\necho no json\n", "no report of verify"),
    ],
)
def test_an_environment_that_cannot_verify_is_told(
    script: str | None, told: str, run: MemoryLog, tmp_path: Path
) -> None:
    if script is not None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "coordinator").write_text(script)
        (tmp_path / "bin" / "coordinator").chmod(0o755)
    with pytest.raises(EngineFailed, match=told):
        answered_by(verify(run), tmp_path, "log")


def test_nobody_is_asked_when_everything_is_ours(tmp_path: Path) -> None:
    report = verify(lived_by([NEW], MemoryLog(clock=zero_clock)))
    assert answered_by(report, tmp_path / "none", "log") is report


def test_a_build_without_ranges_that_finds_all_of_its_log_the_same_is_believed(
    run: MemoryLog, tmp_path: Path
) -> None:
    log = lived_by([Build("old")], MemoryLog(clock=zero_clock))
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "coordinator"
    command.write_text('#!/bin/sh\necho \'{"ok":true,"shards":[]}\'\n')
    command.chmod(0o755)
    assert subprocess.run([command], check=True, capture_output=True, timeout=10).stdout
    assert answered_by(verify(log), tmp_path, "log").ok

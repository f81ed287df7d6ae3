"""Where the outputs only end before the journal does, verify says that they are not said yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.core.ports import Append, Record
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from replay.ranges import ranges_of
from replay.verify import FirstDifference, Result, verify
from schemas.entries import decode_output
from tests.journals import HOUR, T0, zero_clock
from tests.unit.replay.sealed_runs import OURS, Build, cautious, lived_by
from tests.unit.replay.test_ranges import appended
from tests.unit.replay.worlds import copied

OLD, NEW = Build("old", cautious), Build(OURS)


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return lived_by([NEW], MemoryLog(clock=zero_clock))


def behind(log: MemoryLog, shard: int, left: int, *, states: bool = False) -> MemoryLog:
    """As if the engine of a shard had said only so many outputs, and written no state down."""

    def there(record: Record) -> bytes | None:
        if record.topic == "checkpoints" and not states:
            return None
        late = record.topic == "decisions" and record.shard == shard and record.position >= left
        return None if late else record.payload

    return copied(log, there)


def found(log: MemoryLog) -> FirstDifference:
    difference = verify(log).difference
    assert difference is not None
    return difference


def records_from(log: MemoryLog, shard: int, output: int) -> tuple[int, int]:
    """The journal position that an output came of, and how many records stand from there on."""
    cause = decode_output(list(log.read("decisions", shard))[output].payload).position
    return cause, len(list(log.read("journal", shard, cause)))


def test_what_the_engine_has_not_said_yet_is_not_called_missing(log: MemoryLog) -> None:
    whole = log.end("decisions", 1)
    for left in range(whole):
        one = found(behind(log, 1, left))
        assert one.unsaid
        assert (one.shard, one.seq) == (1, left)
        assert (one.position, one.behind) == records_from(log, 1, left)
    report = verify(behind(log, 1, whole - 1))
    assert not report.ok
    assert [one.result for one in report.ranges] == [Result.IDENTICAL, Result.UNSAID]


def test_what_a_later_state_shows_to_have_been_said_is_missing(log: MemoryLog) -> None:
    cut = behind(log, 1, log.end("decisions", 1) - 1, states=True)
    assert found(cut).kind == "missing"


def test_what_a_next_build_started_behind_is_missing() -> None:
    log = lived_by([NEW, OLD], MemoryLog(clock=zero_clock))
    ours = ranges_of(log, 1)[0]
    said = [decode_output(record.payload) for record in log.read("decisions", 1)]
    last = max(entry.seq for entry in said if entry.position <= ours.last)

    def there(record: Record) -> bytes | None:
        late = record.topic == "decisions" and record.shard == 1 and record.position >= last
        return None if late or record.topic == "checkpoints" else record.payload

    assert found(copied(log, there)).kind == "missing"


def test_what_stands_behind_a_seal_shows_nothing() -> None:
    """Routers appended it, and nobody has started there."""
    sealed = lived_by([NEW], MemoryLog(clock=zero_clock), sealed=True)
    log = appended(sealed, at=T0 + 9 * HOUR)
    assert ranges_of(log, 1)[-1].open
    assert found(behind(log, 1, log.end("decisions", 1) - 1)).unsaid


def test_a_real_difference_comes_first(log: MemoryLog) -> None:
    def change(record: Record) -> bytes:
        if (record.topic, record.shard, record.position) == ("decisions", 1, 2):
            return record.payload.replace(b'"decided_at":', b'"decided_at":1')
        return record.payload

    cut = copied(behind(log, 0, log.end("decisions", 0) - 1), change)
    kinds = [one.difference.kind for one in verify(cut).shards if one.difference is not None]
    assert kinds == ["unsaid", "different"]
    assert found(cut).kind == "different"


def test_the_command_says_how_far_it_is_and_ends_with_3(
    log: MemoryLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "log.sqlite")
    cut = behind(log, 1, log.end("decisions", 1) - 1)
    with SqliteLog(path, clock=zero_clock) as file:
        for topic, shard in cut.partitions():
            for r in cut.read(topic, shard):
                file.append([Append(topic, shard, r.payload, r.journal_time)])
    position, count = records_from(log, 1, log.end("decisions", 1) - 1)
    assert main(["replay", "--verify", "--log", path]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert f"outputs not said yet: {count} journal records behind the last decision" in said
    assert f"(shard 1, from position {position} on)" in said
    assert "missing" not in said
    assert "DIFFERENT" not in said
    assert main(["replay", "--verify", "--log", path, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["shards"][1]["difference"]["behind"] == count
    assert told["ranges"][1]["result"] == "not said to its end"

"""What every log promises, held against every adapter.

A reader that cannot append (Parquet segments) reads what was sealed from a log that can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import duckdb
import polars as pl
import pytest

from coordinator.core.ports import Append, Log, LogReader, Record
from coordinator.log.combined import CombinedLog
from coordinator.log.errors import InvalidAppend, LogClosed
from coordinator.log.integrity import GENESIS, ChainedReader
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_reader
from coordinator.log.segment_heads import begin_folder
from coordinator.log.segments import SegmentLog, export, write_segment
from coordinator.log.sqlite import SqliteLog
from tests.support.cut_log import CutLog


class ChainedLog(Log, ChainedReader, Protocol):
    """A log that can be sealed."""


class Clock:
    """Gives what it was last told."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Case:
    """One adapter under test: `log` is appended to, `reader()` is what the promise is about."""

    def __init__(
        self, log: ChainedLog, clock: Clock, reader: Callable[[ChainedLog], LogReader]
    ) -> None:
        self.log = log
        self.clock = clock
        self._reader = reader

    def reader(self) -> LogReader:
        return self._reader(self.log)

    def put(self, *payloads: bytes, topic: str = "journal", shard: int = 0) -> tuple[int, ...]:
        return self.log.append([Append(topic, shard, payload) for payload in payloads])

    def read(
        self, topic: str = "journal", shard: int = 0, start: int = 0, stop: int | None = None
    ) -> list[Record]:
        return list(self.reader().read(topic, shard, start, stop))


def skip_some(position: int) -> int:
    """Positions rise by 1, 2, 3, 1, 2, 3, ..., as behind a broker with transactions."""
    return position + position % 3


def half_archived(of: ChainedLog, folder: Path) -> CombinedLog:
    """The first half of each partition in an archive, and gone from the log but for its end."""
    live = CutLog(of)
    folder.mkdir(exist_ok=True)
    begin_folder(folder)
    for topic, shard in of.partitions():
        positions = [record.position for record in of.read(topic, shard)]
        with SegmentLog(folder) as sealed:
            first, middle = sealed.end(topic, shard), positions[len(positions) // 2] + 1
        if middle > first:
            write_segment(of, folder, topic, shard, first, middle)
            before = of.link_before(topic, shard, middle - 1).position
            live.truncate(topic, shard, before + 1)
    return CombinedLog(live, SegmentLog(folder))


ADAPTERS = ("memory", "memory-skipping", "sqlite", "sqlite-bulk", "sqlite-reader", "parquet",
            "parquet-skipping", "combined", "combined-skipping")  # fmt: skip
APPENDING = ("memory", "memory-skipping", "sqlite", "sqlite-bulk")


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    kind: str = request.param
    clock = Clock(1_000)
    log: ChainedLog
    if kind in {"sqlite", "sqlite-bulk", "sqlite-reader"}:
        log = SqliteLog(tmp_path / "a.sqlite", clock=clock, durable=kind != "sqlite-bulk")
    else:
        log = MemoryLog(clock=clock, skip=skip_some if kind.endswith("skipping") else None)

    def reader(of: ChainedLog) -> LogReader:
        if kind == "sqlite-reader":
            return open_reader(tmp_path / "a.sqlite")
        if kind.startswith("parquet"):
            export(of, tmp_path / "sealed")
            return SegmentLog(tmp_path / "sealed")
        if kind.startswith("combined"):
            return half_archived(of, tmp_path / "archive")
        return of

    yield Case(log, clock, reader)
    log.close()


every = pytest.mark.parametrize("case", ADAPTERS, indirect=True)
appending = pytest.mark.parametrize("case", APPENDING, indirect=True)


@every
def test_empty_log_has_no_partitions_no_records_and_ends_at_zero(case: Case) -> None:
    assert case.read() == []
    assert case.reader().end("journal", 0) == 0
    assert case.reader().partitions() == ()


@every
def test_records_come_back_as_written_in_order(case: Case) -> None:
    positions = case.put(b"a", b"b") + case.put(b"c")
    assert case.read() == [
        Record("journal", 0, position, 1_000, payload)
        for position, payload in zip(positions, (b"a", b"b", b"c"), strict=True)
    ]


@every
def test_positions_rise_strictly_across_batches(case: Case) -> None:
    given = [position for _ in range(5) for position in case.put(b"x", b"y", b"z")]
    assert given == sorted(set(given))
    assert [record.position for record in case.read()] == given


@every
def test_end_is_one_past_the_last_position(case: Case) -> None:
    positions = case.put(*[b"x"] * 7)
    assert case.reader().end("journal", 0) == positions[-1] + 1


@every
def test_read_from_any_position_between_or_on_records_starts_at_the_next(case: Case) -> None:
    case.put(*[bytes([n]) for n in range(12)])
    whole = case.read()
    for start in range(-2, whole[-1].position + 3):
        assert case.read(start=start) == [r for r in whole if r.position >= start]


@every
def test_stop_is_not_included_whether_it_is_a_record_or_not(case: Case) -> None:
    case.put(*[bytes([n]) for n in range(12)])
    whole = case.read()
    for stop in range(-1, whole[-1].position + 3):
        wanted = [r for r in whole if 2 <= r.position < stop]
        assert case.read(start=2, stop=stop) == wanted


@every
def test_partitions_are_separate_and_listed_in_order(case: Case) -> None:
    case.log.append(
        [
            Append("journal", 11, b"late"),
            Append("decisions", 2, b"d"),
            Append("journal", 2, b"j"),
            Append("signals.dlq", 0, b"s"),
            Append("journal", 11, b"later"),
        ]
    )
    assert case.reader().partitions() == (
        ("decisions", 2),
        ("journal", 2),
        ("journal", 11),
        ("signals.dlq", 0),
    )
    assert [r.payload for r in case.read("journal", 11)] == [b"late", b"later"]
    assert case.read("journal", 3) == []
    assert case.read("journa", 2) == []


@every
def test_given_journal_time_is_kept_even_at_the_ends_of_its_range(case: Case) -> None:
    times = [5, -(2**63), 2**63 - 1, 0]
    case.log.append([Append("journal", 0, b"", journal_time=at) for at in times])
    assert [record.journal_time for record in case.read()] == times


@every
def test_journal_time_of_the_clock_never_goes_back_within_a_partition(case: Case) -> None:
    for now in (2_000, 1_500, 3_000):
        case.clock.now = now
        case.put(b"x")
    case.clock.now = 10
    case.put(b"x", topic="other")
    assert [record.journal_time for record in case.read()] == [2_000, 2_000, 3_000]
    assert [record.journal_time for record in case.read("other")] == [10]


@every
def test_payloads_are_bytes_whatever_they_hold(case: Case) -> None:
    payloads = (b"", b"\x00", b"\xff\xfe\x80 no text", bytes(range(256)), b'{"a":1}', b"\x00" * 99)
    case.put(*payloads)
    assert tuple(record.payload for record in case.read()) == payloads


@every
def test_records_of_two_mebibytes_are_kept(case: Case) -> None:
    payloads = [bytes([n]) * (2 * 2**20) for n in range(4)]
    case.put(*payloads)
    assert [record.payload for record in case.read()] == payloads


@every
def test_many_records_are_read_through_pages_and_row_groups(case: Case) -> None:
    payloads = [b"%d" % n for n in range(20_000)]
    case.put(*payloads)
    whole = case.read()
    assert [record.payload for record in whole] == payloads
    middle = whole[16_383].position
    assert case.read(start=middle, stop=middle + 9) == [
        r for r in whole if middle <= r.position < middle + 9
    ]


@every
def test_links_agree_between_the_log_and_its_reader(case: Case) -> None:
    case.put(b"a", b"b", b"c")
    reader = case.reader()
    if not hasattr(reader, "link_before"):
        pytest.fail("a reader that cannot be sealed")
    for position in range(case.log.end("journal", 0) + 3):
        assert reader.link_before("journal", 0, position) == case.log.link_before(
            "journal", 0, position
        )
    assert reader.link_before("journal", 0, 0) == GENESIS
    assert reader.link_before("nothing", 0, 9) == GENESIS


@every
def test_closed_reader_says_so(case: Case) -> None:
    case.put(b"a", b"b")
    reader = case.reader()
    begun = reader.read("journal", 0)
    reader.close()
    reader.close()
    for use in (
        lambda: list(begun),
        lambda: list(reader.read("journal", 0)),
        lambda: reader.end("journal", 0),
        reader.partitions,
    ):
        with pytest.raises(LogClosed):
            use()


@appending
def test_read_is_not_disturbed_by_appends_made_meanwhile(case: Case) -> None:
    case.put(*[b"old"] * 3_000)
    reading = case.log.read("journal", 0)
    seen = [next(reading).payload]
    case.put(b"new")
    seen += [record.payload for record in reading]
    assert seen == [b"old"] * 3_000
    assert case.read()[-1].payload == b"new"


@appending
def test_abandoned_read_holds_nothing_up(case: Case) -> None:
    case.put(*[b"x"] * 2_000)
    reading = case.log.read("journal", 0)
    next(reading)
    case.put(b"y")
    assert len(case.read()) == 2_001


@appending
@pytest.mark.parametrize(
    "bad",
    [
        Append("", 0, b""),
        Append("a/b", 0, b""),
        Append("..", 0, b""),
        Append("t" * 151, 0, b""),
        Append("tæ", 0, b""),
        Append("t", -1, b""),
        Append("t", 100_000, b""),
        Append("t", 0, b"", journal_time=2**63),
        Append("t", 0, b"", journal_time=-(2**63) - 1),
        Append("t", 0, "text"),  # type: ignore[arg-type]  # what an untyped caller may pass
    ],
)
def test_batch_with_one_bad_record_leaves_nothing(case: Case, bad: Append) -> None:
    case.put(b"before")
    good = Append("journal", 0, b"good")
    with pytest.raises(InvalidAppend):
        case.log.append([good, bad, good])
    assert [record.payload for record in case.read()] == [b"before"]
    case.put(b"after")
    assert [record.payload for record in case.read()] == [b"before", b"after"]


@appending
def test_empty_batch_appends_nothing(case: Case) -> None:
    assert case.log.append([]) == ()
    assert case.reader().partitions() == ()


@appending
def test_failing_clock_leaves_nothing_and_the_log_usable(case: Case) -> None:
    def stopped() -> int:
        raise OSError("no clock")

    case.put(b"a")
    running, case.log._clock = case.log._clock, stopped  # type: ignore[attr-defined]  # the adapters' common field
    with pytest.raises(OSError, match="no clock"):
        case.put(b"lost", b"lost")
    case.log._clock = running  # type: ignore[attr-defined]  # as above
    case.put(b"b")
    assert [record.payload for record in case.read()] == [b"a", b"b"]


def sealed_folder(folder: Path, payloads: Sequence[bytes]) -> list[Record]:
    with MemoryLog(clock=Clock(7), skip=skip_some) as log:
        log.append([Append("journal", shard, p) for p in payloads for shard in (0, 3)])
        export(log, folder)
        return [r for shard in (0, 3) for r in log.read("journal", shard)]


def test_polars_and_duckdb_read_the_sealed_files_directly(tmp_path: Path) -> None:
    records = sealed_folder(tmp_path / "s", [b"\xff\x00", b"", b"text"])
    columns = ["topic", "shard", "position", "journal_time", "payload"]
    wanted = [(r.topic, r.shard, r.position, r.journal_time, r.payload) for r in records]
    frame = pl.read_parquet(tmp_path / "s" / "*.parquet")
    assert frame.columns == [*columns, "hash"]
    assert frame.select(columns).sort("shard", "position").rows() == wanted
    assert {len(digest) for digest in frame["hash"]} == {32}
    query = f"SELECT {', '.join(columns)} FROM read_parquet($1) ORDER BY shard, position"
    with duckdb.connect() as database:
        found = database.execute(query, [str(tmp_path / "s" / "*.parquet")]).fetchall()
    assert found == wanted

"""One sealed segment: a Parquet file of consecutive records of one (topic, shard).

Place in the flow: `segments` puts many of them into a folder. Its name ends in a digest of the
whole file, and polars never sees a byte before that digest matched: a damaged Parquet file can make
a decoder abort the process (measured: one flipped bit, polars 2.1), which no `except` catches.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from coordinator.core.ports import Record
from coordinator.log.errors import LogUnreadable
from coordinator.log.integrity import Chain, Link

__all__ = ["SUFFIX", "Footer", "Segment", "SegmentFile", "encode", "open_segment", "parse_name"]

SUFFIX = ".parquet"
_KEY = "coordinator.segment"
_NOTES = "coordinator.notes"
_VERSION = 1
_GROUP_RECORDS_MAX = 16_384
_GROUP_BYTES = 4 * 2**20  # payload in one row group, about
_FILE_DIGEST_BYTES = 16
_NAME = re.compile(r"([A-Za-z0-9._-]{1,150})-(\d{5})-(\d{19})-(\d{19})-([0-9a-f]{32})\.parquet")
_COLUMNS = {
    "topic": pl.String,
    "shard": pl.Int32,
    "position": pl.Int64,
    "journal_time": pl.Int64,
    "payload": pl.Binary,
    "hash": pl.Binary,
}

_Stored = tuple[str, int, int, int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Footer:
    """What a segment says of itself, in the Parquet file's metadata.

    previous_position, previous_digest: the link it hangs on (-1 and zeros at the start of a log).
    digest: hash of its last record (hex, like previous_digest). group: records a row group.
    """

    version: int
    topic: str
    shard: int
    first: int
    last: int
    count: int
    group: int
    previous_position: int
    previous_digest: str
    digest: str

    @property
    def before(self) -> Link:
        """The link that the first record hangs on."""
        return Link(self.previous_position, bytes.fromhex(self.previous_digest))

    @property
    def after(self) -> Link:
        """The link that the next segment must hang on."""
        return Link(self.last, bytes.fromhex(self.digest))


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed file as its name tells it: positions first to last of one partition, a digest."""

    path: Path
    topic: str
    shard: int
    first: int
    last: int
    file_digest: str


def parse_name(path: Path) -> Segment | None:
    """The segment that a file's name promises; None when it is not a segment's name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    topic, shard, first, last, digest = match.groups()
    return Segment(path, topic, int(shard), int(first), int(last), digest)


def name_of(footer: Footer, digest: str) -> str:
    """The file name of a segment; sorts by topic, shard and position."""
    return (
        f"{footer.topic}-{footer.shard:05d}-{footer.first:019d}-{footer.last:019d}-{digest}{SUFFIX}"
    )


def file_digest(content: bytes) -> str:
    """The digest in the file's name: blake2b-128 of every byte, hex."""
    return hashlib.blake2b(content, digest_size=_FILE_DIGEST_BYTES).hexdigest()


def encode(
    records: list[Record], before: Link, notes: Mapping[str, str] | None = None
) -> tuple[str, bytes, Link]:
    """Name and bytes of the segment of these records (at least one), and the link after them.

    notes: what the sealer wants to know again when it goes on behind this segment.
    """
    topic, shard = records[0].topic, records[0].shard
    chain = Chain(topic, shard, before.digest)
    hashes = [chain.extend(r.position, r.journal_time, r.payload) for r in records]
    size = sum(len(r.payload) for r in records)
    group = max(1, min(_GROUP_RECORDS_MAX, _GROUP_BYTES * len(records) // (size + 1)))
    footer = Footer(
        version=_VERSION,
        topic=topic,
        shard=shard,
        first=records[0].position,
        last=records[-1].position,
        count=len(records),
        group=group,
        previous_position=before.position,
        previous_digest=before.digest.hex(),
        digest=chain.digest.hex(),
    )
    content = _parquet(records, hashes, footer, notes or {})
    return name_of(footer, file_digest(content)), content, footer.after


def _parquet(
    records: list[Record], hashes: list[bytes], footer: Footer, notes: Mapping[str, str]
) -> bytes:
    told = {_KEY: asdict(footer)} | ({_NOTES: dict(notes)} if notes else {})
    frame = pl.DataFrame(
        {
            "topic": [r.topic for r in records],
            "shard": [r.shard for r in records],
            "position": [r.position for r in records],
            "journal_time": [r.journal_time for r in records],
            "payload": [r.payload for r in records],
            "hash": hashes,
        },
        schema=_COLUMNS,
    )
    content = io.BytesIO()
    frame.write_parquet(
        content,
        compression="zstd",
        row_group_size=footer.group,
        metadata={key: json.dumps(value, sort_keys=True) for key, value in told.items()},
    )
    return content.getvalue()


def open_segment(segment: Segment) -> SegmentFile:
    """Read a segment's bytes and check them against its name, before anything decodes them.

    Raises LogUnreadable.
    """
    last_good = (segment.topic, segment.shard, segment.first - 1) if segment.first else None
    try:
        content = segment.path.read_bytes()
    except OSError as error:
        what = f"the system says: {error.strerror}"
        raise LogUnreadable(str(segment.path), what, last_good=last_good) from error
    if file_digest(content) != segment.file_digest:
        what = (
            f"its bytes are not those that were sealed; it holds positions {segment.first} to "
            f"{segment.last} of {segment.topic}/{segment.shard}"
        )
        raise LogUnreadable(str(segment.path), what, last_good=last_good)
    return SegmentFile(segment, content)


class SegmentFile:
    """One segment held in memory; gives out verified records.

    content: the file's bytes, whose digest `open_segment` has checked (only `locate`'s child may
    pass others). Raises LogUnreadable when they are not what the name promises.
    """

    def __init__(self, segment: Segment, content: bytes) -> None:
        self.segment = segment
        self._where = str(segment.path)
        self._content = content
        self._notes = ""
        self.footer = self._read_footer()

    @property
    def notes(self) -> dict[str, str]:
        """What the sealer noted; empty where it noted nothing."""
        found = json.loads(self._notes or "{}")
        return {str(name): str(value) for name, value in found.items()}

    def link_before(self, position: int) -> Link:
        """Where the chain stands before `position`, which lies in this segment or right after."""
        index = self._index(position)
        if index == 0:
            return self.footer.before
        row = self._rows(index - 1, 1)[0]
        return Link(row[2], row[5])

    def read(self, start: int, stop: int) -> Iterator[Record]:
        """Verified records with start <= position < stop. Raises CorruptRecord."""
        index = self._index(start)
        end = self._index(stop)
        topic, shard = self.footer.topic, self.footer.shard
        chain = Chain(topic, shard, self.link_before(start).digest)
        while index < end:
            # Up to the row group's end, so that each group is decoded once.
            count = min(end, (index // self.footer.group + 1) * self.footer.group) - index
            for _, _, position, journal_time, payload, digest in self._rows(index, count):
                chain.check(position, journal_time, payload, digest, where=self._where)
                yield Record(topic, shard, position, journal_time, payload)
            index += count

    def _read_footer(self) -> Footer:
        segment = self.segment
        with self._translated():
            metadata = pl.read_parquet_metadata(io.BytesIO(self._content))
        text, self._notes = metadata.get(_KEY, ""), metadata.get(_NOTES, "")
        try:
            footer = Footer(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise LogUnreadable(self._where, "its metadata is not a segment's") from error
        if footer.version != _VERSION:
            what = f"its format has version {footer.version}, this build reads {_VERSION}"
            raise LogUnreadable(self._where, what)
        told = (footer.topic, footer.shard, footer.first, footer.last)
        if told != (segment.topic, segment.shard, segment.first, segment.last):
            raise LogUnreadable(self._where, f"it was renamed: inside it says {told}")
        return footer

    def _index(self, position: int) -> int:
        """How many records stand before `position`."""
        if position <= self.footer.first:
            return 0
        if position > self.footer.last:
            return self.footer.count
        with self._translated():
            positions = pl.scan_parquet(io.BytesIO(self._content)).select("position").collect()
            return int(positions["position"].search_sorted(position, side="left"))

    def _rows(self, offset: int, count: int) -> list[_Stored]:
        with self._translated():
            return pl.scan_parquet(io.BytesIO(self._content)).slice(offset, count).collect().rows()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except PolarsError as error:
            raise LogUnreadable(self._where, f"polars says: {error}") from error
        except BaseException as error:
            # polars' panic is a BaseException of its own, and no subclass of its errors.
            if type(error).__name__ != "PanicException":
                raise
            raise LogUnreadable(self._where, f"polars gave up: {error}") from error

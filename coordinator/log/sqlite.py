"""The embedded log: one SQLite file, the default where there is no server.

Place in the flow: behind `core.ports.Log`; journal, decisions, checkpoints and dead letters of the
local shell are its topics. Positions are dense, so a record that vanished is found by its number.
It must never return a record that it did not verify.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.core.ports import Append, Record
from coordinator.log.closing import Closing
from coordinator.log.errors import CorruptRecord, LogClosed, LogFull, LogUnreadable
from coordinator.log.integrity import DIGEST_BYTES, GENESIS, Chain, Link, check_append
from coordinator.log.lock import WriterLock
from coordinator.log.sqlite_file import FOREIGN, connect, translated

__all__ = ["SqliteLog"]

_PAGE_RECORDS_MAX = 1_024
_PAGE_BYTES_MAX = 4 * 2**20
_COMMIT_BYTES = 32 * 2**20  # of a log that is not durable: one transaction holds about this much
_ROW_BYTES = 100  # about what a row costs beside its payload

_HEAD = """
    SELECT head.end, head.hash, last.position, last.hash, last.journal_time FROM (SELECT 1)
    LEFT JOIN (SELECT end, hash FROM heads WHERE topic = :topic AND shard = :shard) AS head
    LEFT JOIN (SELECT position, hash, journal_time FROM records
               WHERE topic = :topic AND shard = :shard
               ORDER BY position DESC LIMIT 1) AS last"""
_PAGE = (
    "SELECT position, journal_time, bytes, hash FROM records "
    "WHERE topic = ? AND shard = ? AND position >= ? AND position < ? ORDER BY position LIMIT ?"
)
_LINK = "SELECT hash FROM records WHERE topic = ? AND shard = ? AND position = ?"
_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)"
_MOVE_HEAD = "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)"
_HEADS = "SELECT topic, shard FROM heads ORDER BY topic, shard"
_NEXT_PARTITION = (
    "SELECT topic, shard FROM records WHERE (topic, shard) > (?, ?) ORDER BY topic, shard LIMIT 1"
)

_Key = tuple[str, int]
_Row = tuple[int, int, bytes, bytes]
_Stored = tuple[str, int, int, int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Head:
    """Where a partition ends: one past its last position, that record's hash and journal time."""

    end: int
    digest: bytes
    journal_time: int


_EMPTY = _Head(end=0, digest=GENESIS.digest, journal_time=-(2**63))


class SqliteLog(Closing):
    """A Log in one SQLite file (WAL): one writer, any number of readers meanwhile.

    durable: every append is on the disk when it returns. Not durable (imports, backtests): appends
    are gathered in large transactions, readers of other connections see them late, and only `close`
    makes them last; a power failure before that can cost the file.
    Raises NotALog, LogLocked, LogUnreadable when opened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], int] = time.time_ns,
        readonly: bool = False,
        durable: bool = True,
    ) -> None:
        self._path = Path(path)
        self._where = str(path)
        self._clock = clock
        self._readonly = readonly
        self._durable = durable
        self._mutex = threading.RLock()
        self._heads: dict[_Key, _Head] = {}
        self._pending = self._pending_bytes = 0  # appended, not committed
        self._pending_from = ("", 0, 0)
        self._closed = False
        lock_path = self._path.with_name(self._path.name + ".lock")
        self._lock = None if readonly else WriterLock(self._path, lock_path)
        try:
            self._connection = connect(self._path, readonly=readonly, durable=durable)
        except BaseException:
            self._release()
            raise

    def append(self, batch: Sequence[Append]) -> tuple[int, ...]:
        """Append all of batch in order, atomically; returns the positions.

        Raises LogFull, InvalidAppend, LogClosed; none of the batch is there then.
        """
        for item in batch:
            check_append(item)
        with self._mutex:
            self._refuse_if_closed()
            if self._readonly:
                raise LogClosed(self._where, "it was opened for reading only")
            if not batch:
                return ()
            with self._undone_on_error(), translated(self._where, unwritten=_named(batch)):
                self._begin()
                heads, rows = self._stamped(batch)
                self._connection.executemany(_INSERT, rows)
                self._connection.executemany(
                    _MOVE_HEAD, [(*key, head.end, head.digest) for key, head in heads.items()]
                )
                self._connection.execute("RELEASE batch")
                self._pending_bytes += sum(len(row[4]) + _ROW_BYTES for row in rows)
                if not self._pending:
                    self._pending_from = rows[0][:3]
                self._pending += len(rows)
                self._heads.update(heads)
            if self._durable or self._pending_bytes >= _COMMIT_BYTES:
                self._commit()
            return tuple(row[2] for row in rows)

    def read(
        self, topic: str, shard: int, start: int = 0, stop: int | None = None
    ) -> Iterator[Record]:
        """Records from `start` up to `stop`, as of this call, each one verified.

        Reads page by page with no transaction left open, so it neither holds up the writer nor sees
        what is appended meanwhile. Raises CorruptRecord, LogUnreadable, LogClosed.
        """
        with self._mutex:
            self._refuse_if_closed()
            head = self._head(topic, shard)
        first = max(start, 0)
        last = head.end if stop is None else min(stop, head.end)
        if first >= last:
            return iter(())
        link = self.link_before(topic, shard, first)
        return self._stream(Chain(topic, shard, link.digest), first, last)

    def link_before(self, topic: str, shard: int, position: int) -> Link:
        """Where the chain stands before `position`."""
        with self._mutex:
            self._refuse_if_closed()
            before = min(position, self._head(topic, shard).end) - 1
            if before < 0:
                return GENESIS
            with translated(self._where):
                row = self._connection.execute(_LINK, (topic, shard, before)).fetchone()
        if row is None or not _is_digest(row[0]):
            raise self._missing(topic, shard, before)
        return Link(before, row[0])

    def end(self, topic: str, shard: int) -> int:
        """One past the last position; 0 when empty. Raises LogUnreadable when the tail is lost."""
        with self._mutex:
            self._refuse_if_closed()
            return self._head(topic, shard).end

    def partitions(self) -> tuple[tuple[str, int], ...]:
        """Sorted (topic, shard) pairs that hold records."""
        with self._mutex:
            self._refuse_if_closed()
            with translated(self._where), self._snapshot():
                listed = self._connection.execute(_HEADS).fetchall()
                found = self._found()
        if listed != found:
            raise LogUnreadable(self._where, "its heads and its records name different partitions")
        return tuple((topic.decode(), shard) for topic, shard in found)

    def close(self) -> None:
        """Make everything last, fold the -wal file into the log, let the next writer in.

        Raises LogFull when a log that is not durable finds no room to do so; a durable one then
        keeps its -wal file and has lost nothing.
        """
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            try:
                with translated(self._where, unwritten=self._uncommitted()):
                    self._settle()
            finally:
                self._connection.close()
                self._release()

    def _begin(self) -> None:
        """Open a transaction where none is open, and mark in it where this batch begins."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("SAVEPOINT batch")

    def _stamped(self, batch: Sequence[Append]) -> tuple[dict[_Key, _Head], list[_Stored]]:
        """Position, time and hash for each record; the clock is read here, in the transaction."""
        now = self._clock()
        heads: dict[_Key, _Head] = {}
        chains: dict[_Key, Chain] = {}
        rows: list[_Stored] = []
        for item in batch:
            key = (item.topic, item.shard)
            head = heads.get(key) or self._heads.get(key) or self._head(*key)
            chain = chains.get(key) or chains.setdefault(key, Chain(*key, head.digest))
            journal_time = item.journal_time
            if journal_time is None:
                # Time of a partition never goes back, whatever the clock does.
                journal_time = max(now, head.journal_time)
            digest = chain.extend(head.end, journal_time, item.payload)
            rows.append((*key, head.end, journal_time, item.payload, digest))
            heads[key] = _Head(head.end + 1, digest, journal_time)
        return heads, rows

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        """Take this batch back when anything goes wrong inside, and no batch before it."""
        try:
            yield
        except BaseException as error:
            if self._connection.in_transaction:
                with translated(self._where):
                    self._connection.execute("ROLLBACK TO batch")
                    self._connection.execute("RELEASE batch")
                    if not self._pending:
                        self._connection.execute("ROLLBACK")
            elif self._pending:
                # SQLite took the whole transaction back on its own.
                lost = f"{self._uncommitted()}, and the batch that failed"
                self._forget()
                raise LogFull(self._where, lost, str(error)) from error
            raise

    def _commit(self) -> None:
        try:
            with translated(self._where, unwritten=self._uncommitted()):
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with translated(self._where):
                    self._connection.execute("ROLLBACK")
            self._forget()
            raise
        self._pending = self._pending_bytes = 0

    def _uncommitted(self) -> str:
        topic, shard, position = self._pending_from
        return f"the last {self._pending} records, from {topic}/{shard} position {position} on"

    def _forget(self) -> None:
        """Trust nothing that the last transaction said: it is gone."""
        self._heads.clear()
        self._pending = self._pending_bytes = 0

    def _settle(self) -> None:
        """Bring what was written without syncing to the disk; the connection folds the -wal."""
        if self._readonly or self._durable:
            return
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        # One synchronous commit: its checkpoint syncs the file, with all that was written before.
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("UPDATE heads SET end = end")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """One consistent view over several queries."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _head(self, topic: str, shard: int) -> _Head:
        """Where the partition ends; the head and the last record must tell the same."""
        with translated(self._where):
            names = {"topic": topic, "shard": shard}
            end, digest, last, last_digest, journal_time = self._connection.execute(
                _HEAD, names
            ).fetchone()
        if end is None and last is None:
            return _EMPTY
        agree = isinstance(last, int) and end == last + 1 and digest == last_digest
        if not agree or not _is_digest(digest) or not isinstance(journal_time, int):
            last_good = (topic, shard, last) if isinstance(last, int) else None
            what = f"the head of {topic}/{shard} and its last record differ, a tail may be lost"
            raise LogUnreadable(self._where, what, last_good=last_good)
        return _Head(end, digest, journal_time)

    def _found(self) -> list[tuple[bytes, int]]:
        """The partitions that records stand in, by jumping from one to the next."""
        found: list[tuple[bytes, int]] = []
        after: tuple[str | bytes, int] = ("", -1)
        while row := self._connection.execute(_NEXT_PARTITION, after).fetchone():
            topic, shard = row
            known = isinstance(topic, bytes) and isinstance(shard, int) and topic.isascii()
            if not known or (found and row <= found[-1]):
                raise LogUnreadable(self._where, "the keys of its records are damaged")
            found.append(row)
            after = (topic.decode(), shard)
        return found

    def _stream(self, chain: Chain, first: int, last: int) -> Iterator[Record]:
        topic, shard, where = chain.topic, chain.shard, self._where
        expected = first
        while expected < last:
            page = self._page(topic, shard, expected, last)
            if not page:
                raise self._missing(topic, shard, expected)
            for position, journal_time, payload, digest in page:
                if expected == last:
                    # A damaged index can give more than was asked for.
                    return
                if position != expected:
                    raise self._missing(topic, shard, expected)
                chain.check(position, journal_time, payload, digest, where=where)
                yield Record(topic, shard, position, journal_time, payload)
                expected += 1

    def _page(self, topic: str, shard: int, start: int, stop: int) -> list[_Row]:
        page: list[_Row] = []
        size = 0
        last_good = (topic, shard, start - 1)
        with self._mutex, translated(self._where, last_good=last_good):
            self._refuse_if_closed()
            cursor = self._connection.execute(_PAGE, (topic, shard, start, stop, _PAGE_RECORDS_MAX))
            try:
                for row in cursor:
                    page.append(row)
                    size += len(row[2]) if isinstance(row[2], bytes) else 0
                    if size >= _PAGE_BYTES_MAX:
                        break
            except FOREIGN:
                # What came before the damage is still good; the next page names the place.
                if not page:
                    raise
            finally:
                cursor.close()
        return page

    def _missing(self, topic: str, shard: int, position: int) -> CorruptRecord:
        return CorruptRecord(
            topic, shard, position, where=self._where, what="it is missing or its key is damaged"
        )

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise LogClosed(self._where)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == DIGEST_BYTES


def _named(batch: Sequence[Append]) -> str:
    first = batch[0]
    return f"a batch of {len(batch)} records that begins in {first.topic}/{first.shard}"

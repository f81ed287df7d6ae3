"""Every way a log can fail, as one tree.

    LogError
    ├── NotALog          missing, of another program, or of a newer version
    ├── LogLocked        another writer, or another program, holds it
    ├── LogClosed        used after close()
    ├── LogUnavailable   a server does not answer: what was asked may or may not have been done
    ├── LogFull          no room: nothing of the named records is there, the log stays usable
    ├── InvalidAppend    a record that no log may hold; nothing was written
    ├── CorruptRecord    one record is not what was written; named by topic, shard, position, file
    └── LogUnreadable    the file is damaged as a whole; names it and the last good position

The last two are `Unreadable`, which is how the core knows them.

Place in the flow: adapters translate the errors of SQLite, polars and the operating system into
these, at the edge, and never let a foreign one through (running out of memory excepted, which must
halt).
"""

from __future__ import annotations

import errno

from coordinator.core.ports import Unreadable

__all__ = [
    "NO_ROOM",
    "CorruptRecord",
    "InvalidAppend",
    "LogClosed",
    "LogError",
    "LogFull",
    "LogLocked",
    "LogUnavailable",
    "LogUnreadable",
    "NotALog",
]


# A full disk, a used up quota, a limit on file sizes.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LogError(Exception):
    """A log could not do what was asked. `where` is the file, or a word for it ("memory")."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where


class NotALog(LogError):
    """There is no log of ours at this path, or none that this build can read."""

    def __init__(self, where: str, what: str, *, remedy: str) -> None:
        super().__init__(f"{where} is not a log: {what}; {remedy}", where=where)
        self.what = what


class LogLocked(LogError):
    """Somebody else writes this log; nothing was changed."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} is locked: {what}; stop it, then try again", where=where)
        self.what = what


class LogClosed(LogError):
    """The log object was used after close(), or a reader was asked to append."""

    def __init__(self, where: str, what: str = "it was closed") -> None:
        super().__init__(f"{where} cannot be used: {what}; open it again", where=where)
        self.what = what


class LogUnavailable(LogError):
    """The server does not answer, or a send failed; read what is there before trying again."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(
            f"{where} does not answer: {what}; check that it runs, then try again", where=where
        )
        self.what = what


class LogFull(LogError):
    """No room; `unwritten` names what is not there. The log can be used once there is room."""

    def __init__(self, where: str, unwritten: str, what: str) -> None:
        super().__init__(
            f"{where} is full ({what}); not written: {unwritten}; free space, then append again",
            where=where,
        )
        self.unwritten = unwritten
        self.what = what


class InvalidAppend(LogError):
    """A record that no log may hold (a bad topic, shard, time or payload); nothing was written."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"append refused: {what}; nothing of the batch was written", where="append"
        )
        self.what = what


class CorruptRecord(LogError, Unreadable):
    """A record is not what was written: changed, moved or missing. Names the first such one."""

    position: int

    def __init__(self, topic: str, shard: int, position: int, *, where: str, what: str) -> None:
        super().__init__(
            f"{where}: record {topic}/{shard} position {position} is corrupt: {what}; "
            f"everything before it can be read, restore the rest from a copy",
            where=where,
        )
        self.topic = topic
        self.shard = shard
        self.position = position
        self.what = what


class LogUnreadable(LogError, Unreadable):
    """The file is damaged as a whole.

    last_good: (topic, shard, position) up to which it was read well, None where nothing is known.
    """

    def __init__(
        self, where: str, what: str, *, last_good: tuple[str, int, int] | None = None
    ) -> None:
        known = (
            "" if last_good is None else "; last good record: {}/{} position {}".format(*last_good)
        )
        super().__init__(
            f"{where} cannot be read: {what}{known}; restore it from a copy", where=where
        )
        self.what = what
        self.last_good = last_good
        self.position = None if last_good is None else last_good[2] + 1

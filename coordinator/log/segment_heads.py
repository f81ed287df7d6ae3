"""The sheet of heads of a segment folder, and writing files that are whole or not there.

Place in the flow: `segments` writes the sheet after each segment and reads it first. The sheet is a
lower
bound: a folder may hold more than it says (the seal was interrupted), never less. It must never be
written before the segment it speaks of.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from coordinator.log.errors import NO_ROOM, LogFull, LogUnreadable, NotALog
from coordinator.log.segment_file import SUFFIX

__all__ = [
    "PARTIAL",
    "SHEET",
    "Heads",
    "begin_folder",
    "publish",
    "read_heads",
    "write_heads",
    "write_partial",
]

SHEET = "heads.json"
PARTIAL = ".partial"
_FORMAT = "coordinator.segments"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Heads:
    """ends: one past the last position sealed, of each (topic, shard).

    broker_times: whether the source stamps records of all topics with its own clock.
    """

    ends: dict[tuple[str, int], int]
    broker_times: bool = False

    def moved(self, key: tuple[str, int], end: int) -> Heads:
        """The same with one partition reaching to `end`, or further if it did."""
        ends = {**self.ends, key: max(end, self.ends.get(key, 0))}
        return Heads(ends, self.broker_times)


def begin_folder(folder: Path, *, broker_times: bool = False) -> None:
    """Remove what an interrupted seal left, and make the sheet of heads where there is none."""
    for leftover in folder.glob(f"*{PARTIAL}"):
        leftover.unlink()
    if not (folder / SHEET).exists():
        if any(folder.glob(f"*{SUFFIX}")):
            what = f"it holds Parquet files but no {SHEET}"
            raise NotALog(str(folder), what, remedy="restore it, or give an empty folder")
        write_heads(folder, Heads({}, broker_times))


def read_heads(folder: Path) -> Heads:
    """The sheet of a folder. Raises NotALog when there is none, LogUnreadable when damaged."""
    path = folder / SHEET
    try:
        text = path.read_bytes()
    except OSError as error:
        what = f"its {SHEET} cannot be read ({error.strerror})"
        raise NotALog(str(folder), what, remedy="give a folder made by export") from error
    try:
        sheet = json.loads(text)
        body, digest = sheet["body"], sheet["digest"]
        if digest == _digest(body):
            return _parsed(str(path), body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LogUnreadable(str(path), "it is no sheet of heads") from error
    raise LogUnreadable(str(path), "its digest does not match its content")


def write_heads(folder: Path, heads: Heads) -> None:
    """Replace the sheet in one step. Raises LogFull."""
    body: dict[str, object] = {
        "format": _FORMAT,
        "version": _VERSION,
        "heads": [[topic, shard, end] for (topic, shard), end in sorted(heads.ends.items())],
    }
    if heads.broker_times:
        body["broker_times"] = True
    content = json.dumps({"body": body, "digest": _digest(body)}, indent=1).encode()
    partial = write_partial(folder / SHEET, content, unwritten="the sheet of heads")
    publish(partial, folder / SHEET)


def write_partial(path: Path, content: bytes, *, unwritten: str) -> Path:
    """Write content beside `path` under a temporary name, on the disk; returns that name.

    Raises LogFull, naming `unwritten`, or LogUnreadable; nothing is left then.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno not in NO_ROOM:
            raise LogUnreadable(str(path), f"it cannot be written ({error.strerror})") from error
        raise LogFull(str(path.parent), unwritten, str(error.strerror)) from error
    return partial


def publish(partial: Path, path: Path) -> None:
    """Give a whole file its name, so that a power failure leaves it there or not at all."""
    partial.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(body: object) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _parsed(where: str, body: dict[str, object]) -> Heads:
    if body["format"] != _FORMAT:
        raise NotALog(where, "it belongs to another program", remedy="give a folder made by export")
    if body["version"] != _VERSION:
        what = f"its format has version {body['version']}, this build reads {_VERSION}"
        raise NotALog(where, what, remedy="use the build that wrote it, or a newer one")
    rows = body["heads"]
    if not isinstance(rows, list):
        raise LogUnreadable(where, "it lists no heads")
    ends = {(str(topic), int(shard)): int(end) for topic, shard, end in rows}
    return Heads(ends, broker_times=body.get("broker_times") is True)

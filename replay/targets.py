"""Where results are written, so that nothing else is destroyed.

Place in the flow: before a run begins. A target is refused unless it is new, or a result of ours
that `--force` says may be replaced. It must never follow its caller into a device, a pipe or
somebody else's file.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from replay.errors import OutputExists

__all__ = ["REPORT_MARK", "is_log", "is_report", "refuse_target", "written_beside"]

_SQLITE = b"SQLite format 3\x00"
_LOG_ID = b"COLG"
REPORT_MARK = b'<meta name="generator" content="coordination engine">'
"""What a report of ours says of itself in its first kilobyte."""


def refuse_target(
    target: Path, *, force: bool, ours: Callable[[Path], bool], others: Sequence[Path], option: str
) -> None:
    """Raise OutputExists, with what to do, unless the target may be written.

    ours: whether an existing file is a result of this kind, and so may be replaced by force.
    others: files that take part in the run, none of which the target may be. option: its flag.
    """
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        kind = None
    except (OSError, ValueError) as error:
        raise OutputExists(f"{_named(target)}: {error}; give {option} another name") from error
    if not target.name:
        raise OutputExists(f"{option} needs the name of a file, not {_named(target)}")
    if any(_same(target, other) for other in others):
        raise OutputExists(f"{_named(target)} takes part in this run; give {option} another name")
    if kind is None:
        return
    if not stat.S_ISREG(kind):
        raise OutputExists(f"{_named(target)} is no regular file; give {option} another name")
    if not force:
        raise OutputExists(
            f"{_named(target)} exists; choose another {option}, or replace it with --force"
        )
    if not ours(target):
        raise OutputExists(
            f"{_named(target)} is not a result of ours, and --force replaces nothing else; "
            f"give {option} another name"
        )


def is_log(path: Path) -> bool:
    """Whether a file is a SQLite log of ours, or an empty file."""
    head = _head(path)
    return not head or (head.startswith(_SQLITE) and head[68:72] == _LOG_ID)


def is_report(path: Path) -> bool:
    """Whether a file is a report of ours, or an empty file."""
    head = _head(path)
    return not head or REPORT_MARK in head


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A hidden path beside the target, which takes its place when all went well.

    What a killed run of the same target left behind is removed: call it under the target's lock.
    """
    made = target.with_name(f".{target.name}.partial")
    _discard(made)
    try:
        yield made
        if target.exists():
            _discard(target)
        made.replace(target)
    except BaseException:
        _discard(made)
        raise


def _discard(path: Path) -> None:
    """Remove a file with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def _same(one: Path, other: Path) -> bool:
    if one.absolute() == other.absolute():
        return True
    with suppress(OSError):
        return one.samefile(other)
    return False


def _named(path: Path) -> str:
    """The path as text that any terminal can show."""
    return ascii(str(path)) if not str(path).isprintable() else str(path)

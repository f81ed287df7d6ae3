"""One writer at a time, among processes and within one.

Place in the flow: whoever changes a log takes this first. The lock belongs to an open file and ends
with its process, however that ends; a lock file that was left behind locks nothing. It must never
wait.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from coordinator.log.errors import NO_ROOM, LogFull, LogLocked, NotALog

__all__ = ["WriterLock"]

_ATTEMPTS_MAX = 10


class WriterLock:
    """Held from construction to `release`. Raises LogLocked at once when another writer holds it.

    target: the log's file or folder, for the message. path: the lock file, removed on release.
    """

    def __init__(self, target: Path, path: Path) -> None:
        self._path = path
        try:
            self._handle = _acquire(target, path)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise LogFull(str(target), "the lock file", str(error.strerror)) from error
            what = f"no lock file can be made beside it ({error.strerror})"
            raise NotALog(
                str(target), what, remedy="give a folder that exists and is writable"
            ) from error

    def release(self) -> None:
        """Let the next writer in; releasing twice is harmless."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            self._path.unlink(missing_ok=True)
            os.close(handle)


def _acquire(target: Path, path: Path) -> int:
    for _ in range(_ATTEMPTS_MAX):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise LogLocked(str(target), f"process {holder} writes it") from error
        # The holder before us may have removed the file between our open and our lock.
        if _same_file(handle, path):
            return _signed(handle, path)
        os.close(handle)
    raise LogLocked(str(target), "other writers come and go too fast")


def _signed(handle: int, path: Path) -> int:
    """Say who holds the lock; on a full disk nothing is left behind."""
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    except OSError:
        path.unlink(missing_ok=True)
        os.close(handle)
        raise
    return handle


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

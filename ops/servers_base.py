"""One real server for development and tests: start, stop, kill, restart, pause, resume.

What ops/servers.py and the integration tests stand on; the kinds are in servers_kafka.py,
servers_postgres.py and servers_redis.py. A server lives in one directory with its data, its log and
`server.json`, which says whose it is. Never ends or signals a process that it did not start, and
never takes a server for ready that answers on the port but is somebody else's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from ops.servers_process import Account, Owned, end, family, kill, spawn, unused_port, wait_until

__all__ = ["CannotStart", "Launch", "Record", "Server", "write_private"]

TRIES_MAX = 4
LOG_LINES_SHOWN = 15
PORT_TAKEN = "Address already in use"


class CannotStart(Exception):
    """A server could not be started. The message says what is missing and what to do.

    reason: one line; remedy: what a person can do; tail: what the server's own log, or the tool
    that prepares it, said last.
    """

    def __init__(
        self, server: str, reason: str, remedy: str = "", tail: Sequence[str] = ()
    ) -> None:
        super().__init__(server, reason, remedy, tuple(tail))
        self.server, self.reason, self.remedy, self.tail = server, reason, remedy, tuple(tail)

    def __str__(self) -> str:
        """The whole of it, for people."""
        text = f"{self.server} could not be started: {self.reason}"
        if self.remedy:
            text += f"\n  what to do: {self.remedy}"
        if self.tail:
            text += "\n  said last:" + "".join(f"\n    {line}" for line in self.tail)
        return text


@dataclass(frozen=True, slots=True)
class Record:
    """What `server.json` holds. facts: what a kind must know again, its password among them."""

    kind: str
    pid: int = 0
    born: str = ""
    ports: tuple[int, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def process(self) -> Owned:
        """The process it names, which may be gone or, by its id alone, a stranger's."""
        return Owned(pid=self.pid, born=self.born)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record of a file; None when there is none, or it makes no sense (a torn write)."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                kind=str(raw["kind"]),
                pid=int(raw["pid"]),
                born=str(raw["born"]),
                ports=tuple(int(port) for port in raw["ports"]),
                facts={str(name): str(value) for name, value in raw["facts"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, path: Path) -> None:
        """Puts it in place in one step, for nobody else's eyes."""
        new = path.with_suffix(".new")
        write_private(new, json.dumps(asdict(self), indent=1))
        new.replace(path)


@dataclass(frozen=True, slots=True)
class Launch:
    """How a kind's process is started."""

    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str] | None = None
    account: Account | None = None


def write_private(path: Path, text: str) -> None:
    """Writes a file that only we may read: passwords are in it."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


class Server(ABC):
    """One server in one directory. Not for use by two threads at the same time.

    Made anew for a directory in which one runs, it finds that one again: launchers come and go.
    """

    kind: ClassVar[str]
    polite: ClassVar[signal.Signals] = signal.SIGTERM
    ports_wanted: ClassVar[int] = 1

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        found = Record.read(self._record_path)
        self._record = found if found and found.kind == self.kind else Record(kind=self.kind)

    @property
    def pid(self) -> int | None:
        """Of the running process; None when none runs."""
        return self._record.pid if self.running else None

    @property
    def port(self) -> int:
        """Where clients connect, on 127.0.0.1; 0 before the first start."""
        return self._record.ports[0] if self._record.ports else 0

    @property
    def running(self) -> bool:
        """Whether our own process is alive. It may be paused."""
        return self._record.process.alive

    @property
    def process(self) -> Owned:
        """The process that was started last."""
        return self._record.process

    @property
    def log(self) -> Path:
        """The server's own output."""
        return self.directory / "server.log"

    @property
    def _record_path(self) -> Path:
        return self.directory / "server.json"

    def start(
        self, *, bound_s: float = 90.0, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Makes it run and answer. Nothing new is started when it runs already.

        On the port of last time when that is unused, else another one. Raises CannotStart, and
        leaves no process of this attempt behind, whatever ended it.
        """
        self._start(bound_s=bound_s, cancelled=cancelled, same_port=False)

    def restart(self, *, bound_s: float = 90.0) -> None:
        """Starts it again on the same port and data; a running one is stopped first."""
        self.stop()
        self._start(bound_s=bound_s, cancelled=lambda: False, same_port=True)

    def stop(self, *, bound_s: float = 20.0) -> bool:
        """Ends it, with force after the bound. Returns whether it went by itself."""
        return end(self._record.process, polite=self.polite, bound_s=bound_s)

    def kill(self) -> None:
        """Ends it at once, as a crash would (SIGKILL)."""
        kill(self._record.process)

    def pause(self) -> None:
        """Stands it still: connections stay open, nothing is answered (SIGSTOP)."""
        for process in family(self._record.process):
            process.suspend()

    def resume(self) -> None:
        """Lets a paused one go on."""
        for process in reversed(family(self._record.process)):
            process.resume()

    def remove(self) -> None:
        """Ends it and deletes its directory with all data."""
        self.stop(bound_s=5.0)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self, lines: int = LOG_LINES_SHOWN) -> tuple[str, ...]:
        """The end of the server's own log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip())[-lines:]

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """The engine's environment variables for this server, which may hold a password."""

    @abstractmethod
    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], cancelled: Callable[[], bool]
    ) -> Launch:
        """Makes configuration and data ready. May add to facts. Raises CannotStart."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether this very server, and no other on its port, answers a request of its protocol."""

    def _finish(self) -> None:  # noqa: B027 - nothing is what most kinds do here.
        """What a kind does once it answers, each time. Raises CannotStart."""

    def _start(self, *, bound_s: float, cancelled: Callable[[], bool], same_port: bool) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        fresh = not self.running
        try:
            for attempt in range(1, TRIES_MAX + 1):
                if self._try(bound_s, cancelled, same_port=same_port, last=attempt == TRIES_MAX):
                    return self._finish()
                time.sleep(0.2 if same_port else 0)
        except BaseException:
            if fresh:
                self.kill()
            raise

    def _try(
        self, bound_s: float, cancelled: Callable[[], bool], *, same_port: bool, last: bool
    ) -> bool:
        """Whether it answers now; False when only the port was lost. Raises CannotStart."""
        seen = self.log.stat().st_size if self.log.exists() else 0
        if not self.running:
            self._launch(cancelled, same_port=same_port)
        if self._becomes_ready(bound_s, cancelled):
            return True
        if cancelled():
            raise CannotStart(self.kind, "interrupted")
        if self.running:
            raise self._failed(f"it did not answer within {bound_s:.0f} s")
        if last or not self._lost_port(seen):
            raise self._failed("it ended at once")
        return False

    def _launch(self, cancelled: Callable[[], bool], *, same_port: bool) -> None:
        ports = self._ports(same_port=same_port)
        facts = dict(self._record.facts)
        try:
            launch = self._prepare(facts, ports, cancelled)
        finally:  # What a failed attempt made outside the directory must be known for its removal.
            self._note(Record(kind=self.kind, ports=ports, facts=facts))
        try:
            process = spawn(
                launch.command,
                log=self.log,
                folder=launch.folder,
                environment=launch.environment,
                account=launch.account,
            )
        except OSError as error:
            raise CannotStart(self.kind, f"{launch.command[0]}: {error.strerror}") from error
        self._note(replace(self._record, pid=process.pid, born=process.born))

    def _note(self, record: Record) -> None:
        self._record = record
        record.write(self._record_path)

    def _ports(self, *, same_port: bool) -> tuple[int, ...]:
        if same_port and self._record.ports:
            return self._record.ports
        last: list[int | None] = [*self._record.ports] or [None] * self.ports_wanted
        chosen: list[int] = []
        for preferred in last:
            chosen.append(unused_port(preferred, without=chosen))
        return tuple(chosen)

    def _becomes_ready(self, bound_s: float, cancelled: Callable[[], bool]) -> bool:
        return wait_until(
            lambda: self.running and self._answers(),
            bound_s=bound_s,
            stop=lambda: cancelled() or not self.running,
        )

    def _lost_port(self, seen: int) -> bool:
        """Whether the log, from where this attempt began, says that somebody took the port."""
        with self.log.open("rb") as file:
            file.seek(seen)
            return PORT_TAKEN in file.read().decode(errors="replace")

    def _failed(self, reason: str) -> CannotStart:
        return CannotStart(self.kind, reason, f"the whole log is {self.log}", self.log_tail())

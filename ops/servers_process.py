"""Processes that outlive their launcher and are ended by nobody but us.

Below ops/servers_base.py. A process is known by its id and the moment it was born, because the
system gives ids away again: what has the id but not the birth is a stranger, and no signal ever
goes to it.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Account", "Owned", "born", "end", "family", "kill", "spawn", "unused_port"]
__all__ += ["wait_until"]

# Below what Linux (32768) and macOS (49152) hand out to outgoing connections. A client that calls a
# server which is down, on a port out of that range, may be given that very port and so connect to
# itself; and a server that restarts might find its port taken by somebody's outgoing connection.
PORTS = range(20_000, 32_000)
BOOT = Path("/proc/sys/kernel/random/boot_id")
POLL_S = 0.02
KILL_BOUND_S = 10.0

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Account:
    """A user that a server runs as, where we are root and it refuses root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Owned:
    """A process of ours: its id and its birth, which nobody who gets the id after it shares."""

    pid: int
    born: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; an ended child that nobody has waited for does not."""
        _reap(self.pid)
        return bool(self.born) and born(self.pid) == self.born


def born(pid: int) -> str | None:
    """What tells a process from a later one of the same id; None when there is none, or a zombie.

    Linux: boot and clock ticks since then, which no change of the wall clock moves.
    """
    return _born_on_linux(pid) if BOOT.exists() else _born_elsewhere(pid)


def _born_on_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # The name before it may hold blanks and brackets.
    boot = BOOT.read_text(encoding="ascii").strip()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _born_elsewhere(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        ended = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        return None if ended else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> Owned:
    """Starts a process in a session of its own, so that no terminal's Ctrl-C and no end reaches it.

    Its output is appended to log. Raises OSError when it cannot be started at all.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    _children[child.pid] = child
    return Owned(pid=child.pid, born=born(child.pid) or "")


def _reap(pid: int) -> None:
    """Takes note of the end of a child of this process; others' children are not our concern."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        _children.pop(pid, None)


def family(owned: Owned) -> list[psutil.Process]:
    """The process and all below it, itself first; empty when it is gone."""
    if not owned.alive:
        return []
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(owned.pid)
        return [process, *process.children(recursive=True)]
    return []


def end(owned: Owned, *, polite: signal.Signals, bound_s: float) -> bool:
    """Asks the process to end and kills it after the bound. Returns whether it went by itself."""
    for process in family(owned):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)  # A paused one could not listen.
    if owned.alive:
        with suppress(ProcessLookupError):
            os.kill(owned.pid, polite)
    if wait_until(lambda: not owned.alive, bound_s=bound_s):
        return True
    kill(owned)
    return False


def kill(owned: Owned) -> None:
    """Ends the process and all below it at once, as a crash would. Raises TimeoutError."""
    members = family(owned)
    all_of_them = [owned, *(Owned(member.pid, born(member.pid) or "") for member in members)]
    for process in members:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if not wait_until(lambda: not any(one.alive for one in all_of_them), bound_s=KILL_BOUND_S):
        raise TimeoutError(f"process {owned.pid} did not end {KILL_BOUND_S:.0f} s after SIGKILL")


def wait_until(
    true: Callable[[], bool], *, bound_s: float, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Whether it became true within the bound and before stop did."""
    deadline = time.monotonic() + bound_s
    pause_s = POLL_S
    while not true():
        if stop() or time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, 0.2)
    return True


def unused_port(preferred: int | None = None, *, without: Sequence[int] = ()) -> int:
    """A port of the loopback address on which nobody listens: the preferred one if it can be.

    Somebody may take it before the server does; whoever starts a server tries again then.
    Raises OSError when none was found.
    """
    for port in _candidates(preferred):
        if port not in without and is_unused(port):
            return port
    raise OSError("no unused port between 20000 and 32000 on 127.0.0.1")


def is_unused(port: int) -> bool:
    """Whether a server could listen there now, by the rules that servers themselves go by."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _candidates(preferred: int | None) -> Iterator[int]:
    if preferred is not None:
        yield preferred
    chance = random.SystemRandom()  # Two launchers of one moment must not try the same ports.
    for _ in range(200):
        yield chance.choice(PORTS)

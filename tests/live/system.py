"""A live system of child processes on a real Kafka: topics, routers, workers, started and killed.

Place in the flow: tests, benchmarks and chaos. Owns what it starts, and ends only that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

__all__ = ["Part", "System", "kill_deciding", "until"]

ROOT = Path(__file__).resolve().parents[2]


def until(what: str, holds: Callable[[], bool], *, within_s: float, every_s: float = 0.1) -> None:
    """Wait for something to hold. Raises TimeoutError that says what did not."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            message = f"not within {within_s:g} s: {what}"
            raise TimeoutError(message)
        time.sleep(every_s)


def kill_deciding(engine: int) -> bool:
    """kill -9 of the one process below an engine, which decides for it; whether there was one.

    engine: the id of a process of ours, which has said that it is ready.
    """
    try:
        below = psutil.Process(engine).children()
    except psutil.NoSuchProcess:
        return False
    if len(below) != 1:
        return False
    os.kill(below[0].pid, signal.SIGKILL)
    return True


@dataclass(slots=True)
class Part:
    """One process of the system."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int | None:
        """Where it serves HTTP, once it has said so."""
        for line in self.log.read_text(errors="replace").splitlines():
            if '"event":"part_started"' in line:
                return int(json.loads(line)["http"].rpartition(":")[2])
        return None

    def ready(self) -> bool:
        """Whether it says that it is."""
        return self.ask("/readyz")[0] == 200

    def ask(self, path: str) -> tuple[int, str]:
        """An answer of its HTTP; 0 where there is none."""
        port = self.port
        if port is None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def kill_deciding(self) -> bool:
        """As `kill_deciding` below, of an engine."""
        return kill_deciding(self.process.pid)

    def stop(self, within_s: float = 40.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.terminate()
        return self.process.wait(within_s)

    def pause(self) -> None:
        """SIGSTOP: it is a zombie to be."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The end of what it said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass(slots=True)
class System:
    """Parts on one cluster under one prefix. A context: leaving it ends them all."""

    bootstrap: str
    prefix: str
    folder: Path
    shards: int = 8
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "coordinator")
    parts: list[Part] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for part in self.parts:
            if part.running:
                part.resume()
                part.process.terminate()
        for part in self.parts:
            try:
                part.process.wait(20)
            except subprocess.TimeoutExpired:
                part.kill()

    @property
    def settings(self) -> dict[str, str]:
        """The environment of every part."""
        own = {
            "COORDINATOR_KAFKA__BOOTSTRAP": self.bootstrap,
            "COORDINATOR_KAFKA__PREFIX": self.prefix,
            "COORDINATOR_WORKER__SHARDS": str(self.shards),
            "COORDINATOR_HTTP__PORT": "0",
        }
        return {**os.environ, **own, **self.environment}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command of the command line, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "coordinator", *words], env=self.settings, cwd=ROOT, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    def topics(self) -> None:
        """Create them."""
        done = self.command("topics", "apply")
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def start(self, name: str, *words: str, **environment: str) -> Part:
        """One more part."""
        log = self.folder / f"{len(self.parts):03d}-{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *self.program, "run", "--only", name, *words],
                env={**self.settings, **environment}, cwd=ROOT, stdout=subprocess.DEVNULL,
                stderr=file,
            )  # fmt: skip
        part = Part(name, process, log)
        self.parts.append(part)
        return part

    def await_ready(self, *parts: Part, within_s: float = 60.0) -> None:
        """Wait until these are; raises with the end of the log of one that ended."""
        for part in parts:

            def ready(part: Part = part) -> bool:
                if not part.running:
                    raise RuntimeError(f"{part.name} ended:\n{part.tail()}")
                return part.ready()

            until(f"{part.name} is ready", ready, within_s=within_s)

    def metrics(self, part: Part) -> dict[str, float]:
        """All series of a part."""
        found: dict[str, float] = {}
        for line in part.ask("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found


def environment(**settings: Any) -> dict[str, str]:
    """Settings as variables: worker__checkpoint_s=1 is COORDINATOR_WORKER__CHECKPOINT_S."""
    return {f"COORDINATOR_{name.upper()}": str(value) for name, value in settings.items()}

"""`coordinator run --local`: the same engine in one process on one SQLite file, fed by JSON lines.

Place in the flow: events in by stdin or a file, as they would stand on the input topics; decisions
out on stdout as JSON lines; everything kept in the log; dead letters counted on stderr at the end.
It must never hold a rule of the engine.
"""

from __future__ import annotations

import argparse
import errno
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from pydantic_core import from_json

from coordinator.cli.buried import Burials
from coordinator.cli.console import DIFFERENT, FAILED, OK, OTHER_ENGINE, complain
from coordinator.core.chain import ChainBroken
from coordinator.core.engine import EngineError
from coordinator.core.route import Raw
from coordinator.core.shard import Diverged, OtherBuild
from coordinator.log.errors import LogError
from coordinator.log.sqlite import SqliteLog
from coordinator.shells.local import LocalShell
from schemas.registry import EVENTS, INPUT_TOPICS

__all__ = ["run_local"]

LINES_MAX = 10_000
BATCH_MAX = 500
IDLE_S = 0.5
STDIN = "-"
UNKNOWN_TOPIC = "control"
"""Where a line goes that names no event: its dead letters tell why."""


def run_local(args: argparse.Namespace) -> int:
    """Decide until the input ends (--until-end), or until Ctrl-C; returns the exit code."""
    try:
        _look_at(args.input)
        with closing(SqliteLog(args.log)) as log:
            shell = LocalShell(log, shards=args.shards or 8, clock=time.time_ns)
            shell.start()
            return _Serving(shell, log, args).run()
    except (Diverged, ChainBroken) as error:
        complain(error)
        return DIFFERENT
    except OtherBuild as error:
        complain(error)
        return OTHER_ENGINE
    except (LogError, EngineError, OSError) as error:
        complain(error)
        return FAILED


def _look_at(path: str) -> None:
    """Raises OSError, before anything is made, for an input that cannot be read."""
    if path == STDIN:
        return
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not os.access(Path(path).resolve(strict=True), os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


class _Serving:
    """The shell, its input and its output."""

    def __init__(self, shell: LocalShell, log: SqliteLog, args: argparse.Namespace) -> None:
        self._shell = shell
        self._log = log
        self._input: str = args.input
        self._until_end: bool = args.until_end
        self._shards: int = args.shards or 8
        self._shown = {n: log.end("decisions", n) for n in range(self._shards)}
        self._burials = Burials(log)
        self._log_path: Path = args.log
        self._lines: queue.Queue[bytes | None] = queue.Queue(LINES_MAX)
        self._fault = ""
        self._stop = threading.Event()
        self._offsets: dict[str, int] = {}
        self._stream_id = f"run-{time.time_ns()}"

    def run(self) -> int:
        """Until the stop or the input's end, or its failure; then checkpoints are written."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        threading.Thread(target=self._read, name="input", daemon=True).start()
        ended = False
        while not self._stop.is_set():
            ended = self._step(ended=ended) or ended
            done = self._until_end and self._shell.rounds_open == 0
            if ended and (done or self._fault):
                break
        self._shell.stop()
        self._show()
        self._burials.tell(self._log_path)
        if self._fault:
            complain(f"{self._input}: {self._fault}")
            return FAILED
        return OK

    def _step(self, *, ended: bool) -> bool:
        """Take what came, tell the time, show what was decided; whether the input ended."""
        again = self._shell.tick()
        wait = IDLE_S if again is None else max(0.0, (again - time.time_ns()) / 1e9)
        lines = self._take(min(IDLE_S, wait), ended=ended)
        over = None in lines
        raws = [self._raw(line) for line in lines if line is not None and line.strip()]
        if raws:
            self._shell.accept(raws)
        self._show()
        return over

    def _take(self, wait_s: float, *, ended: bool) -> list[bytes | None]:
        lines: list[bytes | None] = []
        try:
            if ended:
                self._stop.wait(wait_s)
            else:
                lines.append(self._lines.get(timeout=wait_s + 0.001))
            while len(lines) < BATCH_MAX:
                lines.append(self._lines.get_nowait())
        except queue.Empty:
            pass
        return lines

    def _read(self) -> None:
        """The input's lines into the queue, which holds up a reader that is too fast.

        As bytes: what is no text is a dead letter like any other. The end is always told.
        """
        try:
            if self._input != STDIN:
                with Path(self._input).open("rb") as file:
                    self._feed(file)
            elif sys.stdin is None:
                self._fault = "standard input is closed"
            else:
                self._feed(sys.stdin.buffer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the command must end by it
            said = error.strerror if isinstance(error, OSError) else None
            self._fault = said or f"{type(error).__name__}: {error}"
        finally:
            self._lines.put(None)

    def _feed(self, lines: BinaryIO) -> None:
        for line in lines:
            self._lines.put(line)

    def _raw(self, payload: bytes) -> Raw:
        """The line as a message of the topic that its event belongs to."""
        topic = _topic(payload)
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        return Raw(topic, self._stream_id, 0, offset, time.time_ns(), payload)

    def _show(self) -> None:
        """Outputs since the last time, one JSON object a line."""
        for shard, start in self._shown.items():
            for record in self._log.read("decisions", shard, start):
                sys.stdout.write(record.payload.decode() + "\n")
                self._shown[shard] = record.position + 1
        sys.stdout.flush()


def _topic(payload: bytes) -> str:
    """The topic an event belongs to; any input topic for what is none."""
    try:
        head = from_json(payload)
        cls = EVENTS[head["type"]]
    except (ValueError, KeyError, TypeError):
        return UNKNOWN_TOPIC
    return cls.topic if cls.topic in _TOPICS else UNKNOWN_TOPIC


_TOPICS: Sequence[str] = INPUT_TOPICS

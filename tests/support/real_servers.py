"""Real servers for a whole test run: one of each kind, shared by all workers, ended with the run.

The fixtures stand in tests/integration/conftest.py. A worker starts a server when a test of its
wants one; the run's main process ends them all, and a watcher does when that process is killed. A
server that cannot start is tried once a run: its tests are skipped, and the end of the output says
so loudly.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from ops.servers_base import CannotStart, Server
from ops.servers_process import Owned, born
from ops.servers_watch import end_all, watch

__all__ = ["pytest_terminal_summary", "pytest_unconfigure", "run_folder", "shared", "summary"]

S = TypeVar("S", bound=Server)


def run_folder(config: pytest.Config, basetemp: Path) -> Path:
    """The folder of this run's servers, the same for all of its workers, under watch."""
    is_worker = hasattr(config, "workerinput")
    folder = (basetemp.parent if is_worker else basetemp) / "servers"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            folder.mkdir()
            pid = os.getppid() if is_worker else os.getpid()
            watch(folder, Owned(pid=pid, born=born(pid) or ""))
    return folder


def shared(kind: type[S], folder: Path) -> S:
    """The run's server of this kind, started by whoever wants it first. Skips when it cannot be."""
    failed = folder / f"{kind.kind}.failed"
    with locked(folder / f"{kind.kind}.lock"):
        if failed.exists():
            pytest.skip(failed.read_text(encoding="utf-8"))
        server = kind(folder / kind.kind)
        try:
            server.start()
        except CannotStart as failure:
            reason = f"{failure.server} could not be started: {failure.reason}"
            failed.write_text(reason, encoding="utf-8")
            print(failure)  # With the end of the server's own log, among the captured output.
            pytest.skip(reason)
    return server


class locked:  # noqa: N801 - reads as what it is in a with.
    """Holds a lock file for a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the servers of the run, in its main process only."""
    if hasattr(config, "workerinput"):
        return
    factory = getattr(config, "_tmp_path_factory", None)
    basetemp = getattr(factory, "_basetemp", None)  # None: nobody has asked for a folder.
    if basetemp is not None and (folder := Path(basetemp) / "servers").exists():
        end_all(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which integration tests were skipped, and why: a green run without them proves less."""
    reports = terminalreporter.stats.get("skipped", [])
    lines = summary(
        (report.nodeid, _reason(report)) for report in reports if "integration" in report.keywords
    )
    if lines:
        terminalreporter.section(lines[0], sep="!", red=True, bold=True)
        for line in lines[1:]:
            terminalreporter.write_line(line, red=True)


def summary(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """A headline with the count, then each reason with the tests' names; empty for none."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for name, reason in skipped:
        by_reason[reason].append(name)
    count = sum(map(len, by_reason.values()))
    if not count:
        return []
    lines = [f"{count} INTEGRATION TEST{'S' * (count > 1)} SKIPPED"]
    for reason in sorted(by_reason):
        lines.append(f"{len(by_reason[reason])} because {reason}:")
        lines += [f"    {name}" for name in sorted(by_reason[reason])]
    return lines


def _reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")

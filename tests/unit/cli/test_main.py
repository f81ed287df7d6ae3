"""The command line's edge: one line and an exit code, whatever happens inside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from coordinator.cli import main as entry
from coordinator.log.errors import NotALog

COMMAND = [sys.executable, "-m", "coordinator.cli.main"]


def planted(monkeypatch: pytest.MonkeyPatch, run: Callable[[object], int]) -> int:
    """The exit code of a command whose run is this."""
    real = entry.build_parser

    def parser(only: str | None = None) -> object:
        made = real("schema")
        made.set_defaults(run=run)
        made.parse_args = lambda _words: type("Arguments", (), {"run": staticmethod(run)})()  # type: ignore[method-assign,assignment] # stands in for parsing
        return made

    monkeypatch.setattr(entry, "build_parser", parser)
    return entry.main(["schema"])


def raising(error: BaseException) -> Callable[[object], int]:
    def run(_arguments: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NotALog("x", "is no log", remedy="give another"), 1, "error: "),
        (PermissionError("no"), 1, "error: no"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oh"), 1, "internal error, please report it: ZeroDivisionError: oh ("),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    assert planted(monkeypatch, raising(error)) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_an_unknown_command_is_a_usage_error() -> None:
    done = subprocess.run([*COMMAND, "nonsense"], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_a_closed_stdout_is_no_error() -> None:
    shell = f'"{sys.executable}" -m coordinator.cli.main schema --markdown >&-'
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_name_no_terminal_can_show_is_escaped() -> None:
    done = subprocess.run(
        [*COMMAND, "events", "--log", b"\xff\xfe.sqlite"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [("send", "--dry-run", os.devnull), ("seal",), ("dlq", "list"), ("topics", "plan")]
)
def test_bad_settings_are_exit_code_2_whatever_the_command(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COORDINATOR_KAFKA__NO_SUCH", "1")
    assert entry.main(list(words)) == 2
    assert "unknown setting" in capsys.readouterr().err

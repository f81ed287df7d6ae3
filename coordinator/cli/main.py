"""The command line: `coordinator COMMAND`. Parses, runs, and turns errors into exit codes.

Place in the flow: the outermost layer; commands live one a file beside this one. Data goes to
stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage or bad settings, 3 a
check found differences, 4 a log of another build or numeric fingerprint.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module, metadata
from io import TextIOWrapper
from pathlib import Path

from coordinator.log.errors import LogError
from coordinator.settings.errors import SettingsError

__all__ = ["build_parser", "main"]

COMMANDS = {
    "demo": "demo",
    "import": "import_",
    "backtest": "backtest",
    "replay": "replay",
    "explain": "explain",
    "frontier": "frontier",
    "portfolio": "portfolio",
    "sources": "sources",
    "activity": "activity",
    "signals": "signals",
    "events": "events",
    "audit": "audit",
    "schema": "schema",
    "run": "run",
    "topics": "topics",
    "send": "send",
    "seal": "seal",
    "dlq": "dlq",
    "archive": "archive",
    "projections": "projections",
    "rebuild": "rebuild",
}
"""Commands, in the order of the help, and the modules of this package that add them."""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser with every command, or with one: importing all of them takes seconds."""
    parser = argparse.ArgumentParser(
        prog="coordinator",
        description="Turns conflicting trading signals into one coordinated allocation per "
        "portfolio, as replayable events.",
    )
    version = metadata.version("coordination-engine")
    parser.add_argument("--version", action="version", version=f"coordinator {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        if only is None or name == only:
            import_module(f"coordinator.cli.{module}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Whatever goes wrong is one line on stderr."""
    _ready_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        only = words[0] if words and words[0] in COMMANDS else None
        arguments = build_parser(only).parse_args(words)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return _pipe_closed()
    except KeyboardInterrupt:
        return _said("interrupted", INTERRUPTED)
    except MemoryError:
        return _said("error: out of memory; give the command less, or the machine more", 1)
    except SettingsError as error:
        return _said(f"error: {error}", USAGE)
    except (LogError, OSError) as error:
        return _said(f"error: {error}", 1)
    except Exception as error:  # noqa: BLE001 - a stranger gets a line to report, never a traceback
        return _said(f"internal error, please report it: {_place(error)}", 1)
    return code


USAGE, INTERRUPTED = 2, 130


def _ready_streams() -> None:
    """Streams that take any text, also where a shell has closed them or speaks only ASCII."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - lives as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _said(line: str, code: int) -> int:
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
    return code


def _place(error: Exception) -> str:
    """What went wrong and where in the code, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"


def _pipe_closed() -> int:
    """Whoever read our output has enough: no complaint, nor one from the interpreter's exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

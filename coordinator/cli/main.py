"""The command line: `coordinator COMMAND`. Parses, runs, and turns errors into exit codes.

Place in the flow: the outermost layer; commands live one a file beside this one. Data goes to
stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 usage, 3 a check found
differences, 4 a log of another build or numeric fingerprint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

from coordinator.log.errors import LogError

__all__ = ["build_parser", "main"]

COMMANDS = ("demo", "import_", "backtest", "replay", "explain", "events", "audit", "schema")
"""Modules of this package that each add one command, in the order of the help."""


def build_parser() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = argparse.ArgumentParser(
        prog="coordinator",
        description="Turns conflicting trading signals into one coordinated allocation per "
        "portfolio, as replayable events.",
    )
    version = metadata.version("coordination-engine")
    parser.add_argument("--version", action="version", version=f"coordinator {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"coordinator.cli.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (LogError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            return _pipe_closed()
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return code


def _pipe_closed() -> int:
    """Whoever read our output has enough: no complaint, nor one from the interpreter's exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())

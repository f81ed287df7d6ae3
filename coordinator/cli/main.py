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

COMMANDS = {
    "demo": "demo",
    "import": "import_",
    "backtest": "backtest",
    "replay": "replay",
    "explain": "explain",
    "events": "events",
    "audit": "audit",
    "schema": "schema",
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
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    only = words[0] if words and words[0] in COMMANDS else None
    arguments = build_parser(only).parse_args(words)
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

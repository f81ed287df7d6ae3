"""`coordinator sources`: who may speak, and what became of what each said.

Place in the flow: folds the log up to the moment, lists, shows. It must never show a name
unescaped: names come from sources of other people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    clock_text,
    complain,
    print_json,
    quiet_pipe,
    safe,
    table,
    wide_output,
)
from coordinator.cli.moments import add_moment, stood_at
from coordinator.log.errors import LogError
from coordinator.log.open import open_reader
from replay.errors import ReplayError
from replay.standing import Standing
from schemas.registry import SchemaError

if TYPE_CHECKING:
    from coordinator.quality.sources import SourceLine

__all__ = ["add_parser", "run"]

_WIDTH = 150


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sources` to the commands."""
    parser = commands.add_parser(
        "sources",
        help="each source's record: accepted, rejected by reason, live views",
        description="Shows every registered source with its terms and what became of its signals, "
        "as the log has it at a moment.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one source (default: all)")
    add_moment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the sources; 1 when there is none of that name."""
    try:
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            stood = stood_at(reader, args.name or "", args.at)
            return _shown(stood, args)
    except (ReplayError, LogError, SchemaError) as error:
        complain(error)
        return FAILED


def _shown(stood: Standing, args: argparse.Namespace) -> int:
    from coordinator.quality.sources import source_lines  # noqa: PLC0415 - numeric libraries

    lines = source_lines(stood.state)
    if args.name is not None:
        known = ", ".join(line.terms.source for line in lines) or "none"
        lines = tuple(line for line in lines if line.terms.source == args.name)
        if not lines:
            complain(f"no source {args.name!r} at that moment; registered are: {known}")
            return FAILED
    if args.json:
        told = {"position": stood.position, "journal_time": stood.time, "sources": lines}
        print_json(told)
        return OK
    screen = wide_output(_WIDTH)
    for part in _table(lines):
        screen.print(part)
    return OK


def _table(lines: tuple[SourceLine, ...]) -> Iterator[RenderableType]:
    if not lines:
        yield Text("no source is registered")
        return
    right = ("horizon", "priority", "accepted", "rejected", "live")
    rows = table("source", "kind", *right, "last signal", "rejected by reason", right=right)
    for line in lines:
        terms = line.terms
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in line.rejected)
        muted = " (muted)" if line.muted else ""
        rows.add_row(
            safe(terms.source + muted), safe(terms.kind), f"{terms.horizon_sessions:g}",
            f"{terms.priority:.2f}", f"{line.accepted:,}",
            f"{sum(count for _, count in line.rejected):,}", f"{line.live:,}",
            "never" if line.last_at is None else clock_text(line.last_at), safe(reasons),
        )  # fmt: skip
    yield rows

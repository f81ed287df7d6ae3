"""Moments: where in a log a question is asked, as somebody types it.

Place in the flow: shared by the commands that show portfolios, signals and sources as they were.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from coordinator.cli.console import FAILED, clock_text, complain, progress, quiet_pipe
from coordinator.core.shards import shard_of
from coordinator.log.errors import LogError
from coordinator.log.open import open_reader
from coordinator.log.url import LOG_HELP
from replay.errors import ReplayError
from replay.source import openings_in, shards_of
from replay.standing import Moment, Standing, standing
from schemas.base import parse_time
from schemas.registry import SchemaError

if TYPE_CHECKING:
    from coordinator.core.ports import LogReader
    from coordinator.core.state import Portfolio

__all__ = [
    "add_moment",
    "complain_of_nobody",
    "in_log",
    "moment_of",
    "portfolio_there",
    "shown",
]

AT_HELP = (
    "a time, or a position (included) of the journal of the shard that the name is at home on, as "
    "the answer's first line tells it; default, and for what lies beyond it: the end"
)
_POSITION_DIGITS = 15
"""More are nanoseconds."""


def moment_of(text: str) -> Moment:
    """A position or a time, as somebody types it. Raises argparse.ArgumentTypeError."""
    digits = text.isascii() and text.isdigit()
    if digits and len(text) <= _POSITION_DIGITS:
        return Moment(position=int(text))
    try:
        return Moment(time=parse_time(int(text) if digits else text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"neither a position nor a time: {error}") from error


def add_moment(parser: argparse.ArgumentParser) -> None:
    """The options of a command that shows a state: which log, where in it, how."""
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument("--at", type=moment_of, metavar="POSITION", help=AT_HELP)
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")


def shown(args: argparse.Namespace, name: str, show: Callable[[Standing], int]) -> int:
    """The exit code of `show`, given the state at the moment that was asked for.

    name: somebody who is at home on the shard. FAILED, with a complaint, where the log cannot be
    read.
    """

    def ask(reader: LogReader) -> int:
        stood = _stood(reader, name, args.at)
        _note_beyond(stood, args.at)
        return show(stood)

    return in_log(args, ask)


def portfolio_there(stood: Standing, args: argparse.Namespace) -> Portfolio | None:
    """The portfolio of the name that was asked for; None, after saying so, where there is none."""
    portfolio = stood.state.portfolios.get(args.name)
    if portfolio is None:
        with closing(open_reader(args.log)) as reader:
            complain_of_nobody(reader, args.name)
    return portfolio


def complain_of_nobody(reader: LogReader, name: str) -> None:
    """Say that there was no such portfolio, and when it is opened, or which the log tells of."""
    openings = openings_in(reader)
    for opened, at in openings:
        if opened == name:
            complain(f"no portfolio {name!r} at that moment: it is opened at {clock_text(at)}")
            return
    known = ", ".join(opened for opened, _ in openings) or "none"
    complain(f"no portfolio {name!r} at that moment; the log tells of: {known}")


def _note_beyond(stood: Standing, moment: Moment | None) -> None:
    """Say on stderr where the log ends, if what was asked for lies beyond."""
    if moment is None:
        return
    if moment.position is not None:
        beyond = moment.position > stood.position
    else:
        beyond = stood.at_end and moment.time is not None and moment.time > stood.time
    if beyond:
        end = f"position {stood.position}, {clock_text(stood.time)}"
        print(f"note: --at lies beyond the journal's end, which is shown: {end}", file=sys.stderr)


def in_log(args: argparse.Namespace, show: Callable[[LogReader], int]) -> int:
    """The exit code of `show`, given the log; FAILED, with a complaint, where it cannot be read."""
    try:
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            return show(reader)
    except (ReplayError, LogError, SchemaError) as error:
        complain(error)
        return FAILED


def _stood(reader: LogReader, name: str, moment: Moment | None) -> Standing:
    """With a progress bar."""
    shard = shard_of(name, shards_of(reader))
    with progress("reading the journal") as advance:
        return standing(
            reader,
            shard,
            moment or Moment(),
            about=name,
            progress=lambda done, total, _: advance(done, total, ""),
        )

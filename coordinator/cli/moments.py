"""Moments: where in a log a question is asked, as somebody types it.

Place in the flow: shared by the commands that show portfolios, signals and sources as they were.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from coordinator.cli.console import progress
from coordinator.core.shards import shard_of
from coordinator.log.url import LOG_HELP
from replay.source import shards_of
from replay.standing import Moment, Standing, standing
from schemas.base import parse_time

if TYPE_CHECKING:
    from coordinator.core.ports import LogReader

__all__ = ["add_moment", "moment_of", "stood_at"]

AT_HELP = "a position of the journal (included) or a time; default: the end"
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


def stood_at(reader: LogReader, name: str, moment: Moment | None) -> Standing:
    """The state of the shard at which somebody of that name is at home; with a progress bar."""
    shard = shard_of(name, shards_of(reader))
    with progress("reading the journal") as advance:
        return standing(
            reader,
            shard,
            moment or Moment(),
            progress=lambda done, total, _: advance(done, total, ""),
        )

"""`coordinator signals`: a portfolio's live views, and what each is believed to say.

Place in the flow: folds the log up to the moment, lists, shows. It must never show a name
unescaped: names come from sources of other people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    counted,
    print_json,
    safe,
    table,
    wide_output,
)
from coordinator.cli.moments import add_moment, portfolio_there, shown
from coordinator.core.forms import in_words
from replay.standing import Standing

if TYPE_CHECKING:
    from coordinator.quality.sources import SignalLine, Voices

__all__ = ["add_parser", "run"]

_LINES = 60
_BESIDE = 120
"""Columns that stand beside a signal's id."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `signals` to the commands."""
    parser = commands.add_parser(
        "signals",
        help="a portfolio's live views, with what each is believed to say",
        description="Shows the live views that a portfolio hears, as the log has it at a moment. "
        "Nothing is decided again.",
    )
    parser.add_argument("name", metavar="PORTFOLIO", help="who hears them")
    add_moment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show a portfolio's live views; 1 when there is none of that name."""
    return shown(args, args.name, lambda stood: _show(stood, args))


def _show(stood: Standing, args: argparse.Namespace) -> int:
    from coordinator.bootstrap import risk_model  # noqa: PLC0415 - numeric libraries
    from coordinator.quality.sources import signal_lines  # noqa: PLC0415 - numeric libraries

    portfolio = portfolio_there(stood, args)
    if portfolio is None:
        return FAILED
    told = signal_lines(stood.state, portfolio, risk_model())
    if args.json:
        print_json({"position": stood.position, "journal_time": stood.time, "signals": told})
        return OK
    longest = max((len(line.signal) for line in told.lines[:_LINES]), default=0)
    why = max((len(line.why) for line in told.lines[:_LINES]), default=0)
    screen = wide_output(longest + _BESIDE + why)
    for part in _signals(told, position=stood.position):
        screen.print(part)
    return OK


def _signals(told: Voices, *, position: int) -> Iterator[RenderableType]:
    if told.without:
        yield Text(told.without)
        return
    yield Text.assemble(
        ("portfolio ", "bold"), safe(told.portfolio, "bold cyan"),
        f"  position {position} of the journal, {counted(len(told.lines), 'live view')}, "
        f"looking {told.horizon:g} sessions ahead",
    )  # fmt: skip
    right = ("confidence", "age", "of", "left", "score", "skill", "view", "own", "priority")
    rows = table("signal", "instrument", "says", *right, "", right=right)
    for line in told.lines[:_LINES]:
        rows.add_row(*_signal(line))
    yield rows
    if len(told.lines) > _LINES:
        yield Text(f"and {len(told.lines) - _LINES} more (--json shows all)")


def _signal(line: SignalLine) -> tuple[RenderableType, ...]:
    return (
        safe(line.signal), safe(_about(line)), _said(line),
        "" if line.confidence is None else f"{line.confidence:.2f}",
        f"{line.age:g}", f"{line.horizon:g}", f"{line.left:.0%}",
        *_numbers(line), line.why,
    )  # fmt: skip


def _about(line: SignalLine) -> str:
    """Its instrument, and what that is judged against."""
    legs = [name if weight == 1.0 else f"{weight:g} {name}" for name, weight in line.against]
    return " - ".join([line.instrument, *legs])


def _said(line: SignalLine) -> str:
    """What it says, in its own form."""
    if line.direction is not None:
        says = {-1: "sell", 0: "hold", 1: "buy"}[line.direction]
        return says if line.strength is None else f"{says} {line.strength:.2f}"
    return in_words(line.form, 0.0 if line.stated is None else line.stated)


def _numbers(line: SignalLine) -> tuple[str, ...]:
    numbers = (line.score, line.skill, line.view, line.own, line.priority)
    score, skill, view, own, priority = numbers
    if score is None or skill is None or view is None or own is None or priority is None:
        return ("",) * len(numbers)
    return (f"{score:+z.2f}", f"{skill:+z.3f}", f"{view:+z.3%}", f"{own:+z.3%}", f"{priority:.2f}")

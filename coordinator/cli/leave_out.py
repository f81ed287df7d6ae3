"""`coordinator explain --without-sources`: what each source changed in a decision.

Place in the flow: asks `replay.leave_out`, shows the answer. It must never show a name unescaped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.text import Text

from coordinator.cli.console import OK, counted, output, print_json, progress, safe, table
from coordinator.log.open import open_reader

if TYPE_CHECKING:
    from replay.leave_out import LeaveOut, LeftOut, TradeChange

__all__ = ["render_left_out", "run_without", "sources_named"]

_CHANGES = 4


def run_without(args: argparse.Namespace) -> int:
    """Decide again without each of the sources asked for, and show what that changes."""
    from replay.leave_out import leave_out  # noqa: PLC0415 - explain alone needs no solver

    with (
        closing(open_reader(args.log)) as reader,
        progress("reading the journal") as read,
        progress("deciding again") as step,
    ):
        told = leave_out(
            reader,
            args.decision_id,
            sources_named(args.without_sources),
            progress=lambda done, total, _: read(done, total, ""),
            step=step,
        )
    if args.json:
        print_json(told)
    else:
        render_left_out(told, output())
    return OK


def sources_named(given: Sequence[str]) -> tuple[str, ...]:
    """The names as somebody types them, in several words or with commas between them."""
    return tuple(name for text in given for name in map(str.strip, text.split(",")) if name)


def render_left_out(told: LeaveOut, console: Console) -> None:
    """Print it for a person: one line a source, then what would have been traded otherwise."""
    for one in _lines(told):
        console.print(one)


def _lines(told: LeaveOut) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("decision ", "bold"), safe(told.decision_id, "bold cyan"),
        f"  {counted(told.trades, 'trade')}, turnover {told.turnover:.2%}, "
        f"objective {1e4 * told.objective:z.2f}bp",
    )  # fmt: skip
    if not told.sources:
        yield Text("nobody was heard in it")
        return
    yield Text("\nDecided again without each source", style="bold")
    right = ("signals", "turnover", "it added", "objective", "it added", "trades otherwise")
    rows = table("without", *right, right=right)
    for one in told.sources:
        rows.add_row(
            safe(one.source), str(len(one.signals)), f"{one.turnover:.2%}",
            f"{one.turnover_change:+z.2%}", f"{1e4 * one.objective:z.2f}bp",
            f"{1e4 * one.objective_change:+z.2f}bp", str(len(one.changes)),
        )  # fmt: skip
    yield rows
    for one in told.sources:
        yield _otherwise(one, told.rung)


def _otherwise(one: LeftOut, usual: str) -> Text:
    """usual: the rung of the decision, which is not told again."""
    if not one.changes:
        return Text.assemble("without ", safe(one.source), ": the same trades")
    shown = Text("; ").join(map(_change, one.changes[:_CHANGES]))
    left = len(one.changes) - _CHANGES
    more = f" and {left} more (--json has all)" if left > 0 else ""
    rung = "" if one.rung == usual else f" (rung {one.rung or 'none'})"
    return Text.assemble("without ", safe(one.source), f"{rung}: ", shown, more)


def _change(one: TradeChange) -> Text:
    return Text.assemble(
        safe(one.instrument), f" {one.without:+z.2%} instead of {one.decided:+z.2%}"
    )

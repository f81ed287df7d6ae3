"""`coordinator frontier`: what else a decision's objective could have chosen.

Place in the flow: asks `replay.frontier`, shows the answer. It must never show a name unescaped:
names come from files of other people.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    complain,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
    wide_output,
)
from coordinator.log.errors import LogError
from coordinator.log.open import open_reader
from coordinator.log.url import LOG_HELP
from coordinator.quality.reasons import ExplainError
from replay.errors import ReplayError
from replay.weights import OVER, over_named
from schemas.registry import SchemaError

if TYPE_CHECKING:
    from replay.frontier import Frontier, Point
    from replay.weights import Over

__all__ = ["add_parser", "render", "run"]

_POINTS = (3, 101)
_WIDTH = 130


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `frontier` to the commands."""
    parser = commands.add_parser(
        "frontier",
        help="the trade-off of a decision: what other weights would have chosen",
        description="Solves a recorded decision's problem again for a range of weights of one "
        "thing, such as risk, and tells what each leads to. Nothing is decided or written.",
    )
    parser.add_argument("decision_id", metavar="DECISION_ID", help='for example "balanced:12"')
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument(
        "--over", type=_over, default="risk", metavar="WEIGHT",
        help=f"what is varied: {', '.join(OVER)}, or the same by a mode's own name, such as "
        "risk_aversion (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--points", type=_points, default=15, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--continuous", action="store_true", help="the optima before they are cut to whole lots"
    )
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")
    parser.set_defaults(run=run)


def _over(text: str) -> Over:
    try:
        return over_named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _points(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not _POINTS[0] <= number <= _POINTS[1]:
        raise argparse.ArgumentTypeError(f"must lie between {_POINTS[0]} and {_POINTS[1]}")
    return number


def run(args: argparse.Namespace) -> int:
    """Show the frontier; 1 when the log has no decision of that name, or not what led to it."""
    from replay.frontier import frontier  # noqa: PLC0415 - a wrong option must not wait for solvers

    try:
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            with progress("solving") as advance:
                told = frontier(
                    reader,
                    args.decision_id,
                    over=args.over,
                    points=args.points,
                    whole=not args.continuous,
                    step=lambda done, total: advance(done, total, ""),
                )
            if args.json:
                print_json(told)
            else:
                render(told, wide_output(_WIDTH))
    except (ExplainError, ReplayError, LogError, SchemaError) as error:
        complain(error)
        return FAILED
    return OK


def render(told: Frontier, console: Console) -> None:
    """Print the points for a person."""
    what = "in whole lots" if told.whole else "before whole lots"
    console.print(
        Text.assemble(
            ("frontier of ", "bold"), safe(told.decision_id, "bold cyan"), "  mode ",
            safe(told.mode), f"  over {told.field}, {what}, of NAV over "
            f"{told.horizon_sessions:g} sessions",
        )
    )  # fmt: skip
    held = any(point.holding for point in told.points)
    tracked = any(point.tracking is not None for point in told.points)
    more = (*(("holding",) if held else ()), *(("tracking",) if tracked else ()))
    right = (told.field, "return", "volatility", "cost", *more, "turnover", "gross", "eff. names")
    rows = table(*right, "rung", "", right=right)
    for point in told.points:
        rows.add_row(*_row(point, held=held, tracked=tracked))
    console.print(rows)


def _row(point: Point, *, held: bool, tracked: bool) -> tuple[str, ...]:
    return (
        f"{point.value:.4g}", _bps(point.expected_return), _percent(point.volatility),
        _bps(point.cost), *((_bps(point.holding),) if held else ()),
        *((_percent(point.tracking or 0.0),) if tracked else ()),
        _percent(point.turnover), _percent(point.gross), f"{point.names:.1f}", point.rung,
        "<- chosen" if point.chosen else "",
    )  # fmt: skip


def _percent(fraction: float) -> str:
    return f"{100 * fraction:z.2f}%"


def _bps(fraction: float) -> str:
    return f"{10_000 * fraction:z.2f}bp"

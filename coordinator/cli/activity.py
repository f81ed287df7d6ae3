"""`coordinator activity`: what happened to portfolios and sources, window by window.

Place in the flow: reads a log's decisions, as any consumer may; what a live worker serves is made
by the same code. It must never show a name unescaped: names come from files of other people.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    counted,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
    wide_output,
)
from coordinator.core.chain import ChainBroken
from coordinator.log.errors import LogError
from coordinator.log.open import open_reader
from coordinator.log.url import LOG_HELP
from projections.activity import (
    LAST_MAX,
    Shape,
    WrongWindow,
    panes_of,
    portfolio_windows,
    source_windows,
)
from projections.panes import Kind, PaneTables
from schemas.registry import SchemaError

__all__ = ["add_parser", "run"]

_WIDTH = 190
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LENGTH = re.compile(r"([1-9][0-9]{0,8})([smhd]?)")
_NO_PANES = (
    "no panes stand in the log's decisions: it holds inputs alone, as after an import, or they "
    "were made before panes were counted, or none is over yet; "
    "`coordinator backtest --log LOG --out NEW` decides it, then ask NEW"
)


@dataclass(frozen=True, slots=True)
class _Windows:
    """The newest windows of one name, oldest first, and how many earlier ones are left out.

    least: whether there may be more of these than were counted.
    """

    name: str
    shown: list[dict[str, Any]]
    left_out: int
    least: bool


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `activity` to the commands."""
    parser = commands.add_parser(
        "activity",
        help="exposure, gains, trades, signals and conflicts by windows of time",
        description="Shows for each window of time what happened to portfolios (exposure, gains, "
        "turnover, rounds, signals, conflicts) and to sources (accepted, rejected, contested).",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument(
        "--window", type=_seconds, default=86_400, metavar="LENGTH",
        help="such as 15m, 1h or 1d, a multiple of the log's panes; a number alone is seconds "
        "(default: 1d)",
    )  # fmt: skip
    parser.add_argument(
        "--hop", type=_seconds, metavar="LENGTH",
        help="windows slide on by so much, and overlap (default: by their length)",
    )  # fmt: skip
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--portfolio", metavar="NAME", help="this portfolio alone")
    whose.add_argument("--source", metavar="NAME", help="this source alone")
    parser.add_argument(
        "--last", type=int, default=20, metavar="N",
        help=f"so many windows of each, the newest, at most {LAST_MAX} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")
    parser.set_defaults(run=run)


def _seconds(text: str) -> int:
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError("a length is a number of s, m, h or d, such as 15m")
    return int(match[1]) * _UNITS[match[2] or "s"]


def run(args: argparse.Namespace) -> int:
    """Show the windows; 1 when there is nobody of that name, 2 for windows that cannot be made."""
    hop = args.hop or args.window
    try:
        shape = Shape.asked((hop,), args.window, hop, args.last)
    except WrongWindow as error:
        complain(error)
        return USAGE
    try:
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            with progress("reading the decisions"):
                tables = panes_of(reader, (hop,))
            return _show(tables, shape, args)
    except WrongWindow as error:
        complain(error)
        return USAGE
    except (LogError, ChainBroken, SchemaError) as error:
        complain(error)
        return FAILED


def _show(tables: PaneTables, shape: Shape, args: argparse.Namespace) -> int:
    portfolios = _names(tables, "portfolio")
    sources = sorted({*_names(tables, "source"), *_heard(tables)})
    if not portfolios and not sources:
        complain(_NO_PANES)
        return FAILED
    for name, known in ((args.portfolio, portfolios), (args.source, sources)):
        if name is not None and name not in known:
            complain(f"nothing happened to {name!r}; there are: {', '.join(known) or 'none'}")
            return FAILED
    one = args.portfolio or args.source
    shown = [name for name in portfolios if name == (one or name) and args.source is None]
    heard = [name for name in sources if name == (one or name) and args.portfolio is None]
    all_ = replace(shape, last=LAST_MAX)
    _tell(
        shape,
        [_newest(name, portfolio_windows(tables, name, all_), shape.last) for name in shown],
        [_newest(name, source_windows(tables, name, all_), shape.last) for name in heard],
        as_json=args.json,
    )
    return OK


def _newest(name: str, windows: list[dict[str, Any]], last: int) -> _Windows:
    left_out = max(0, len(windows) - last)
    return _Windows(name, windows[left_out:], left_out, least=len(windows) >= LAST_MAX)


def _names(tables: PaneTables, kind: Kind) -> list[str]:
    return [name for name, _ in tables.newest(kind)]


def _heard(tables: PaneTables) -> Iterator[str]:
    """Sources that rounds used signals of, also where their own panes are not here."""
    for _, pane in tables.newest("portfolio"):
        yield from (line["source"] for line in pane["heard"])


def _tell(
    shape: Shape, portfolios: list[_Windows], sources: list[_Windows], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "size_s": shape.size,
                "hop_s": shape.hop,
                "portfolios": [_plain("portfolio", one) for one in portfolios],
                "sources": [_plain("source", one) for one in sources],
            }
        )
        return
    screen = wide_output(_WIDTH)
    for part in (*_portfolios(portfolios), *_sources(sources)):
        screen.print(part)
    for line in _left_out([*portfolios, *sources]):
        screen.print(line)


def _plain(kind: str, told: _Windows) -> dict[str, Any]:
    return {kind: told.name, "windows": told.shown, "left_out": told.left_out}


def _left_out(told: list[_Windows]) -> Iterator[RenderableType]:
    """How many windows of whom are not shown, those of as many together."""
    groups: dict[tuple[int, bool], list[str]] = {}
    for one in told:
        if one.left_out:
            groups.setdefault((one.left_out, one.least), []).append(one.name)
    for (count, least), names in groups.items():
        more = (
            f"{'at least ' if least else ''}{counted(count, 'earlier window')} left out (--last): "
        )
        yield Text.assemble((more, "dim"), safe(", ".join(names)))


def _portfolios(told: list[_Windows]) -> Iterator[RenderableType]:
    right = (
        "NAV", "pnl", "gross", "gross\nmax", "net", "traded", "turnover", "rounds", "decisions",
        "signals\nused", "signals\nnew", "signals\ndropped", "conflicts", "fills", "fills\nlate",
    )  # fmt: skip
    rows = table("portfolio", "from", *right, right=right)
    for whose in told:
        for one in whose.shown:
            closing, turnover = one["closing"], one["turnover"]
            rows.add_row(
                safe(whose.name), clock_text(one["begins_at"]), f"{float(closing['nav']):,.2f}",
                f"{float(one['pnl']):+z,.2f}", f"{closing['gross']:.2%}", f"{one['gross_max']:.2%}",
                f"{closing['net']:z.2%}", f"{float(one['traded']):,.2f}",
                _rate(turnover), *(f"{one[name]:,}" for name in _COUNTS),
            )  # fmt: skip
    if told:
        yield rows
        yield Text()


_COUNTS = (
    "rounds", "decisions", "signals_used", "signals_new", "signals_dropped", "conflicts", "fills",
    "fills_late",
)  # fmt: skip


def _sources(told: list[_Windows]) -> Iterator[RenderableType]:
    right = (
        "accepted", "rejected", "acceptance rate", "late", "used", "contested", "conflict rate",
        "conflicts",
    )  # fmt: skip
    rows = table("source", "from", *right, "rejected by reason", right=right)
    for whose in told:
        for one in whose.shown:
            signals, rounds = one["signals"], one["rounds"]
            judged = (
                f"{signals['accepted']:,}", f"{sum(signals['rejected'].values()):,}",
                _rate(signals["acceptance_rate"]), f"{signals['late']:,}",
            ) if signals else ("", "", "", "")  # fmt: skip
            heard = (
                f"{rounds['used']:,}", f"{rounds['contested']:,}", _rate(rounds["conflict_rate"]),
                f"{rounds['conflicts']:,}",
            ) if rounds else ("", "", "", "")  # fmt: skip
            reasons = signals["rejected"] if signals else {}
            text = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
            rows.add_row(
                safe(whose.name), clock_text(one["begins_at"]), *judged, *heard, safe(text)
            )
    if told:
        yield rows


def _rate(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"

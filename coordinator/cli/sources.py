"""`coordinator sources`: who may speak, and what became of what each said.

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
    complain,
    print_json,
    safe,
    table,
    wide_output,
)
from coordinator.cli.moments import add_moment, shown
from replay.standing import Standing

if TYPE_CHECKING:
    from coordinator.quality.sources import SkillLine, SourceLine

__all__ = ["add_parser", "run"]

_WIDTH = 210
HALF, TENTH = 0.5, 0.1


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
    return shown(args, args.name or "", lambda stood: _show(stood, args))


def _show(stood: Standing, args: argparse.Namespace) -> int:
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
    parts = [*_table(lines), *_mapped(lines)]
    if args.name is not None:
        parts += _curve(lines[0])
    for part in parts:
        screen.print(part)
    return OK


def _table(lines: tuple[SourceLine, ...]) -> Iterator[RenderableType]:
    if not lines:
        yield Text("no source is registered")
        return
    right = ("priority", "accepted", "rejected", "live", "horizon", "skill", "95 %", "outcomes")
    columns = ("Brier stated", "calibrated", "usual confidence", "mapped to")
    rows = table(
        "source", "kind", *right, *columns, "errs like", "rejected by reason",
        right=(*right, *columns),
    )  # fmt: skip
    for line in lines:
        terms = line.terms
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in line.rejected)
        muted = " (muted)" if line.muted else ""
        alike = "" if line.alike is None else f"{line.alike[0]} {line.alike[1]:.2f}"
        first, *others = line.skills
        rows.add_row(
            safe(terms.source + muted), safe(terms.kind), f"{terms.priority:.2f}",
            f"{line.accepted:,}", f"{sum(count for _, count in line.rejected):,}",
            f"{line.live:,}", *_skill(first), _score(line.brier_stated),
            _score(line.brier_calibrated), _share(line.usual_confidence),
            _share(line.usual_hit_rate), safe(alike), safe(reasons),
        )  # fmt: skip
        for other in others:
            rows.add_row("", "", "", "", "", "", *_skill(other), *[""] * 6)
    yield rows


def _mapped(lines: tuple[SourceLine, ...]) -> Iterator[RenderableType]:
    """Whose views that state a confidence count the other way round, whatever the skill says."""
    turned = [
        line.terms.source
        for line in lines
        if line.usual_hit_rate is not None and line.usual_hit_rate < HALF
    ]
    if turned:
        yield Text.assemble(
            "\nviews that state a confidence count by the hit rate it is mapped to, not by the "
            "skill; below 50% they count the other way round, as the usual ones do of: ",
            safe(", ".join(turned)),
        )  # fmt: skip


def _curve(line: SourceLine) -> Iterator[RenderableType]:
    """How often signals of each stated confidence were right, and what theirs was mapped to."""
    if not line.reliability:
        yield Text("\nno outcome of a signal with a stated confidence is known yet")
        return
    yield Text("\nreliability of its stated confidences")
    right = ("outcomes", "hits", "were right", "calibrated to")
    rows = table("confidence", *right, right=right)
    for one in line.reliability:
        rows.add_row(
            f"{one.confidence_from:.0%} to {one.confidence_from + TENTH:.0%}",
            f"{one.outcomes:,}", f"{one.hits:,}", f"{one.hits / one.outcomes:.1%}",
            _share(one.hit_rate),
        )  # fmt: skip
    yield rows


def _share(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"


def _skill(line: SkillLine) -> tuple[str, ...]:
    return (
        f"{line.horizon:g}", f"{line.skill:+z.3f}", f"{line.low:+z.3f} to {line.high:+z.3f}",
        f"{line.outcomes:,}",
    )  # fmt: skip


def _score(brier: float | None) -> str:
    return "" if brier is None else f"{brier:.4f}"

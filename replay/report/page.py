"""The report: one HTML file, with nothing fetched from anywhere and no script in it.

Place in the flow: the end of a run, for people. Every text from the log is escaped by the
template, and a content policy forbids what escaping should have prevented. It must never write a
half file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.forms import in_words
from coordinator.core.ports import LogReader
from projections.rows import SignalRow
from replay.baselines import Baselines
from replay.ledger import Performance
from replay.report import charts
from replay.report.story import tell
from replay.report.summary import Run, Summary, fold
from replay.report.words import (
    CONFLICTS,
    FATES_MEANT,
    RUNGS,
    TERMS,
    prose,
    spelled,
    unused_spelled,
    with_meaning,
)
from replay.targets import written_beside

__all__ = ["render", "write_report"]

_MINUS = "\u2212"
_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Card:
    """One figure at the head of the page."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of the results' table that belong together."""

    name: str
    rows: tuple[Performance, ...]


def write_report(
    reader: LogReader,
    path: Path,
    *,
    title: str,
    baselines: Baselines | None = None,
    run: Run | None = None,
) -> None:
    """Write the report of a log to path, replacing what was there.

    run: the log folded already, with its baselines; absent, it is folded here.
    Raises OSError when path cannot be written; nothing of it is then left.
    """
    text = render(reader, run or fold(reader, baselines=baselines), title=title)
    with written_beside(path) as partial:
        partial.write_text(text, encoding="utf-8")


def render(reader: LogReader, run: Run, *, title: str) -> str:
    """The page's text."""
    environment = Environment(
        loader=PackageLoader("replay.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "bp": charts.basis_points,
        "moment": _moment,
        "days": lambda span: f"{span / _DAY:.1f} d",
        "prose": prose,
        "said": _said,
        "spelled": spelled,
        "skill": lambda value: f"{value:.3f}".replace("-", _MINUS),
        "shadow": lambda value: f"{value:.4g}".replace("-", _MINUS),
        "words": lambda text: str(text).replace("_", " "),
        "number": lambda value: f"{value:,.0f}".replace("-", _MINUS),
        "price": lambda value: f"{float(value):,.2f}".replace("-", _MINUS),
    }
    story = tell(reader, run.tally)
    summary = run.summary
    return environment.get_template("report.html.j2").render(
        title=title,
        summary=summary,
        cards=tuple(_cards(summary)),
        groups=tuple(_groups(summary)),
        fates=FATES_MEANT,
        kinds=CONFLICTS,
        rungs=RUNGS,
        terms=TERMS,
        sessions_a_year=SESSIONS_A_YEAR,
        equity=charts.equity(run),
        exposures=charts.exposures(run),
        panels_left=max(0, len(run.curves) - charts.PANELS_MAX),
        conflicts=charts.conflicts_over_time(run),
        acceptance=charts.acceptance(summary),
        story=story,
        voices=charts.voices(story) if story else (),
    )


def _said(signal: SignalRow) -> str:
    """What a signal that is no direction says."""
    text = in_words(signal.form, signal.stated or 0.0).replace("-", _MINUS)
    return text if signal.against is None else f"{text} against {signal.against}"


def _percent(value: float | None, digits: int = 2) -> str:
    return "\u2013" if value is None else f"{value * 100:z.{digits}f}%".replace("-", _MINUS)


def _moment(at: int) -> str:
    """A time to the minute, UTC; to the second where it has seconds."""
    moment = datetime.fromtimestamp(at // 10**9, tz=UTC)
    return moment.strftime("%d %b %Y %H:%M:%S" if moment.second else "%d %b %Y %H:%M").lstrip("0")


def _cards(summary: Summary) -> Iterator[Card]:
    rejected = sum(count for _, count in summary.rejected)
    unused = unused_spelled(summary.signals_unused)
    yield Card(
        "signals in",
        f"{summary.signals:,}",
        f"{summary.signals_used:,} used"
        + (f", not used: {unused}" if unused else "")
        + (f". Rejections: {rejected:,}" if rejected else ""),
    )
    yield Card(
        "conflicts found",
        f"{sum(n for _, n in summary.conflicts):,}",
        spelled(summary.conflicts) or "none",
    )
    yield Card("decisions", f"{summary.decisions:,}", with_meaning(summary.rungs) or "none")
    yield Card("trades decided", f"{summary.trades:,}", spelled(summary.trade_fates) or "none")
    times = summary.decision_times
    if times is not None:
        yield Card(
            "time to decide",
            f"{times.p50_ms:.0f} ms",
            f"median; 99th percentile {times.p99_ms:.0f} ms",
        )


def _groups(summary: Summary) -> Iterator[Group]:
    """Portfolios first, then baselines in the order of their groups."""
    yield Group("Portfolios", summary.portfolios)
    for name in dict.fromkeys(row.group for row in summary.baselines):
        rows = tuple(row for row in summary.baselines if row.group == name)
        yield Group(name[:1].upper() + name[1:], rows)

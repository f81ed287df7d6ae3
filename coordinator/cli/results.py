"""A run's figures on a terminal: what came in, what was decided, what it was worth beside what.

Place in the flow: shared by the commands that make runs. Fits 100 columns, and 80 by leaving the
costs' parts out. Prints figures only, no judgement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from coordinator.cli.console import safe, table
from replay.ledger import Performance
from replay.report import Summary

__all__ = ["print_results"]

WIDE = 100
_COLUMNS = ("return", "volatility", "drawdown", "turnover", "fees", "spread")
_NARROW = ("return", "volatility", "drawdown", "turnover", "costs")


def print_results(console: Console, summary: Summary) -> None:
    """The counts, then one line per portfolio and baseline, then what they cannot show."""
    counts = table("", "", right=())
    counts.show_header = False
    for name, value in _counts(summary):
        counts.add_row(safe(name, "bold"), safe(value))
    console.print(counts)
    console.print()
    console.print(_results(summary, wide=console.width >= WIDE))
    if summary.sharpe_error is not None:
        console.print()
        console.print(
            f"Over {summary.sessions} sessions a Sharpe ratio has a standard error of about "
            f"{summary.sharpe_error:.1f}: no significance is claimed.",
            style="dim",
        )


def _counts(summary: Summary) -> Iterator[tuple[str, str]]:
    rejected = sum(count for _, count in summary.rejected)
    yield "signals in", f"{summary.signals:,} from {len(summary.sources)} sources"
    yield "used", f"{summary.signals_used:,}"
    unused = f"{summary.signals_expired_unused:,} of them unused"
    yield "expired", f"{summary.signals_expired:,} ({unused})"
    yield "rejected", f"{rejected:,}" + (f" ({_spelled(summary.rejected)})" if rejected else "")
    if summary.dead_letters or summary.incidents:
        letters = f"{summary.dead_letters:,} dead-lettered"
        yield "other inputs", ", ".join(filter(None, (letters, _spelled(summary.incidents))))
    yield "conflicts", _spelled(summary.conflicts) or "none"
    yield "decisions", f"{summary.decisions:,} ({_spelled(summary.rungs) or 'none'})"
    yield "trades", f"{summary.trades:,} decided over {summary.sessions:,} sessions"
    times = summary.decision_times
    if times is not None:
        yield "decision time", f"p50 {times.p50_ms:.1f} ms, p99 {times.p99_ms:.1f} ms"


def _spelled(counts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts)


def _results(summary: Summary, *, wide: bool) -> Table:
    columns = _COLUMNS if wide else _NARROW
    made = table("", *columns, right=columns)
    for group, rows in _groups(summary):
        made.add_row(safe(group, "dim"), *[""] * len(columns))
        for row in rows:
            made.add_row(safe(f"  {row.name}"), *_cells(row, wide=wide))
    return made


def _groups(summary: Summary) -> Iterator[tuple[str, Sequence[Performance]]]:
    yield "portfolios", summary.portfolios
    for group in dict.fromkeys(row.group for row in summary.baselines):
        yield group, [row for row in summary.baselines if row.group == group]


def _cells(row: Performance, *, wide: bool) -> Iterator[str]:
    yield f"{row.total_return:+.2%}"
    yield "-" if row.volatility is None else f"{row.volatility:.1%}"
    yield f"{row.drawdown:.2%}"
    yield f"{row.turnover:.2f}"
    if wide:
        yield f"{row.fees:.3%}"
        yield f"{row.spread:.3%}"
    else:
        yield f"{row.costs:.3%}"

"""A run's figures on a terminal: what came in, what was decided, what it was worth beside what.

Place in the flow: shared by the commands that make runs. Fits 100 columns, and 80 by leaving the
costs' parts out. Prints figures only, no judgement.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from coordinator.cli.console import counted, safe, table
from replay.ledger import Performance
from replay.report import Summary
from replay.report.words import spelled, unused_spelled, with_meaning

__all__ = ["print_results"]

WIDE = 100
_COLUMNS = ("return", "volatility", "drawdown", "turnover", "fees", "spread")
_NARROW = ("return", "volatility", "drawdown", "turnover", "costs")


def print_results(console: Console, summary: Summary, *, log: str) -> None:
    """The counts, then one line per portfolio and baseline, then what they cannot show.

    log: where the run stands, for the commands that show more of it.
    """
    counts = table("", "", right=())
    counts.show_header = False
    for name, value in _counts(summary):
        counts.add_row(safe(name, "bold"), safe(value))
    console.print(counts)
    for topic in summary.dead_letter_topics:
        command = f"coordinator events --topic {topic} --log {shlex.quote(log)}"
        console.print(safe(f"dead letters of {topic.removesuffix('.dlq')}: {command}", "dim"))
    for one in summary.unfilled:
        trades = counted(one.trades, "trade")
        console.print()
        console.print(
            safe(
                f"WARNING: {one.portfolio} was never filled: it decided {trades} "
                f"({spelled(one.fates)}). A trade needs a price of its instrument after the "
                "decision and before it expires.",
                "bold red",
            )
        )
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
    yield "signals in", f"{summary.signals:,} from {counted(len(summary.sources), 'source')}"
    yield "used", f"{summary.signals_used:,}"
    if summary.signals_unused:
        total = sum(count for _, count in summary.signals_unused)
        yield "not used", f"{total:,}" + _in_brackets(unused_spelled(summary.signals_unused))
    unused = f"{summary.signals_expired_unused:,} of them unused"
    yield "expired", f"{summary.signals_expired:,} ({unused})"
    yield "rejected", f"{rejected:,}" + _in_brackets(spelled(summary.rejected))
    if summary.dead_letters or summary.incidents:
        letters = f"{summary.dead_letters:,} dead-lettered"
        yield "other inputs", ", ".join(filter(None, (letters, spelled(summary.incidents))))
    yield "conflicts", spelled(summary.conflicts) or "none"
    yield "decisions", f"{summary.decisions:,}" + _in_brackets(with_meaning(summary.rungs))
    yield "trades", f"{summary.trades:,} decided" + _in_brackets(spelled(summary.trade_fates))
    yield "sessions", f"{summary.sessions:,}"
    times = summary.decision_times
    if times is not None:
        yield "decision time", f"p50 {times.p50_ms:.1f} ms, p99 {times.p99_ms:.1f} ms"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


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
    yield f"{row.total_return:+z.2%}"
    yield "-" if row.volatility is None else f"{row.volatility:.1%}"
    yield f"{row.drawdown:.2%}"
    yield f"{row.turnover:.0%}"
    if wide:
        yield f"{row.fees:.3%}"
        yield f"{row.spread:.3%}"
    else:
        yield f"{row.costs:.3%}"

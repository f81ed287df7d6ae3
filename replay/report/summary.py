"""A run in figures: what came in, what became of it, what it decided and what that was worth.

Place in the flow: from a log's rows and curves to the table that the demo and a backtest print,
to their JSON and to the report. It must never claim that a figure is significant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coordinator.core.ports import LogReader
from projections.frames import rows
from projections.rows import (
    ConflictRow,
    DecisionRow,
    FillRow,
    IncidentRow,
    RoundRow,
    Row,
    SignalRow,
    SignalUseRow,
    SignalVerdictRow,
    TradeEndRow,
    TradeRow,
)
from replay.baselines import Baselines
from replay.ledger import Curve, Performance, performance, sharpe_error
from replay.report.accounts import curves
from replay.report.trades import Trades, Unfilled

__all__ = [
    "FATES",
    "DecisionTimes",
    "Run",
    "SourceFates",
    "Summary",
    "Tally",
    "fold",
    "summarise",
]

FATES = ("followed", "limited", "outvoted", "closed", "dropped", "expired", "rejected", "waiting")
"""What can become of a signal, the best first: one heard by several decisions has its best verdict.

closed: it is neutral (direction 0) and ended its source's view; dropped: heard, without weight;
expired: its time was over before any decision used it; waiting: nothing yet when the log ends.
"""
_EXPIRED = FATES.index("expired")


@dataclass(frozen=True, slots=True)
class SourceFates:
    """How many of a source's signals met each fate, in the order of FATES."""

    source: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DecisionTimes:
    """Wall time a decision took, milliseconds, measured by whoever made the run."""

    p50_ms: float
    p99_ms: float
    decisions: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's figures. Signals are counted once each, rejections as often as they happened."""

    signals: int
    signals_used: int
    signals_expired: int
    signals_expired_unused: int
    signals_unused: tuple[tuple[str, int], ...]
    """Fate and count of the signals that no round used, most first."""
    rejected: tuple[tuple[str, int], ...]
    """Reason and count, most first."""
    dead_letters: int
    """Messages and rows that could not even become an event."""
    dead_letter_topics: tuple[str, ...]
    """Where they stand."""
    incidents: tuple[tuple[str, int], ...]
    """Inputs without effect, quarantined records and the like, most first."""
    sources: tuple[SourceFates, ...]
    conflicts: tuple[tuple[str, int], ...]
    """Kind and count, most first."""
    rounds: int
    decisions: int
    rungs: tuple[tuple[str, int], ...]
    """Rung of the ladder and decisions, most first."""
    trades: int
    trade_fates: tuple[tuple[str, int], ...]
    """What became of the trades and how many: only what happened, the best first."""
    unfilled: tuple[Unfilled, ...]
    """Portfolios that decided trades of which none was ever filled."""
    sessions: int
    started_at: int
    ended_at: int
    decision_times: DecisionTimes | None
    portfolios: tuple[Performance, ...]
    baselines: tuple[Performance, ...]
    baselines_note: str
    sharpe_error: float | None
    """Standard error of an annualised Sharpe ratio over that many sessions."""


@dataclass(slots=True)
class Tally:
    """Running counts over a log's rows."""

    fates: dict[str, int] = field(default_factory=dict)
    """Index into FATES by "source/signal_id", for every signal that came in."""
    sources: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    expired: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    conflicts: Counter[str] = field(default_factory=Counter)
    conflict_times: list[tuple[int, str]] = field(default_factory=list)
    rungs: Counter[str] = field(default_factory=Counter)
    neutral: set[str] = field(default_factory=set)
    """Signals of direction 0."""
    rounds: int = 0
    trades: Trades = field(default_factory=Trades)
    worst: dict[tuple[str, str], ConflictRow] = field(default_factory=dict)
    """The most severe conflict so far of each decision and kind."""
    incidents: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    """By topic."""
    by_decision: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count one row. Journal rows come before the decisions' (see projections.frames.rows)."""
        if isinstance(row, SignalUseRow):
            self._fate(row.signal, row.verdict)
        elif isinstance(row, SignalRow):
            self._signal(row)
        elif isinstance(row, SignalVerdictRow):
            self._verdict(row)
        elif isinstance(row, RoundRow):
            self._round(row)
        elif isinstance(row, ConflictRow):
            self._conflict(row)
        elif isinstance(row, DecisionRow):
            self.rungs[row.rung] += 1
        elif isinstance(row, IncidentRow):
            self.incidents[row.kind] += 1
        elif isinstance(row, TradeRow | FillRow | TradeEndRow):
            self.trades.add(row)

    def _signal(self, row: SignalRow) -> None:
        name = f"{row.source}/{row.signal_id}"
        self.fates.setdefault(name, FATES.index("waiting"))
        self.sources[name] = row.source
        if row.direction == 0:
            self.neutral.add(name)

    def _round(self, row: RoundRow) -> None:
        self.rounds += 1
        self.used.update(row.signals_used)
        for name in row.signals_dropped:
            self._fate(name, "closed" if name in self.neutral else "dropped")

    def _fate(self, name: str, fate: str) -> None:
        known = self.fates.get(name)
        if known is not None:
            self.fates[name] = min(known, FATES.index(fate))

    def _verdict(self, row: SignalVerdictRow) -> None:
        name = f"{row.source}/{row.signal_id}"
        if row.verdict == "expired":
            self.expired += 1
        else:
            self.rejected[row.reason] += 1
        # A duplicate is rejected; the signal it repeats keeps its own fate.
        if row.reason != "duplicate":
            self._fate(name, row.verdict)

    def _conflict(self, row: ConflictRow) -> None:
        self.conflicts[row.kind] += 1
        self.conflict_times.append((row.decided_at, row.kind))
        self.by_decision[row.decision_id] += 1
        last = self.worst.setdefault((row.decision_id, row.kind), row)
        if row.severity > last.severity:
            self.worst[row.decision_id, row.kind] = row

    def unused(self) -> Counter[str]:
        """Signals that no round used, by fate."""
        return Counter(FATES[fate] for name, fate in self.fates.items() if name not in self.used)

    def by_source(self) -> tuple[SourceFates, ...]:
        """Fates of each source's signals, sources by name."""
        counts: dict[str, list[int]] = {}
        for name, fate in self.fates.items():
            counts.setdefault(self.sources[name], [0] * len(FATES))[fate] += 1
        return tuple(SourceFates(name, tuple(found)) for name, found in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class Run:
    """A log folded once: its figures, the curves behind them and the tally behind the plots."""

    summary: Summary
    curves: tuple[Curve, ...]
    baselines: tuple[Curve, ...]
    tally: Tally


def fold(
    reader: LogReader,
    *,
    baselines: Baselines | None = None,
    decision_seconds: Sequence[float] | None = None,
) -> Run:
    """Read a whole log once for its rows and once for its books.

    decision_seconds: wall time of each decision as the runner measured it; a log holds none.
    """
    tally = Tally()
    for row in rows(reader):
        tally.add(row)
    for topic, shard in reader.partitions():
        if topic.endswith(".dlq"):
            tally.dead_letters[topic] += sum(1 for _ in reader.read(topic, shard))
    found = curves(reader)
    beside = baselines.curves if baselines else ()
    note = baselines.note if baselines else ""
    return Run(_summary(tally, found, beside, note, _times(decision_seconds)), found, beside, tally)


def summarise(
    reader: LogReader,
    *,
    baselines: Baselines | None = None,
    decision_seconds: Sequence[float] | None = None,
) -> Summary:
    """The figures of a log; see fold."""
    return fold(reader, baselines=baselines, decision_seconds=decision_seconds).summary


def _summary(
    tally: Tally,
    found: tuple[Curve, ...],
    beside: tuple[Curve, ...],
    note: str,
    times: DecisionTimes | None,
) -> Summary:
    marks = [mark.at for curve in found for mark in curve.marks]
    sessions = max((len(curve.marks) for curve in found), default=0)
    return Summary(
        signals=len(tally.fates),
        signals_used=len(tally.used),
        signals_expired=tally.expired,
        signals_expired_unused=sum(fate == _EXPIRED for fate in tally.fates.values()),
        signals_unused=_most(tally.unused()),
        rejected=_most(tally.rejected),
        dead_letters=tally.dead_letters.total(),
        dead_letter_topics=tuple(sorted(+tally.dead_letters)),
        incidents=_most(tally.incidents),
        sources=tally.by_source(),
        conflicts=_most(tally.conflicts),
        rounds=tally.rounds,
        decisions=sum(tally.rungs.values()),
        rungs=_most(tally.rungs),
        trades=tally.trades.decided,
        trade_fates=tally.trades.fates(),
        unfilled=tally.trades.unfilled(),
        sessions=sessions,
        started_at=min(marks, default=0),
        ended_at=max(marks, default=0),
        decision_times=times,
        portfolios=tuple(performance(curve) for curve in found),
        baselines=tuple(performance(curve) for curve in beside),
        baselines_note=note,
        sharpe_error=sharpe_error(sessions),
    )


def _most(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _times(seconds: Iterable[float] | None) -> DecisionTimes | None:
    """Percentiles by the nearest rank: a time that really was measured."""
    ordered = sorted(seconds or ())
    if not ordered:
        return None
    n = len(ordered)
    p50, p99 = (ordered[min(n - 1, -(-n * q // 100) - 1)] * 1e3 for q in (50, 99))
    return DecisionTimes(p50, p99, n)

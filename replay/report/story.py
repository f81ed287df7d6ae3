"""One decision told from its signals to its trades: that with the most severe conflict.

Place in the flow: after a run is folded; reads the log again for that one decision. It must never
choose by how well the decision turned out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic_core import to_json

from coordinator.core.ports import LogReader
from coordinator.core.shards import shards_in
from projections.apply import apply
from projections.rows import AsOf, ConflictRow, FillRow, SignalRow, TradeEndRow
from replay.report.summary import Tally
from schemas.decisions import (
    AllocationDecided,
    ConflictKind,
    ConflictLine,
    ConflictsDetected,
    LimitUse,
    SignalUse,
    Target,
    Trade,
    TradesExpired,
)
from schemas.entries import OutputEntry, decode_journal, decode_output, opening
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled, OrderRejected
from schemas.signals import SignalIssued

__all__ = ["Story", "TradeStory", "Voice", "choose", "tell"]

_WITH_LIMITS = (ConflictKind.MANDATE.value, ConflictKind.CAPACITY.value)
VOICES_MAX = 24
TRADES_MAX = 16
LIMITS_MAX = 8
_ANSWERS = opening(OrderFilled, OrderPartlyFilled, OrderCancelled, OrderRejected)
_ISSUED = opening(SignalIssued)


@dataclass(frozen=True, slots=True)
class Voice:
    """What the decision made of a signal, and the signal where the log still has it."""

    use: SignalUse
    source: str
    signal: SignalRow | None


@dataclass(frozen=True, slots=True)
class TradeStory:
    """A trade with its answers from the market, in their order."""

    trade: Trade
    fills: tuple[FillRow, ...]
    ends: tuple[TradeEndRow, ...]
    disputed: bool
    """Its instrument is in the conflict."""


@dataclass(frozen=True, slots=True)
class Story:
    """A decision and everything that led to it and came of it."""

    decision: AllocationDecided
    conflict: ConflictLine
    conflicts: int
    """Of the same decision, this one included."""
    voices: tuple[Voice, ...]
    """Opinions on the conflict's instruments, the largest contribution first."""
    voices_left: int
    """Further opinions on these instruments that are not shown."""
    others: int
    """Opinions on other instruments."""
    targets: tuple[Target, ...]
    """Of the conflict's instruments."""
    limits: tuple[LimitUse, ...]
    """That bound the answer: the portfolio's, the disputed instruments', then the dearest."""
    limits_left: int
    trades: tuple[TradeStory, ...]
    trades_left: int


def choose(tally: Tally) -> ConflictRow | None:
    """The most severe conflict between opinions over something that was then traded.

    Where there is none, one that led to no trade, or one of an opinion with a limit. Ties: the
    first.
    """

    def rank(row: ConflictRow) -> tuple[bool, bool, float, int, str]:
        known = tally.trades.instruments
        traded = any((row.decision_id, name) in known for name in row.instruments)
        of_opinions = row.kind not in _WITH_LIMITS
        return (not of_opinions, not traded, -row.severity, row.decided_at, row.decision_id)

    return min(tally.worst.values(), key=rank, default=None)


def tell(reader: LogReader, tally: Tally) -> Story | None:
    """The story of a run; None when nothing ever conflicted, or its decision is not in the log."""
    chosen = choose(tally)
    if chosen is None:
        return None
    decision: AllocationDecided | None = None
    conflict: ConflictLine | None = None
    ends: list[TradeEndRow] = []
    for entry in _outputs(reader, chosen):
        event = entry.event
        if isinstance(event, AllocationDecided):
            decision = event
        elif isinstance(event, ConflictsDetected) and chosen.ordinal < len(event.conflicts):
            conflict = event.conflicts[chosen.ordinal]
        elif isinstance(event, TradesExpired):
            found = apply(entry, AsOf(chosen.as_of.shard, entry.seq))
            ends += [row for row in found if isinstance(row, TradeEndRow)]
    if decision is None or conflict is None:
        return None
    return _compose(reader, tally, decision, conflict, (chosen.as_of.shard, ends))


def _outputs(reader: LogReader, chosen: ConflictRow) -> Iterator[OutputEntry]:
    """Outputs that name the decision, found by their bytes before anything is decoded."""
    needle = b'"decision_id":' + to_json(chosen.decision_id)
    for record in reader.read("decisions", chosen.as_of.shard):
        if needle in record.payload:
            yield decode_output(record.payload)


def _compose(
    reader: LogReader,
    tally: Tally,
    decision: AllocationDecided,
    conflict: ConflictLine,
    known: tuple[int, list[TradeEndRow]],
) -> Story:
    disputed = set(conflict.instruments)
    uses = sorted(
        (use for use in decision.signals if use.instrument in disputed),
        key=lambda use: (-abs(use.own), use.signal),
    )
    trades = sorted(
        decision.trades,
        key=lambda trade: (trade.instrument not in disputed, -abs(trade.weight), trade.instrument),
    )
    bound = sorted(
        (limit for limit in decision.limits if limit.shadow_price != 0),
        key=lambda limit: (
            limit.instrument is not None,
            limit.instrument not in disputed,
            -abs(limit.shadow_price),
            limit.limit,
            limit.instrument or "",
        ),
    )
    shown = trades[:TRADES_MAX]
    return Story(
        decision=decision,
        conflict=conflict,
        conflicts=tally.by_decision[decision.decision_id],
        voices=tuple(_voices(reader, uses[:VOICES_MAX])),
        voices_left=max(0, len(uses) - VOICES_MAX),
        others=len(decision.signals) - len(uses),
        targets=tuple(t for t in decision.targets if t.instrument in disputed),
        limits=tuple(bound[:LIMITS_MAX]),
        limits_left=max(0, len(bound) - LIMITS_MAX),
        trades=tuple(_trades(reader, shown, known, disputed)),
        trades_left=len(trades) - len(shown),
    )


def _voices(reader: LogReader, uses: list[SignalUse]) -> Iterator[Voice]:
    wanted = {use.signal for use in uses}
    found: dict[str, SignalRow] = {}
    for shard in shards_in(reader, "journal")[:1]:
        for record in reader.read("journal", shard):
            if not record.payload.startswith(_ISSUED):
                continue
            for row in apply(decode_journal(record.payload), AsOf(shard, record.position)):
                if isinstance(row, SignalRow) and f"{row.source}/{row.signal_id}" in wanted:
                    found.setdefault(f"{row.source}/{row.signal_id}", row)
    for use in uses:
        signal = found.get(use.signal)
        source = use.signal.split("/", 1)[0] if signal is None else signal.source
        yield Voice(use, source, signal)


def _trades(
    reader: LogReader,
    trades: list[Trade],
    known: tuple[int, list[TradeEndRow]],
    disputed: set[str],
) -> Iterator[TradeStory]:
    shard, expired = known
    fills: dict[str | None, list[FillRow]] = {}
    ends: dict[str, list[TradeEndRow]] = {}
    for row in expired:
        ends.setdefault(row.trade_id, []).append(row)
    for record in reader.read("journal", shard):
        if not record.payload.startswith(_ANSWERS):
            continue
        for answer in apply(decode_journal(record.payload), AsOf(shard, record.position)):
            if isinstance(answer, FillRow):
                fills.setdefault(answer.trade_id, []).append(answer)
            elif isinstance(answer, TradeEndRow):
                ends.setdefault(answer.trade_id, []).append(answer)
    for trade in trades:
        yield TradeStory(
            trade=trade,
            fills=tuple(fills.get(trade.trade_id, ())),
            ends=tuple(ends.get(trade.trade_id, ())),
            disputed=trade.instrument in disputed,
        )

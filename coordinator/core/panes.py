"""Panes: what is counted of portfolios and sources in even stretches of time.

Place in the flow: counted by `evolve`, said by `timers` once a pane is over; readers make windows
of any length of them. A portfolio's panes go by the engine's clock, so nothing comes late to them;
a source's by its signals' own time, and what comes when that pane is over counts in the present
one, as late. No decision reads them: they are no part of a portfolio's state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from coordinator.core.accounts import EXACT, PLACES
from coordinator.core.book import money, value
from coordinator.core.clock import MILLISECOND
from coordinator.core.shards import shard_of
from coordinator.core.state import Portfolio, State
from coordinator.core.tallies import Heard, OpenPane, PortfolioPanes, SourcePanes
from schemas.books import PortfolioViewUpdated
from schemas.decisions import ConflictsDetected, RoundClosed
from schemas.orders import Fill
from schemas.panes import (
    PaneEdge,
    PortfolioCounts,
    PortfolioPaneClosed,
    SignalCounts,
    SourcePaneClosed,
)
from schemas.verdicts import SignalRejected

__all__ = [
    "PORTFOLIO_PANE",
    "SOURCE_PANE",
    "arm_source",
    "await_panes",
    "count_accepted",
    "count_fill",
    "count_rejected",
    "count_round",
    "note_conflicts",
    "note_view",
    "panes_over",
    "portfolio_pane",
    "portfolio_pane_said",
    "source_pane_said",
    "source_panes",
]

PORTFOLIO_PANE, SOURCE_PANE = "window", "window-of"
"""Kinds of timers. They come after all others of a moment: what these say is in the pane."""


def _grid(state: State, at: int) -> tuple[int, int]:
    """Where the pane that holds a time begins and ends."""
    step = state.parameters.pane_ms * MILLISECOND
    begins_at = at - at % step
    return begins_at, begins_at + step


# -- portfolios ------------------------------------------------------------------------------------


def await_panes(state: State, portfolio: Portfolio) -> None:
    """A portfolio was opened: its first pane begins with its money and nothing else."""
    nav = portfolio.cash
    edge = PaneEdge(at=state.clock, nav=nav, gain=Decimal(0), gross=0.0, net=0.0)
    state.portfolio_panes[portfolio.name] = PortfolioPanes(edge)


def _touched(state: State, name: str, at: int) -> PortfolioPanes:
    """The portfolio's open pane, opened now where there is none.

    One that is open stays so until it is said, also where its length was changed meanwhile. A timer
    that was quarantined is armed again: what was counted is not lost.
    """
    panes = state.portfolio_panes[name]
    if not panes.is_open:
        begins_at, ends_at = _grid(state, at)
        panes.open(max(begins_at, panes.edge.at), ends_at)
    timer = f"{PORTFOLIO_PANE}\t{name}"
    if state.timers.deadline(timer) is None:
        state.timers.arm(timer, max(panes.ends_at - 1, state.clock))
    return panes


def note_conflicts(state: State, event: ConflictsDetected) -> None:
    """Which signals each conflict names, for the round that closes with the same timer."""
    panes = _touched(state, event.portfolio, event.decided_at)
    panes.named = tuple(line.signals for line in event.conflicts)


def count_round(state: State, event: RoundClosed) -> None:
    """One more round, and whose signals it used."""
    panes = _touched(state, event.portfolio, event.decided_at)
    panes.rounds += 1
    panes.decisions += event.outcome == "decided"
    panes.signals_used += len(event.signals_used)
    panes.signals_new += event.signals_new
    panes.signals_dropped += len(event.signals_dropped)
    panes.conflicts += event.conflicts
    named, panes.named = panes.named, ()
    _hear(state, panes, event.signals_used, named)


def _hear(
    state: State, panes: PortfolioPanes, used: tuple[str, ...], named: tuple[tuple[str, ...], ...]
) -> None:
    counts = Counter(_sources_of(state, used))
    meant = frozenset(used) if named else frozenset()
    contested = dict.fromkeys(reference for line in named for reference in line)
    apart = Counter(_sources_of(state, [one for one in contested if one in meant]))
    conflicts = Counter(
        source for line in named for source in dict.fromkeys(_sources_of(state, line))
    )
    for source in sorted({**counts, **conflicts}):
        one = panes.heard.setdefault(source, Heard())
        one.used += counts[source]
        one.used_total += counts[source]
        one.contested += apart[source]
        one.contested_total += apart[source]
        one.conflicts += conflicts[source]
        one.conflicts_total += conflicts[source]


def _sources_of(state: State, references: Sequence[str]) -> list[str]:
    """Who issued each "source/signal_id"."""
    return [
        one.partition("/")[0] if one.count("/") == 1 else _source_of(state, one)
        for one in references
    ]


def _source_of(state: State, reference: str) -> str:
    """Who issued a signal, where its id or its source's name holds a slash."""
    parts = reference.split("/")
    likely = ["/".join(parts[:n]) for n in range(1, len(parts))]
    known = [name for name in likely if name in state.sources]
    if len(known) == 1:
        return known[0]
    return next((v.source for v in state.views.values() if v.reference == reference), parts[0])


def note_view(state: State, event: PortfolioViewUpdated) -> None:
    """The portfolio was shown: how exposed it was then, and that the pane is worth saying."""
    _touched(state, event.portfolio, event.decided_at).peak(event.gross, event.net)


def count_fill(state: State, event: Fill) -> None:
    """An execution was booked. It counts now; whether it happened before the pane is told."""
    panes = _touched(state, event.portfolio, state.clock)
    panes.fills_late += event.event_time < panes.begins_at


def portfolio_pane(state: State, portfolio: Portfolio) -> list[PortfolioPaneClosed]:
    """The open pane as an event, valued now; none where nothing happened."""
    panes = state.portfolio_panes[portfolio.name]
    if not panes.is_open:
        return []
    worth = value(portfolio, state.market)
    weights, opening = worth.weights, panes.edge
    closing = PaneEdge(
        at=panes.ends_at,
        nav=money(worth.nav),
        gain=money(worth.nav - float(portfolio.invested)),
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
    )
    totals = _totals(portfolio, panes)
    return [
        PortfolioPaneClosed(
            decided_at=state.clock,
            portfolio=portfolio.name,
            begins_at=panes.begins_at,
            ends_at=panes.ends_at,
            opening=opening,
            closing=closing,
            pnl=EXACT.subtract(closing.gain, opening.gain),
            gross_max=max(panes.gross_max, closing.gross),
            net_min=min(panes.net_min, closing.net),
            net_max=max(panes.net_max, closing.net),
            counts=_less(totals, panes.said),
            totals=totals,
            heard=tuple(panes.heard[name].said(name) for name in sorted(panes.heard)),
            unpriced=len(worth.unpriced),
        )
    ]


def _totals(portfolio: Portfolio, panes: PortfolioPanes) -> PortfolioCounts:
    return PortfolioCounts(
        rounds=panes.rounds,
        decisions=panes.decisions,
        signals_used=panes.signals_used,
        signals_new=panes.signals_new,
        signals_dropped=panes.signals_dropped,
        conflicts=panes.conflicts,
        fills=portfolio.fills,
        fills_late=panes.fills_late,
        traded=portfolio.traded.quantize(PLACES, context=EXACT),
        fees=portfolio.fees.quantize(PLACES, context=EXACT),
    )


def _less(after: PortfolioCounts, before: PortfolioCounts) -> PortfolioCounts:
    found: dict[str, Any] = {}
    for name in PortfolioCounts.model_fields:
        now, then = getattr(after, name), getattr(before, name)
        found[name] = EXACT.subtract(now, then) if isinstance(now, Decimal) else now - then
    return PortfolioCounts(**found)


def portfolio_pane_said(state: State, event: PortfolioPaneClosed) -> None:
    """What is counted from now on is the next pane's."""
    state.portfolio_panes[event.portfolio].close(event.closing, event.totals)


# -- sources ---------------------------------------------------------------------------------------


def count_accepted(state: State, source: str, event_time: int) -> None:
    """A signal of a source counts. Only its home shard counts, as it alone says it."""
    pane = _pane_for(state, source, event_time)
    if pane is not None:
        pane.accepted += 1


def count_rejected(state: State, event: SignalRejected) -> None:
    """A signal, or a withdrawal, of a source does not count; without a time of its own: now."""
    at = event.decided_at if event.event_time is None else event.event_time
    pane = _pane_for(state, event.source, at)
    if pane is not None:
        reason = event.reason.value
        pane.rejected[reason] = pane.rejected.get(reason, 0) + 1


def _pane_for(state: State, source: str, event_time: int) -> OpenPane | None:
    """The pane in which a signal counts: that of its own time, or the present one if that is over.

    A time ahead of the engine's clock is taken for now, so that nobody opens panes of the future.
    """
    if shard_of(source, state.shards) != state.shard:
        return None
    panes = state.source_panes.setdefault(source, SourcePanes())
    time = min(event_time, state.clock)
    pane = panes.at(time)
    if pane is None:
        late = time < panes.said_to or _due(state, _grid(state, time)[1]) < state.clock
        pane = _opened(state, panes, max(state.clock, panes.said_to) if late else time)
        pane.late += late
        arm_source(state, source)
    return pane


def _opened(state: State, panes: SourcePanes, time: int) -> OpenPane:
    """The open pane that holds the time, opened now where there is none. Panes never overlap."""
    pane = panes.at(time)
    if pane is None:
        begins_at, ends_at = _grid(state, time)
        begins = list(panes.opened)
        place = bisect_right(begins, time)
        before = panes.opened[begins[place - 1]].ends_at if place else 0
        begins_at = max(begins_at, panes.said_to, before)
        pane = OpenPane(min([ends_at, *begins[place : place + 1]]))
        panes.opened[begins_at] = pane
        if place < len(begins):  # a dict has no middle to put it in
            panes.opened = dict(sorted(panes.opened.items()))
    return pane


def arm_source(state: State, source: str) -> None:
    """The timer of the source's first open pane; none where nothing is open."""
    panes, timer = state.source_panes[source], f"{SOURCE_PANE}\t{source}"
    if panes.opened:
        first = next(iter(panes.opened.values()))
        state.timers.arm(timer, max(_due(state, first.ends_at), state.clock))


def _due(state: State, ends_at: int) -> int:
    """The last moment at which a pane waits."""
    return ends_at + state.parameters.pane_grace_ms * MILLISECOND - 1


def source_panes(state: State, source: str) -> Iterator[SourcePaneClosed]:
    """The panes that are over, in the order of their time."""
    panes = state.source_panes[source]
    totals = panes.said
    for begins_at, pane in panes.opened.items():
        if _due(state, pane.ends_at) > state.clock:
            return
        counts = pane.said()
        totals = _sum(totals, counts)
        yield SourcePaneClosed(
            decided_at=state.clock,
            source=source,
            begins_at=begins_at,
            ends_at=pane.ends_at,
            counts=counts,
            totals=totals,
        )


def panes_over(state: State) -> int:
    """When the last of the panes that are open now will have been said, ns; 0: none is open."""
    kinds = (f"{PORTFOLIO_PANE}\t", f"{SOURCE_PANE}\t")
    own = (at for name, at in state.timers.items() if name.startswith(kinds))
    waiting = (
        _due(state, pane.ends_at)
        for panes in state.source_panes.values()
        for pane in panes.opened.values()
    )
    return max((*own, *waiting), default=0)


def _sum(one: SignalCounts, more: SignalCounts) -> SignalCounts:
    rejected = Counter(dict(one.rejected))
    rejected.update(dict(more.rejected))
    return SignalCounts(
        accepted=one.accepted + more.accepted,
        rejected=tuple(sorted(rejected.items())),
        late=one.late + more.late,
    )


def source_pane_said(state: State, event: SourcePaneClosed) -> None:
    """It is over: what comes for its time from now on is late."""
    panes = state.source_panes[event.source]
    del panes.opened[event.begins_at]
    panes.said, panes.said_to = event.totals, event.ends_at

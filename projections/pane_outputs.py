"""Rows of the panes that the engine said.

Place in the flow: part of `outputs`. Pure; must never look anything up. Totals are left out: a sum
over rows is the same.
"""

from __future__ import annotations

from projections.as_of import AsOf
from projections.pane_rows import HeardPaneRow, PortfolioPaneRow, SourcePaneRow
from schemas.base import parse_time
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed
from schemas.verdicts import SignalRejection

__all__ = ["rows_of_portfolio_pane", "rows_of_source_pane"]


def rows_of_portfolio_pane(
    event: PortfolioPaneClosed, as_of: AsOf
) -> list[PortfolioPaneRow | HeardPaneRow]:
    """The pane, and a row of each source that its rounds heard something new of."""
    counts, closing, begins_at = event.counts, event.closing, parse_time(event.begins_at)
    pane = PortfolioPaneRow(
        as_of=as_of,
        portfolio=event.portfolio,
        begins_at=begins_at,
        ends_at=parse_time(event.ends_at),
        nav_before=event.opening.nav,
        nav=closing.nav,
        pnl=event.pnl,
        gain=closing.gain,
        gross=closing.gross,
        gross_max=event.gross_max,
        net=closing.net,
        net_min=event.net_min,
        net_max=event.net_max,
        rounds=counts.rounds,
        decisions=counts.decisions,
        signals_used=counts.signals_used,
        signals_new=counts.signals_new,
        signals_dropped=counts.signals_dropped,
        conflicts=counts.conflicts,
        fills=counts.fills,
        fills_late=counts.fills_late,
        traded=counts.traded,
        fees=counts.fees,
        unpriced=event.unpriced,
    )
    heard = [
        HeardPaneRow(
            as_of=as_of,
            portfolio=event.portfolio,
            source=line.source,
            begins_at=begins_at,
            used=line.used,
            contested=line.contested,
            conflicts=line.conflicts,
        )
        for line in event.heard
        if line.used or line.conflicts
    ]
    return [pane, *heard]


def rows_of_source_pane(event: SourcePaneClosed, as_of: AsOf) -> list[SourcePaneRow]:
    """The pane; a withdrawal that was refused is no signal."""
    counts = dict(event.counts.rejected)
    withdrawals = counts.pop(SignalRejection.UNKNOWN_SIGNAL.value, 0)
    return [
        SourcePaneRow(
            as_of=as_of,
            source=event.source,
            begins_at=parse_time(event.begins_at),
            ends_at=parse_time(event.ends_at),
            accepted=event.counts.accepted,
            rejected=sum(counts.values()),
            withdrawals_refused=withdrawals,
            late=event.counts.late,
        )
    ]

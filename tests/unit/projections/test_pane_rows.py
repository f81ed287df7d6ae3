"""Rows of panes: their sums are what the panes' own totals say."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from projections.pane_rows import HeardPaneRow, PortfolioPaneRow, SourcePaneRow
from schemas.decisions import RoundClosed
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed
from tests.journals import events_of, run
from tests.recorded import PORTFOLIOS, end_of, recorded
from tests.support.projected import batches, everything

INPUTS = recorded(1)
LOG = run(INPUTS, end=end_of(INPUTS))
ROWS = everything(batches(LOG))[0]


def test_sums_over_a_portfolios_rows_are_its_totals() -> None:
    rows = [row for row in ROWS if isinstance(row, PortfolioPaneRow)]
    last = {one.portfolio: one for one in events_of(LOG, PortfolioPaneClosed)}
    assert set(last) == set(PORTFOLIOS)
    for name, pane in last.items():
        own = [row for row in rows if row.portfolio == name]
        assert sum(row.rounds for row in own) == pane.totals.rounds
        assert sum((row.traded for row in own), start=Decimal(0)) == pane.totals.traded
        assert sum((row.pnl for row in own), start=Decimal(0)) == pane.closing.gain
        assert (own[-1].nav, own[-1].nav_before) == (pane.closing.nav, pane.opening.nav)
    closed = Counter(one.portfolio for one in events_of(LOG, RoundClosed))
    assert sum(closed.values()) >= sum(row.rounds for row in rows) > 20


def test_sums_over_a_sources_rows_are_its_totals_and_withdrawals_stand_apart() -> None:
    rows = [row for row in ROWS if isinstance(row, SourcePaneRow)]
    last = {one.source: one.totals for one in events_of(LOG, SourcePaneClosed)}
    refused = 0
    for name, totals in last.items():
        own = [row for row in rows if row.source == name]
        rejected = dict(totals.rejected)
        withdrawals = rejected.pop("unknown_signal", 0)
        assert sum(row.accepted for row in own) == totals.accepted
        assert sum(row.rejected for row in own) == sum(rejected.values())
        assert sum(row.withdrawals_refused for row in own) == withdrawals
        refused += withdrawals
    assert refused > 0


def test_a_source_has_a_row_only_where_rounds_heard_it() -> None:
    rows = [row for row in ROWS if isinstance(row, HeardPaneRow)]
    assert all(row.used or row.conflicts for row in rows)
    told: Counter[tuple[str, str]] = Counter()
    for pane in events_of(LOG, PortfolioPaneClosed):
        told.update({(pane.portfolio, line.source): line.used for line in pane.heard})
    summed: Counter[tuple[str, str]] = Counter()
    for row in rows:
        summed[row.portfolio, row.source] += row.used
    assert +summed == +told

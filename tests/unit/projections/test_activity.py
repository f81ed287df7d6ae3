"""Activity of a log: the reader's rule, also where its beginning was archived."""

from __future__ import annotations

from random import Random

import pytest

from coordinator.core.chain import ChainBroken
from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from projections.activity import Shape, panes_of, portfolio_windows, source_windows
from schemas.entries import encode_output
from schemas.panes import PortfolioPaneClosed, SourcePaneClosed
from tests.journals import events_of, run
from tests.recorded import PORTFOLIOS, SOURCES, end_of, recorded
from tests.support.projected import Cut
from tests.unit.projections.test_panes import source_panes

INPUTS = recorded(1)
LOG = run(INPUTS, shards=2, end=end_of(INPUTS))
HOURS = Shape(3600, 3600, 1000)


def test_one_window_of_everything_is_what_the_last_panes_total() -> None:
    tables, ever = panes_of(LOG, (86_400,)), Shape(864_000, 86_400, 1)
    last = {one.portfolio: one for one in events_of(LOG, PortfolioPaneClosed, shards=2)}
    assert set(last) == set(PORTFOLIOS)
    for name, pane in last.items():
        (window,) = portfolio_windows(tables, name, ever)
        assert window["rounds"] == pane.totals.rounds
        assert window["pnl"] == f"{pane.closing.gain:f}"
    for one in events_of(LOG, SourcePaneClosed, shards=2):
        (window,) = source_windows(tables, one.source, ever)
        assert window["signals"]["accepted"] >= one.totals.accepted
    assert {name for name, _ in tables.newest("source")} == set(SOURCES)


def test_what_lies_behind_the_archived_part_is_told_as_by_the_whole_log() -> None:
    whole, cut = panes_of(LOG, (3600,)), panes_of(Cut(LOG, 60), (3600,))
    compared = 0
    for name in PORTFOLIOS:
        after = portfolio_windows(cut, name, HOURS)[1:]  # of the first one a part may be gone
        before = {one["begins_at"]: one for one in portfolio_windows(whole, name, HOURS)}
        assert len(after) < len(before)
        assert after == [before[one["begins_at"]] for one in after]
        compared += len(after)
    assert compared > 10


def test_decisions_that_are_no_chain_are_not_summed() -> None:
    log = MemoryLog()
    (pane,) = source_panes("s", [0], Random(1))
    log.append([Append("decisions", 0, encode_output(0, 0, 5, "0" * 64, pane), 0)])
    with pytest.raises(ChainBroken):
        panes_of(log, (60,))

"""Files of a user's own, imported and played: what is decided on daily bars is also filled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from coordinator.bootstrap import engine_started
from coordinator.importers.importing import ImportFiles, ImportSettings, import_files
from coordinator.log.memory import MemoryLog
from replay.backtest import run_backtest
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.entries import decode_output
from schemas.market import PricesObserved
from schemas.orders import OrderFilled
from tests.unit.replay.worlds import journal

OWN_DATA = Path(__file__).parents[3] / "ops" / "examples" / "own-data"
DAYS = ("2025-03-10", "2025-03-11", "2025-03-12", "2025-03-13")
CLOSES = (10.0, 10.1, 10.2, 10.1)


def played(files: ImportFiles) -> MemoryLog:
    imported, run = MemoryLog(clock=lambda: 0), MemoryLog(clock=lambda: 0)
    import_files(files, ImportSettings.default(), log=imported, started=engine_started)
    run_backtest(imported, run)
    return run


@pytest.fixture
def intraday(tmp_path: Path) -> MemoryLog:
    """Bars that know a close only, an opinion in the middle of each day, a prompt portfolio."""
    bars = [f"{day},ABC,{close}" for day, close in zip(DAYS, CLOSES, strict=True)]
    said = [
        f"{day}T12:00:00-04:00,desk,ABC,{side},0.9"
        for day, side in zip(DAYS[1:], ("buy", "sell", "buy"), strict=True)
    ]
    files = {
        "prices.csv": ["time,instrument,close", *bars],
        "signals.csv": ["event_time,source,instrument,direction,strength", *said],
        "portfolios.toml": [
            "[[portfolio]]", 'id = "prompt"', 'cash = "100000"', 'currency = "USD"',
            "[portfolio.schedule]", 'kind = "signals"',
            "[portfolio.mandate]", "position_max = 1.0",  # which no close finds broken
        ],
    }  # fmt: skip
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join([*lines, ""]))
    names = ("signals.csv", "prices.csv", "portfolios.toml")
    return played(ImportFiles(*(tmp_path / name for name in names)))


def test_what_is_decided_during_a_day_of_daily_bars_is_filled_at_its_close(
    intraday: MemoryLog,
) -> None:
    close, filled = -1, []
    for record, entry in journal(intraday, 0):
        if isinstance(entry.event, PricesObserved) and entry.event.session_close:
            close = record.journal_time
        elif isinstance(entry.event, OrderFilled):
            assert record.journal_time == close
            filled.append((entry.event.trade_id, close))
    said = [decode_output(record.payload).event for record in intraday.read("decisions", 0)]
    decided = {
        trade.trade_id: event.decided_at
        for event in said
        if isinstance(event, AllocationDecided)
        for trade in event.trades
    }
    assert len(filled) == len(DAYS) - 1
    assert [trade_id for trade_id, _ in filled] == list(decided)
    # Signals at noon, closes at four.
    assert all(0 < at - decided[trade_id or ""] <= 4 * 3_600 * 10**9 for trade_id, at in filled)
    assert not any(isinstance(event, TradesExpired) for event in said)


def test_every_portfolio_of_the_shipped_example_gets_fills() -> None:
    names = ("signals.csv", "prices.csv", "portfolios.toml", "instruments.csv")
    run = played(ImportFiles(*(OWN_DATA / name for name in names)))
    fills: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    last: dict[str, int] = {}
    for shard in {shard for _, shard in run.partitions()}:
        for _, entry in journal(run, shard):
            if isinstance(entry.event, OrderFilled):
                fills[entry.event.portfolio] += 1
        for record in run.read("decisions", shard):
            event = decode_output(record.payload).event
            if isinstance(event, AllocationDecided):
                decided[event.portfolio] += len(event.trades)
                last[event.portfolio] = len(event.trades)
    assert set(fills) == {"bold", "steady"}
    for name, count in fills.items():
        # At the end one decision's trades may still wait for their price.
        assert count >= decided[name] - last[name], (name, fills, decided)

"""A real record of fills, imported, reconciles to the cent: cash and positions after every trade.

The seven agents' 918 trades that ship with the demo state the cash after each; a second file states
what each held then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from coordinator.bootstrap import engine_started
from coordinator.core.state import State
from coordinator.importers.importing import ImportFrames, ImportSettings, import_frames
from coordinator.log.memory import MemoryLog
from replay.standing import Moment, standing
from schemas.books import PortfolioReconciled, ReconciliationDiffered
from schemas.entries import decode_journal
from schemas.orders import OrderFilled
from tests.journals import engine, events_of, owners

FOLDER = Path(str(files("replay.demo"))) / "data"
OPENS = time(1, 30, tzinfo=UTC)  # 09:30 in Shanghai
TRADES = 918


@dataclass(frozen=True)
class Trade:
    """One recorded trade. cash: the agent's after it."""

    agent: str
    seq: int
    at: datetime
    symbol: str
    quantity: Decimal
    price: Decimal
    cash: Decimal


def exact(number: float) -> Decimal:
    return Decimal(repr(number))


def cents(number: float) -> Decimal:
    """The record's money is in floats, whose last digits are noise of its own."""
    return exact(number).quantize(Decimal("0.01"))


def recorded() -> tuple[list[Trade], dict[str, Decimal]]:
    """Trades in their order, a second apart, and what each agent began with."""
    prices = pl.read_parquet(FOLDER / "sse50_daily_prices.parquet")
    opens = {(day, symbol): price for day, symbol, price in
             prices.select("ts", "symbol", "open").iter_rows()}  # fmt: skip
    trades, began = [], {}
    actions = pl.read_parquet(FOLDER / "agent_actions.parquet").sort("agent", "seq")
    for row in actions.iter_rows(named=True):
        if row["seq"] == 0:
            began[row["agent"]] = cents(row["cash"])
        if row["action"] not in ("buy", "sell"):
            continue
        side = 1 if row["action"] == "buy" else -1
        at = datetime.combine(row["ts"].date(), OPENS) + timedelta(seconds=row["seq"])
        price = exact(opens[row["ts"], row["symbol"]])
        trades.append(
            Trade(row["agent"], row["seq"], at, row["symbol"], side * exact(row["amount"]), price,
                  cents(row["cash"]))
        )  # fmt: skip
    return trades, began


TAKEN, BEGAN = recorded()


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    """The record in the import's own format."""
    fills = pl.DataFrame({
        "time": [one.at for one in TAKEN],
        "portfolio": [one.agent for one in TAKEN],
        "instrument": [one.symbol for one in TAKEN],
        "quantity": [str(one.quantity) for one in TAKEN],
        "price": [str(one.price) for one in TAKEN],
        "fill_id": [f"{one.agent}-{one.seq}" for one in TAKEN],
    })  # fmt: skip
    first = min(one.at for one in TAKEN) - timedelta(hours=1)
    cash = pl.DataFrame({
        "time": [first] * len(BEGAN), "portfolio": list(BEGAN), "kind": ["deposit"] * len(BEGAN),
        "amount": [str(amount) for amount in BEGAN.values()],
    })  # fmt: skip
    made = MemoryLog()
    frames = ImportFrames(fills=fills, cash=cash)
    settings = ImportSettings(ImportSettings.default().session, currency="CNY", shards=2)
    import_frames(frames, settings, log=made, started=engine_started)
    return made


def after_each(log: MemoryLog) -> Iterator[tuple[str, State]]:
    """The fill's id, and its shard's state right after it."""
    for shard in range(2):
        made = engine(shard, 2)
        made.state.follows = True
        for record in log.read("journal", shard):
            made.step(record)
            event = decode_journal(record.payload).event
            if isinstance(event, OrderFilled):
                yield event.event_id, made.state


def test_cash_and_positions_add_up_to_the_recorded_trades_after_every_trade(log: MemoryLog) -> None:
    trades = {f"{one.agent}-{one.seq}": one for one in TAKEN}
    assert len(trades) == TRADES
    held: dict[str, Counter[str]] = {agent: Counter() for agent in BEGAN}
    seen = 0
    for fill_id, state in after_each(log):
        trade = trades[fill_id]
        held[trade.agent][trade.symbol] += int(trade.quantity)
        portfolio = state.portfolios[trade.agent]
        assert portfolio.cash == trade.cash, fill_id
        units = {name: count for name, count in held[trade.agent].items() if count}
        assert portfolio.positions == units, fill_id
        seen += 1
    assert seen == TRADES


def test_what_the_second_file_says_of_holdings_is_what_is_held(log: MemoryLog) -> None:
    said: dict[str, dict[str, Decimal]] = {}
    held = pl.read_parquet(FOLDER / "agent_positions.parquet")
    rows = held.select("agent", "seq", "symbol", "qty")
    for agent, seq, symbol, units in rows.iter_rows():
        if units:
            said.setdefault(f"{agent}-{seq}", {})[symbol] = exact(units)
    seen = 0
    for fill_id, state in after_each(log):
        book = dict(said[fill_id])
        cash = cents(float(book.pop("CASH", Decimal(0))))
        portfolio = state.portfolios[fill_id.rpartition("-")[0]]
        assert (portfolio.positions, portfolio.cash) == (book, cash), fill_id
        seen += 1
    assert seen == TRADES


def test_all_that_was_gained_has_a_name(log: MemoryLog) -> None:
    for shard in range(2):
        state = standing(log, shard, Moment()).state
        for portfolio in state.portfolios.values():
            (account,) = portfolio.accounts.values()
            cost = sum(portfolio.cost.values(), Decimal(0))
            assert account.cash + cost == account.paid_in + account.realised


def test_a_report_of_the_recorded_holdings_agrees() -> None:
    fills = pl.DataFrame({
        "time": [one.at for one in TAKEN], "portfolio": [one.agent for one in TAKEN],
        "instrument": [one.symbol for one in TAKEN], "price": [str(one.price) for one in TAKEN],
        "quantity": [str(one.quantity) for one in TAKEN],
    })  # fmt: skip
    held: dict[str, Counter[str]] = {agent: Counter() for agent in BEGAN}
    for one in TAKEN:
        held[one.agent][one.symbol] += int(one.quantity)
    end = max(one.at for one in TAKEN) + timedelta(hours=1)
    lines = [(end, agent, name, count) for agent, book in held.items()
             for name, count in book.items() if count]  # fmt: skip
    positions = pl.DataFrame(lines, schema=["time", "portfolio", "instrument", "quantity"],
                             orient="row")  # fmt: skip
    made = MemoryLog()
    settings = ImportSettings(ImportSettings.default().session, currency="CNY", shards=1)
    import_frames(
        ImportFrames(fills=fills, positions=positions), settings, log=made, started=engine_started
    )
    (owner,) = owners(made, shards=1)
    owner.recover()
    assert events_of(made, ReconciliationDiffered) == []
    assert sum(one.agreed for one in events_of(made, PortfolioReconciled)) == len(lines)

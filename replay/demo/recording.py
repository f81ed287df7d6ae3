"""The recording that ships with the project: seven agents trading the SSE-50 names in autumn 2025.

Place in the flow: files in, plain values out; `messages` turns them into input events and `play`
into baselines. It knows no event and must never correct the data: its one quirk, a last session
that has opened and not closed, is kept as it is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import polars as pl

from replay.baselines import Execution, Session

__all__ = ["Agent", "Change", "Recording", "load"]

# Shanghai keeps UTC+8 all year, so no time zone database is needed; sessions: 09:30 to 15:00.
_OFFSET = timedelta(hours=8)
_OPENS, _CLOSES = time(9, 30), time(15, 0)
_FOLDER = "data"


@dataclass(frozen=True, slots=True)
class Change:
    """What an agent did to one holding in one session, its several trades of the name netted.

    session: index. quantity: net units, bought positive. held: units before. price: the open it
    traded at. nav: the agent's whole worth at that open, before its first trade of the session,
    money.
    """

    agent: str
    session: int
    instrument: str
    quantity: float
    held: float
    price: float
    nav: float


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: the cash it began with, its trades as recorded, and its net changes by session."""

    name: str
    cash: float
    trades: tuple[Execution, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything in the files. weights: the index's at the last date before the first session."""

    sessions: tuple[Session, ...]
    volumes: tuple[dict[str, float], ...]
    highs: tuple[dict[str, float], ...]
    lows: tuple[dict[str, float], ...]
    instruments: tuple[str, ...]
    agents: tuple[Agent, ...]
    weights: dict[str, float]


def load() -> Recording:
    """The shipped recording. Raises FileNotFoundError when the package was installed without it."""
    folder = Path(str(files(__package__))) / _FOLDER
    prices = pl.read_parquet(folder / "sse50_daily_prices.parquet").sort("ts", "symbol")
    days = prices["ts"].unique().sort().to_list()
    by_day = prices.partition_by("ts", maintain_order=True)
    sessions = tuple(_session(day.date(), frame) for day, frame in zip(days, by_day, strict=True))
    index = {day: position for position, day in enumerate(days)}
    actions = pl.read_parquet(folder / "agent_actions.parquet").sort("agent", "seq")
    return Recording(
        sessions=sessions,
        volumes=tuple(_column(frame, "volume") for frame in by_day),
        highs=tuple(_column(frame, "high") for frame in by_day),
        lows=tuple(_column(frame, "low") for frame in by_day),
        instruments=tuple(sorted(prices["symbol"].unique().to_list())),
        agents=tuple(_agents(actions, index, sessions)),
        weights=_weights(folder / "sse50_weight.csv", days[0].date()),
    )


def _instant(day: date, clock: time) -> int:
    moment = datetime.combine(day, clock, tzinfo=UTC) - _OFFSET
    return int(moment.timestamp()) * 1_000_000_000


def _session(day: date, frame: pl.DataFrame) -> Session:
    return Session(
        opened_at=_instant(day, _OPENS),
        closed_at=_instant(day, _CLOSES),
        opens=_column(frame, "open"),
        closes=_column(frame, "close"),
    )


def _column(frame: pl.DataFrame, name: str) -> dict[str, float]:
    """One column by instrument, without the instruments that have no value."""
    known = frame.filter(pl.col(name).is_not_null())
    return dict(zip(known["symbol"].to_list(), known[name].to_list(), strict=True))


def _agents(
    actions: pl.DataFrame, index: dict[datetime, int], sessions: tuple[Session, ...]
) -> Iterator[Agent]:
    for frame in actions.partition_by("agent", maintain_order=True):
        trades = tuple(
            Execution(
                session=index[row["ts"]],
                instrument=row["symbol"],
                quantity=row["amount"] if row["action"] == "buy" else -row["amount"],
            )
            for row in frame.iter_rows(named=True)
            if row["action"] in {"buy", "sell"}
        )
        name, cash = frame["agent"][0], frame["cash"][0]
        changes = tuple(_changes(name, cash, trades, sessions))
        yield Agent(name=name, cash=cash, trades=trades, changes=changes)


def _changes(
    agent: str, cash: float, trades: tuple[Execution, ...], sessions: tuple[Session, ...]
) -> Iterator[Change]:
    """Net changes by session, sorted by instrument; a name bought and sold alike is none."""
    holdings: dict[str, float] = {}
    for position, batch in groupby(trades, key=lambda trade: trade.session):
        opens = sessions[position].opens
        nav = cash + sum(quantity * opens[name] for name, quantity in holdings.items())
        net: dict[str, float] = {}
        for trade in batch:
            net[trade.instrument] = net.get(trade.instrument, 0.0) + trade.quantity
        for name, quantity in sorted(net.items()):
            held = holdings.get(name, 0.0)
            if quantity:
                yield Change(agent, position, name, quantity, held, opens[name], nav)
            holdings[name] = held + quantity
            cash -= quantity * opens[name]


def _weights(path: Path, before: date) -> dict[str, float]:
    """Index weights, fractions, of the last date before the first session."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [
            row for row in csv.DictReader(lines) if row["trade_date"] < before.strftime("%Y%m%d")
        ]
    last = max(row["trade_date"] for row in rows)
    found = {row["con_code"]: float(row["weight"]) for row in rows if row["trade_date"] == last}
    total = sum(found.values())
    return {name: weight / total for name, weight in sorted(found.items())}

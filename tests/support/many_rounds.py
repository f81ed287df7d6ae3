"""A firm of many portfolios that decide at every session's close: a journal with their fills.

Everything that a round can bring is in it: views that contradict each other, modes and mandates of
all kinds, the firm's share of volumes, sleeves, scores, fills in parts, and portfolios that decide
on signals or every so many seconds between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.core.route import Router
from coordinator.core.together import Hands, Shared, Told, Work
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, Trade
from schemas.entries import decode_output
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, engine, started, zero_clock

__all__ = ["PORTFOLIOS", "SESSIONS", "Eager", "Firm", "engine_with", "events_in", "firm"]

NAMES = tuple("ABCDEF")
SOURCES = ("s", "u", "w")
PORTFOLIOS, SESSIONS = 44, 3
MODES = ("conservative", "balanced", "aggressive")
MANDATES: tuple[dict[str, Any], ...] = (
    {},
    {"position_min": -0.3, "position_max": 0.4, "gross_max": 1.6, "cash_floor": -1.0},
    {"turnover_max": 0.2, "position_max": 0.3},
    {"sources": ["s", "u"], "trade_min": 0.01},
)
SCHEDULES: tuple[dict[str, Any], ...] = (
    *[{"kind": "session_close"}] * 9, {"kind": "signals"}, {"kind": "interval", "every": 86_400},
)  # fmt: skip


@dataclass(slots=True)
class Firm:
    """Its journal, what an engine says to each record alone, and states on the way.

    before: of each session, how many records come before its rounds, and the state then.
    """

    log: MemoryLog = field(default_factory=lambda: MemoryLog(clock=zero_clock))
    said: list[list[bytes]] = field(default_factory=list)
    before: list[tuple[int, bytes]] = field(default_factory=list)
    checkpoint: bytes = b""

    @property
    def records(self) -> list[Record]:
        return list(self.log.read("journal", 0))

    def again(self, made: Engine, *, session: int | None = None) -> list[list[bytes]]:
        """What another engine says, from the beginning or from a session's rounds on."""
        first = 0
        if session is not None:
            first, state = self.before[session]
            made.restore(state)
        return [made.step(record) for record in self.records[first:]]


@dataclass(slots=True)
class Eager:
    """Hands that work out all rounds of a moment before the first is applied, the last one first.

    most: rounds of one moment so far.
    """

    most: int = 0

    def share(self, names: Sequence[str], work: Work) -> Shared | None:
        self.most = max(self.most, len(names))
        return _Answers({name: work(name) for name in reversed(names)})


@dataclass(slots=True)
class _Answers:
    answers: dict[str, Sequence[Told]]

    def take(self, name: str) -> Sequence[Told] | None:
        return self.answers.pop(name)

    def close(self) -> None:
        self.answers.clear()


def engine_with(hands: Hands | None) -> Engine:
    """As `tests.journals.engine`, with hands."""
    alone = engine(0, 1)
    return Engine(
        shard=0, shards=1, allocator=alone._allocator, risk_model=alone._risk_model, hands=hands
    )


@cache
def firm(portfolios: int = PORTFOLIOS) -> Firm:
    """The journal, with every trade filled, in parts or not, and what was said to it."""
    made, rng, found = engine(0, 1), Random(7), Firm()
    inputs, router = Inputs(), Router(found.log, shards=1)
    open_trades: list[tuple[str, Trade]] = []
    router.write(started(), shards=[0], journal_time=T0)

    def give(*given: Input) -> None:
        for one in given:
            router.accept([one.raw], journal_times=[one.at])
        for record in found.records[len(found.said) :]:
            found.said.append(made.step(record))
            for entry in found.said[-1]:
                event = decode_output(entry).event
                if isinstance(event, AllocationDecided):
                    open_trades.extend((event.portfolio, trade) for trade in event.trades)

    give(*_opening(inputs, portfolios))
    for session in range(SESSIONS):
        at = T0 + session * DAY + HOUR
        give(*_views(inputs, rng, at))
        give(inputs.close(_prices(rng), at + 6 * HOUR))
        found.before.append((len(found.said), made.checkpoint()))
        give(inputs.moved("p000", "10", at + 6 * HOUR + SECOND))
        filled, open_trades[:] = list(open_trades), []
        for portfolio, trade in filled:
            part = rng.random() < 0.3 and trade.quantity % 2 == 0
            quantity = trade.quantity / 2 if part else trade.quantity
            give(
                inputs.fill(
                    portfolio, trade.instrument, str(quantity), str(round(trade.price, 2)),
                    at + 8 * HOUR, partly=part, trade_id=trade.trade_id, fee="0.25",
                )
            )  # fmt: skip
    found.checkpoint = made.checkpoint()
    return found


def names_of(portfolios: int) -> list[str]:
    return [f"p{number:03d}" for number in range(portfolios)]


def _opening(inputs: Inputs, portfolios: int) -> list[Input]:
    shares = [{"portfolio": name, "share": 0.1 / portfolios} for name in names_of(portfolios)[1:]]
    parameters = {
        "firm_volume_share": 0.2, "volume_shares": shares, "sleeves": "budgets", "quality": True,
        "score_max": 10.0,
    }  # fmt: skip
    found = [inputs.listed(name, lot="0" if name == "F" else "1") for name in NAMES]
    found += [inputs.registered(name, priority=1.0 - 0.3 * n) for n, name in enumerate(SOURCES)]
    found.append(inputs.make("control", "ParametersChanged", T0, parameters=parameters))
    for number, name in enumerate(names_of(portfolios)):
        found.append(
            inputs.opened(
                name, cash=str(100_000 * (1 + number)), mode=MODES[number % len(MODES)],
                mandate=MANDATES[number % len(MANDATES)],
                schedule=SCHEDULES[number % len(SCHEDULES)],
            )
        )  # fmt: skip
    return found


def _views(inputs: Inputs, rng: Random, at: int) -> list[Input]:
    return [
        inputs.signal(
            source, name, at, direction=rng.choice((-1, 1)), strength=round(rng.random(), 2),
            confidence=0.6, horizon_sessions=5.0,
        )
        for name in NAMES
        for source in SOURCES
    ]  # fmt: skip


def _prices(rng: Random) -> dict[str, float | None]:
    return {name: round(20.0 * rng.uniform(0.9, 1.1), 2) for name in NAMES}


def events_in(said: Sequence[Sequence[bytes]]) -> list[Any]:
    """The events of many answers."""
    return [decode_output(entry).event for entries in said for entry in entries]

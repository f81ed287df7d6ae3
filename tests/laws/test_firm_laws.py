"""The law of the firm's share: over any rounds, shards and fills it holds in every session."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

import pytest

from coordinator.core.engine import Engine
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, Trade
from schemas.entries import decode_output
from tests.journals import DAY, HOUR, MS, T0, Input, Inputs, engine, started, zero_clock

NAMES = ("A", "B", "C")
LOTS = {"A": "1", "B": "10", "C": "0"}
VOLUMES = {"A": 20_000.0, "B": 7_003.0, "C": 911.5}
"""Units traded in every session: known before it begins, so that each bound is a number."""
FIRM = 0.1
PARTS = {"p0": 0.05, "p1": 0.03, "p2": 0.02}
UNLISTED = "p3"
LOT_PART = 1e-6
"""A trade may exceed its bound by so much of a lot: the solver's rounding takes that for whole."""


@dataclass(slots=True)
class Play:
    """A firm of four portfolios whose orders fill, in parts or not, or are cancelled, or wait."""

    rng: Random
    shards: int
    inputs: Inputs = field(default_factory=Inputs)
    log: MemoryLog = field(default_factory=lambda: MemoryLog(clock=zero_clock))
    engines: list[Engine] = field(default_factory=list)
    owners: list[Shard] = field(default_factory=list)
    read: dict[int, int] = field(default_factory=dict)
    due: list[tuple[int, str, Trade, str]] = field(default_factory=list)
    open: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    dealt: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    rounds: int = 0
    most: float = 0.0

    def start(self) -> None:
        router = Router(self.log, shards=self.shards)
        opening = started(shards=self.shards)
        router.write(opening, shards=range(self.shards), journal_time=T0)
        self.engines = [engine(n, self.shards) for n in range(self.shards)]
        self.owners = [Shard(self.log, one) for one in self.engines]
        for owner in self.owners:
            owner.recover()
        shares = [{"portfolio": name, "share": share} for name, share in PARTS.items()]
        parameters = {"firm_volume_share": FIRM, "volume_shares": shares, "score_max": 10.0}
        for name in NAMES:
            self.give(self.inputs.listed(name, lot=LOTS[name]))
        self.give(self.inputs.registered("s"))
        self.give(self.inputs.make("control", "ParametersChanged", T0, parameters=parameters))
        for name in (*PARTS, UNLISTED):
            mandate = {"position_min": -1.0, "position_max": 1.0, "gross_max": 2.0,
                       "turnover_max": 2.0, "valid_sessions": 2}  # fmt: skip
            self.give(self.inputs.opened(name, mandate=mandate, mode="aggressive"))
        self.close(T0)

    def close(self, at: int) -> None:
        prices = {name: round(20.0 * self.rng.uniform(0.8, 1.2), 2) for name in NAMES}
        fields = {"kind": "bar", "volume": [VOLUMES[name] for name in NAMES], "session_close": True}
        self.give(self.inputs.prices(prices, at, **fields))
        self.dealt.clear()

    def give(self, one: Input) -> None:
        Router(self.log, shards=self.shards).accept([one.raw], journal_times=[one.at])
        for owner in self.owners:
            owner.pump()
        self._answer(one.at)

    def _answer(self, now: int) -> None:
        for shard in range(self.shards):
            for record in self.log.read("decisions", shard, self.read.get(shard, 0)):
                self.read[shard] = record.position + 1
                event = decode_output(record.payload).event
                if isinstance(event, AllocationDecided):
                    self.rounds += 1
                    for trade in event.trades:
                        self._order(event.portfolio, trade, now)
        self.check()

    def _order(self, portfolio: str, trade: Trade, now: int) -> None:
        self.open[trade.trade_id] = (portfolio, trade.instrument, abs(float(trade.quantity)))
        fate = self.rng.choice(["fill", "parts", "cancel", "wait"])
        if fate != "wait":
            self.due.append((now + self.rng.randrange(MS, 3 * HOUR), portfolio, trade, fate))

    def until(self, at: int) -> None:
        """What becomes of orders up to a time."""
        for when, portfolio, trade, fate in sorted(self.due, key=lambda one: one[0]):
            if when > at:
                continue
            self.due.remove((when, portfolio, trade, fate))
            self._end(when, portfolio, trade, fate)

    def _end(self, when: int, portfolio: str, trade: Trade, fate: str) -> None:
        about = {"portfolio": portfolio, "instrument": trade.instrument}
        _, _, left = self.open.pop(trade.trade_id)
        if fate == "cancel":
            one = self.inputs.make("orders", "OrderCancelled", when, **about,
                                   trade_id=trade.trade_id)  # fmt: skip
        else:
            size = trade.quantity if fate == "fill" else trade.quantity / 2
            size = round(size, 8)
            self.dealt[portfolio, trade.instrument] += abs(float(size))
            if fate == "parts":
                rest = left - abs(float(size))
                self.open[trade.trade_id] = (portfolio, trade.instrument, rest)
            one = self.inputs.fill(portfolio, trade.instrument, f"{size:f}", "20", when,
                                   partly=fate == "parts", trade_id=trade.trade_id)  # fmt: skip
        self.give(one)

    def check(self) -> None:
        """What is open and what was traded in the session, of each and of all together."""
        for name in NAMES:
            allowed = LOT_PART * max(float(LOTS[name]), 1.0)
            used: dict[str, float] = defaultdict(float)
            for portfolio, instrument, size in self.open.values():
                used[portfolio] += size if instrument == name else 0.0
            for portfolio in (*PARTS, UNLISTED):
                used[portfolio] += self.dealt[portfolio, name]
                own = PARTS.get(portfolio, 0.0) * VOLUMES[name]
                assert used[portfolio] <= own + allowed, (portfolio, name)
            together = sum(used.values())
            assert together <= FIRM * VOLUMES[name] + len(used) * allowed, name
            self.most = max(self.most, together / (FIRM * VOLUMES[name]))

    def expire(self, now: int) -> None:
        """Trades that the engine gave up are open no more."""
        alive = {
            trade_id
            for one in self.engines
            for portfolio in one.state.portfolios.values()
            for trade_id in portfolio.open_trades
        }
        self.open = {name: kept for name, kept in self.open.items() if name in alive}
        self.due = [one for one in self.due if one[2].trade_id in alive]


def play(seed: int, shards: int, sessions: int = 5) -> Play:
    made = Play(Random(seed), shards)
    made.start()
    for session in range(sessions):
        start = T0 + session * DAY
        for n in range(6):
            at = start + (n + 1) * HOUR
            made.until(at - 1)
            for name in NAMES:
                fields = {"direction": made.rng.choice([-1, 1]), "strength": 0.999}
                made.give(made.inputs.signal("s", name, at, **fields))
            made.give(made.inputs.prices(dict.fromkeys(NAMES, 20.0), at + 20 * MS))
        made.until(start + DAY - 1)
        made.close(start + DAY)
        made.give(made.inputs.prices(dict.fromkeys(NAMES, 20.0), start + DAY + MS))
        made.expire(start + DAY)
    return made


@pytest.mark.parametrize(("seed", "shards"), [(1, 1), (2, 3), (3, 8)])
def test_open_and_traded_of_all_portfolios_stay_under_the_firms_share_in_every_session(
    seed: int, shards: int
) -> None:
    made = play(seed, shards)
    assert made.rounds > 40  # of several portfolios, several in each session
    assert made.most > 0.9  # the bound was reached, not merely kept

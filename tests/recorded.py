"""A seeded recording of a few busy days: all kinds of inputs, fills that answer decisions.

Place in the flow: tests only. Made once per seed by driving a real engine, so that the fills name
trades that were really decided; then it is a fixed list of inputs like any other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output
from tests.journals import DAY, HOUR, MS, SECOND, T0, Input, Inputs, engine, started, zero_clock

__all__ = ["PORTFOLIOS", "end_of", "recorded"]

NAMES = ("N0", "N1", "N2", "N3", "N4", "N5")
LOTS = ("100", "1", "0", "10", "1", "0")
SOURCES = ("alpha", "beta", "gamma")
PORTFOLIOS = ("p-close", "p-hours", "p-limits", "p-narrow", "p-short", "p-signals")
SECTORS = ("energy", "banks", "energy", None, "banks", "energy")
Fields = dict[str, Any]
Plan = list[tuple[int, str, str, Fields]]
"""(time, topic, event, fields): what the world does, before anybody answers."""


def end_of(inputs: tuple[Input, ...]) -> int:
    """A time after every deadline that matters."""
    return inputs[-1].at + HOUR


@cache
def recorded(seed: int, days: int = 3) -> tuple[Input, ...]:
    """The inputs of some days. The same seed gives the same bytes on the same build."""
    rng = random.Random(seed)
    plan = _terms()
    prices = {name: 20.0 + 7.0 * i for i, name in enumerate(NAMES)}
    for day in range(days):
        plan += _day(rng, T0 + day * DAY, prices, day)
    plan.sort(key=lambda item: item[0])
    return _Drive(rng).play(plan)


def _terms() -> Plan:
    plan: Plan = []
    for i, (name, lot, sector) in enumerate(zip(NAMES, LOTS, SECTORS, strict=True)):
        terms: Fields = {"instrument": name, "lot": lot, "tick": "0.01", "currency": "USD"}
        terms |= {"sector": sector, "factors": [{"factor": "value", "exposure": i - 2.5}]}
        plan.append((T0, "market", "InstrumentListed", terms))
    for source, normalisation in zip(SOURCES, ("spread", "rank", "zscore"), strict=True):
        registered = {"source": source, "normalisation": normalisation, "risk_budget": 0.4}
        plan.append((T0, "control", "SourceRegistered", registered))
    parameters = {
        "view_correlation": 0.3, "view_interval_ms": 6 * 3_600_000, "cross_section_min": 3,
        "sleeves": "books",
    }  # fmt: skip
    plan.append((T0, "control", "ParametersChanged", {"parameters": parameters}))
    mandates: dict[str, Fields] = {
        "p-close": {"schedule": {"kind": "session_close"}, "mode": "conservative"},
        "p-hours": {"schedule": {"kind": "interval", "every": 6 * 3600}, "mode": "aggressive"},
        "p-limits": {
            "mandate": {
                "position_min": -0.2, "position_max": 0.4, "gross_max": 1.5, "net_min": -0.1,
                "volatility_max": 0.3, "drawdown_max": 0.3, "turnover_max": 0.3,
                "sectors": [{"sector": "energy", "min": -0.2, "max": 0.25}],
                "factors": [{"factor": "market", "max": 0.8}, {"factor": "value", "max": 0.5}],
                "must_hold": [{"instrument": "N4", "min": 0.02}], "restricted": ["N3"],
                "soft": [
                    {"limit": "drawdown_max", "priority": 3}, {"limit": "factors", "priority": 2},
                    {"limit": "sectors", "priority": 1}, {"limit": "volatility_max", "priority": 2},
                ],
            },
            "mode": "aggressive",
        },
        "p-narrow": {
            "mandate": {
                "universe": ["N0", "N2", "N4"], "sources": ["alpha", "beta"], "turnover_max": 0.1,
                "valid_sessions": 2, "cash_floor": 0.3, "trade_min": 0.005,
            }
        },
        "p-short": {
            "mandate": {"position_min": -0.2, "position_max": 0.3, "gross_max": 1.2},
            "mode": "aggressive", "costs": {"fee_bps": 5.0, "sell_tax_bps": 10.0},
        },
        "p-signals": {"mandate": {"position_max": 0.25}},
    }  # fmt: skip
    for name, mandate in mandates.items():
        opened: Fields = {"portfolio": name, "currency": "USD", "cash": "200000", **mandate}
        plan.append((T0 + SECOND, "portfolios", "PortfolioOpened", opened))
    return plan


def _day(rng: random.Random, start: int, prices: dict[str, float], day: int) -> Plan:
    plan: Plan = []
    for hour in (2, 4, 6):
        for name in NAMES:
            prices[name] = round(prices[name] * (1.0 + rng.gauss(0.0, 0.015)), 4)
        shown = [*prices, "UNLISTED"] if rng.random() < 0.2 else list(prices)
        fields = {"instruments": shown, "price": [prices.get(n, 1.0) for n in shown]}
        last = hour == 6
        fields |= {"kind": "bar", "session_close": True} if last else {"kind": "quote"}
        if last:
            fields["volume"] = [1e5 * (1.0 + rng.random()) for _ in shown]
        plan.append((start + hour * HOUR, "market", "PricesObserved", fields))
    for _ in range(6):
        at = start + HOUR + rng.randrange(7 * HOUR)
        for _ in range(rng.randrange(1, 5)):
            at += rng.randrange(8 * MS)
            plan.append((at, "signals", "SignalIssued", _signal(rng, at)))
    return plan + [_incident(rng, start + rng.randrange(8 * HOUR), day) for _ in range(4)]


def _signal(rng: random.Random, at: int) -> Fields:
    source = rng.choice([*SOURCES, *SOURCES, "ghost"])
    fields: Fields = {
        "source": source,
        "strategy": rng.choice(["s1", "s2"]),
        "instrument": rng.choice([*NAMES, *NAMES, "UNLISTED"]),
    }
    fields |= _opinion(rng)
    if "rank" not in fields and "target_weight" not in fields and rng.random() < 0.2:
        legs = sorted(set(rng.sample(NAMES, rng.randrange(1, 3))) - {fields["instrument"]})
        fields["against"] = [{"instrument": n, "weight": round(1 / len(legs), 3)} for n in legs]
    if rng.random() < 0.6:
        fields["confidence"] = round(rng.random(), 3)
    if rng.random() < 0.3:
        fields["horizon_sessions"] = rng.choice([1.0, 2.5, 20.0])
    if rng.random() < 0.2:
        fields["expires_at"] = at + rng.randrange(-HOUR, 6 * HOUR)
    return fields


def _opinion(rng: random.Random) -> Fields:
    """In one of the forms that a signal may have."""
    if rng.random() < 0.4:
        return {"direction": rng.choice([-1, 1, 1, 0]), "strength": round(rng.random(), 3)}
    if rng.random() < 0.4:
        return {"expected_return": round(rng.gauss(0.0, 0.03), 5)}
    fifths = [rng.random() for _ in range(5)]
    forms: list[Fields] = [
        {"target_weight": round(rng.gauss(0.0, 0.1), 4)},
        {"rank": rng.randrange(1, len(NAMES) + 1), "rank_of": len(NAMES)},
        {"probability_up": round(rng.random(), 3)},
        {"quintiles": [round(one / sum(fifths), 4) for one in fifths]},
    ]
    return rng.choice(forms)


def _incident(rng: random.Random, at: int, day: int) -> tuple[int, str, str, Fields]:
    """Something that does not happen every day."""
    portfolio: Fields = {"portfolio": rng.choice(PORTFOLIOS)}
    choices: list[tuple[str, str, Fields]] = [
        ("portfolios", "CashMoved", {**portfolio, "amount": "5000.5", "currency": "USD"}),
        ("portfolios", "CashMoved", {**portfolio, "amount": "-3000", "currency": "EUR"}),
        ("portfolios", "MandateChanged", {**portfolio, "mandate": {"position_max": 0.15}}),
        ("control", "CoordinationPaused", portfolio),
        ("control", "CoordinationResumed", portfolio),
        ("control", "CoordinationResumed", {}),
        ("control", "StrategyMuted", {"source": "gamma", "strategy": "s1", "muted": day % 2 == 0}),
        ("market", "InstrumentHalted", {"instrument": "N3", "halted": day % 2 == 0}),
        ("market", "InstrumentDelisted", {"instrument": "UNLISTED"}),
        ("signals", "SignalWithdrawn", {"source": "alpha", "signal_id": f"signals-1-{day}"}),
        ("constraints", "SizeCapped", {**portfolio, "instrument": "N1", "quantity_max": "10"}),
        ("orders", "OrderFilled", {**portfolio, "instrument": "N1", "quantity": "3",
                                   "price": "27.5"}),
        ("control", "ParametersChanged", {"parameters": {"risk_window_sessions": 2 + day}}),
    ]  # fmt: skip
    return (at, *rng.choice(choices))


@dataclass(slots=True)
class _Drive:
    """Plays a plan into an engine and answers its decisions like a market that is not kind."""

    rng: random.Random
    made: list[Input] = field(default_factory=list)
    inputs: Inputs = field(default_factory=Inputs)
    due: Plan = field(default_factory=list)
    read: int = 0

    def play(self, plan: Plan) -> tuple[Input, ...]:
        log = MemoryLog(clock=zero_clock)
        router = Router(log, shards=1)
        router.write(started(), shards=[0], journal_time=T0)
        owner = Shard(log, engine(0, 1))
        owner.recover()
        waiting = list(plan)
        while waiting or self.due:
            self.due.sort(key=lambda item: item[0])
            first = self.due and (not waiting or self.due[0][0] < waiting[0][0])
            at, topic, name, fields = self.due.pop(0) if first else waiting.pop(0)
            at = max(at, self.made[-1].at if self.made else T0)
            made = self.inputs.make(topic, name, at, **fields)
            self.made.append(made)
            router.accept([made.raw], journal_times=[at])
            owner.pump()
            self._answer(log, at)
        return tuple(self.made)

    def _answer(self, log: MemoryLog, now: int) -> None:
        for record in log.read("decisions", 0, self.read):
            self.read = record.position + 1
            event = decode_output(record.payload).event
            if isinstance(event, AllocationDecided):
                for trade in event.trades:
                    self._fate(event, trade.trade_id, now)

    def _fate(self, event: AllocationDecided, trade_id: str, now: int) -> None:
        """Filled at once or late, in two parts, cancelled, refused, or forgotten."""
        trade = next(t for t in event.trades if t.trade_id == trade_id)
        about: Fields = {
            "portfolio": event.portfolio, "instrument": trade.instrument, "trade_id": trade_id
        }  # fmt: skip
        kind = self.rng.choice(["fill", "fill", "fill", "parts", "late", "over", "forgotten"])
        at = now + self.rng.randrange(MS, 2 * HOUR)
        price = f"{trade.price * self.rng.uniform(0.99, 1.01):.4f}"
        fill = {**about, "price": price, "fee": "1.25", "quantity": f"{trade.quantity:f}"}
        if kind in ("fill", "late"):
            self.due.append((at + (DAY if kind == "late" else 0), "orders", "OrderFilled", fill))
        elif kind == "parts":
            part = {**fill, "quantity": f"{trade.quantity / 2:.8f}"}
            self.due.append((at, "orders", "OrderAccepted", about))
            self.due.append((at + MS, "orders", "OrderPartlyFilled", part))
        elif kind == "over":
            self.due.append((at, "orders", self.rng.choice(["OrderCancelled", "OrderRejected"]),
                             about))  # fmt: skip

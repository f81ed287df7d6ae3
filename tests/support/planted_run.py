"""A small finished run, planted event by event: what projections and reports are tested on.

Two shards, one portfolio, three sources of which one has a hostile name. No engine takes part, so
a test that fails here points at the reader of a log and not at its writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from coordinator.core.ports import Append
from coordinator.core.route import DeadLetter, encode_dead_letter
from coordinator.log.memory import MemoryLog
from schemas.base import Event, InputEvent, OutputEvent
from schemas.books import Holding, PortfolioViewUpdated
from schemas.decisions import (
    AllocationDecided,
    ConflictKind,
    ConflictLine,
    ConflictsDetected,
    Identity,
    LimitUse,
    Profile,
    RoundClosed,
    Rung,
    SignalUse,
    SolverReport,
    Target,
    Trade,
    TradesExpired,
)
from schemas.entries import GENESIS, Stamp, decode_output, encode_journal, encode_output
from schemas.market import PricesObserved
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled
from schemas.portfolios import CashMoved, PortfolioOpened
from schemas.signals import SignalIssued
from schemas.verdicts import (
    InputRejected,
    InputRejection,
    SignalExpired,
    SignalRejected,
    SignalRejection,
)

__all__ = [
    "DAY", "HOSTILE", "START", "Planted", "allocation", "conflict", "conflicts", "planted_run",
    "prices", "signal",
]  # fmt: skip

DAY = 86_400_000_000_000
START = 20_000 * DAY
HOSTILE = "<script>alert('x')</script>"
OPEN, CLOSE = DAY // 3, DAY // 2
_PROFILE = Profile(expected_return=0.01, volatility=0.02, gross=0.5, net=0.5, cash=0.5, positions=1)
_DIGEST = "0" * 64
EVERYBODY = tuple(sorted(("alice/s1", "bob/s1", f"{HOSTILE}/s1")))


@dataclass(slots=True)
class Planted:
    """A log being planted; journal entries go to the shards given, outputs to one, chained."""

    log: MemoryLog = field(default_factory=MemoryLog)
    chains: dict[int, tuple[int, str]] = field(default_factory=dict)

    def tell(self, event: InputEvent, at: int, shards: Sequence[int] = (0, 1)) -> None:
        """Put an input into journals."""
        entry = encode_journal(Stamp(event.topic, "t", 0, 0, at), event)
        self.log.append([Append("journal", shard, entry, at) for shard in shards])

    def say(self, event: OutputEvent, shard: int = 0) -> None:
        """Put an output into decisions."""
        seq, prev = self.chains.get(shard, (0, GENESIS))
        entry = encode_output(7, seq, seq, prev, event)
        self.log.append([Append("decisions", shard, entry, event.decided_at)])
        self.chains[shard] = (seq + 1, decode_output(entry).hash)


def signal(source: str, name: str, at: int, direction: int) -> SignalIssued:
    return SignalIssued(
        event_id=name, event_time=at, source=source, strategy=source, instrument="ABC",
        direction=direction, strength=0.5, confidence=0.6,
    )  # fmt: skip


def prices(kind: str, at: int, price: float) -> PricesObserved:
    return PricesObserved.model_validate(
        {
            "event_id": f"{kind} {at}",
            "event_time": at,
            "kind": kind,
            "instruments": ("ABC",),
            "price": (price,),
            "session_close": kind == "bar",
        }
    )


def use(source: str, verdict: str, own: float) -> SignalUse:
    return SignalUse.model_validate(
        {
            "signal": f"{source}/s1", "strategy": source, "instrument": "ABC", "verdict": verdict,
            "score": 1.0, "skill": 0.05, "view": own, "own": own, "utility": own / 10,
        }
    )  # fmt: skip


def allocation(decision_id: str, at: int, uses: Sequence[SignalUse]) -> AllocationDecided:
    return AllocationDecided(
        decision_id=decision_id, portfolio="main", decided_at=at, round=1, mode="balanced",
        nav=Decimal(1000), horizon_sessions=5.0, valid_sessions=1, priority=0.75,
        turnover=0.25, cost=0.0005,
        targets=(
            Target(
                instrument="ABC", weight_before=0.0, weight_wanted=0.51, weight=0.5,
                quantity=Decimal(50), expected_return=0.01, price=10.0,
            ),
        ),
        trades=(
            Trade(
                trade_id=f"{decision_id}:ABC", instrument="ABC", quantity=Decimal(50), price=10.0,
                weight=0.5, cost=0.0005, urgency=0.25,
            ),
        ),
        before=_PROFILE, after=_PROFILE, signals=tuple(uses), prior_utility=0.0,
        limits=(
            LimitUse(
                limit="position_max", instrument="ABC", used=0.5, bound=0.5, shadow_price=0.002
            ),
        ),
        solver=SolverReport(
            rung=Rung.SOLVED, solver="piqp", status="optimal", iterations=9, objective=0.004,
            objective_continuous=0.0041, violation=0.0, violation_before=0.0,
        ),
        identity=Identity(
            build="b", dependencies="d", fingerprint="f", parameters=_DIGEST,
            portfolio_state=_DIGEST, problem=_DIGEST,
        ),
    )  # fmt: skip


def conflict(
    kind: ConflictKind = ConflictKind.MANDATE, severity: float = 0.2, resolution: str = "no room"
) -> ConflictLine:
    return ConflictLine(
        kind=kind, instruments=("ABC",), signals=EVERYBODY, severity=severity,
        resolution=resolution,
    )  # fmt: skip


def conflicts(at: int, *lines: ConflictLine) -> ConflictsDetected:
    return ConflictsDetected(decision_id="main:1", portfolio="main", decided_at=at, conflicts=lines)


def planted_run() -> MemoryLog:
    """Four sessions: a decision at the first close, its fill in two parts, money, a last open."""
    run = Planted()
    run.tell(
        PortfolioOpened(
            event_id="p", event_time=START, portfolio="main", currency="EUR", cash=Decimal(1000)
        ),
        START,
        (0,),
    )
    first = START + OPEN
    run.tell(prices("open", first, 10.0), first)
    for source, direction in (("alice", 1), ("bob", -1), (HOSTILE, 1)):
        run.tell(signal(source, "s1", first, direction), first)
    run.tell(signal("bob", "s2", first, 1), first)
    run.tell(signal("alice", "s3", first, 1), first)
    run.tell(prices("bar", START + CLOSE, 10.0), START + CLOSE)
    second = START + DAY + OPEN
    run.tell(prices("open", second, 11.0), second)
    for event in _answers(second):
        run.tell(event, second, (0,))
    run.tell(prices("bar", START + DAY + CLOSE, 12.0), START + DAY + CLOSE)
    paid = START + 2 * DAY + OPEN
    run.tell(
        CashMoved(
            event_id="c", event_time=paid, portfolio="main", amount=Decimal(500), currency="EUR"
        ),
        paid,
        (0,),
    )
    run.tell(prices("bar", START + 2 * DAY + CLOSE, 12.0), START + 2 * DAY + CLOSE)
    run.tell(prices("open", START + 3 * DAY + OPEN, 13.0), START + 3 * DAY + OPEN)
    _outputs(run)
    return run.log


def _answers(at: int) -> tuple[InputEvent, ...]:
    order = {"event_time": at, "portfolio": "main", "instrument": "ABC", "trade_id": "main:1:ABC"}
    fill = {"quantity": Decimal(20), "price": Decimal("11.01"), "fee": Decimal("0.10")}
    return (
        OrderPartlyFilled.model_validate({"event_id": "f1", **order, **fill}),
        OrderFilled.model_validate({"event_id": "f2", **order, **fill}),
        OrderCancelled.model_validate(
            {"event_id": "x", **order, "trade_id": "main:1:OLD", "reason": "too <b>late</b>"}
        ),
    )


def _outputs(run: Planted) -> None:
    at = START + CLOSE
    against = f"bought, against bob, with {HOSTILE}"
    outputs: tuple[Event, ...] = (
        conflicts(
            at, conflict(severity=0.95), conflict(ConflictKind.OPPOSITE_DIRECTION, 0.9, against)
        ),
        allocation(
            "main:1",
            at,
            (
                use("alice", "followed", 0.012),
                use("bob", "outvoted", -0.004),
                use(HOSTILE, "limited", 0.002),
            ),
        ),
        RoundClosed(
            decision_id="main:1", portfolio="main", decided_at=at, round=1, opened_at=at,
            trigger="session_close", signals_used=EVERYBODY, signals_new=3, conflicts=2,
            conflicts_reported=2, outcome="decided",
        ),
        PortfolioViewUpdated(
            portfolio="main", decided_at=at, nav=Decimal(1000), cash=Decimal(500),
            holdings=(Holding(instrument="ABC", quantity=Decimal(50), price=10.0, weight=0.5),),
            gross=0.5, net=0.5, open_trades=1, traded=Decimal(0), fees=Decimal(0), fills=0,
        ),
        TradesExpired(
            portfolio="main", decided_at=at + DAY, decision_id="main:1", trade_ids=("main:1:ABC",)
        ),
    )  # fmt: skip
    for event in outputs:
        assert isinstance(event, OutputEvent)
        run.say(event)
    run.say(
        SignalRejected(decided_at=at, source="bob", signal_id="s2", reason=SignalRejection.STALE),
        shard=1,
    )
    run.say(
        InputRejected(
            decided_at=at, event="OrderFilled", event_id="f9", portfolio="main",
            reason=InputRejection.UNKNOWN_TRADE,
        ),
    )  # fmt: skip
    letter = DeadLetter("signals", "signals.csv row 17", "no source", b"?")
    run.log.append([Append("signals.dlq", 0, encode_dead_letter(letter), at)])
    run.say(
        SignalExpired(
            decided_at=at + 5 * DAY, source="alice", strategy="alice", signal_id="s1",
            instrument="ABC", expired_at=at + 5 * DAY,
        ),
        shard=1,
    )  # fmt: skip

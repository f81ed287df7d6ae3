"""The recording as messages of the input topics, each with the time a router would have had it.

Place in the flow: before the router, which treats these messages like anybody's. No look-ahead: an
open is told at 09:30, a session's bar at 15:00, and an agent's change of a holding at the open it
traded at, since it had decided by then. At equal times prices come before signals.

How a change becomes a signal (the agents state no confidence, so both numbers are derived):

- direction: the sign of the session's net change of the holding;
- strength: the share of the holding that changed, |after - before| / max(before, after), scaled so
  that a full entry or exit is an opinion of one standard deviation, like a direction given alone;
- confidence: s / (s + 5 %), with s the value of the change over the agent's own worth. A change of
  5 % of it gives 0.5, which means the prior skill; nobody reaches 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from pydantic_core import to_json

from coordinator.core.route import Raw
from replay.demo.recording import Change, Recording
from schemas.base import InputEvent
from schemas.canonical import canonical_bytes, digest
from schemas.control import Parameters, ParametersChanged, SourceRegistered
from schemas.market import InstrumentListed, PricesObserved
from schemas.portfolios import Costs, Mandate, PortfolioOpened, Schedule
from schemas.signals import SignalIssued

__all__ = [
    "CASH",
    "COSTS",
    "HORIZON_SESSIONS",
    "PORTFOLIOS",
    "TICK",
    "Message",
    "confidence",
    "messages",
    "strength",
]

CASH = Decimal(10_000_000)
"""Each portfolio starts with this, CNY: enough for whole lots of every name."""
COSTS = Costs(fee_bps=2.6, sell_tax_bps=5.0, half_spread_bps=2.0)
"""Commission 2.5 and transfer fee 0.1 on each side, stamp duty 5 on sales, half a spread of 2."""
HORIZON_SESSIONS = 5.0
"""The agents state no horizon: a week."""
PORTFOLIOS = {
    "conservative": Mandate(position_max=0.04, gross_max=0.6, cash_floor=0.4, turnover_max=0.05),
    "balanced": Mandate(position_max=0.07, gross_max=0.85, cash_floor=0.15, turnover_max=0.1),
    "aggressive": Mandate(position_max=0.12, gross_max=0.99, cash_floor=0.01, turnover_max=0.2),
}
"""Mandates by name; the name is also the mode."""
TICK = "0.01"
"""Smallest price step of every name, CNY."""
_CURRENCY = "CNY"
_STRENGTH_WHOLE = 0.6827
"""Strength whose score is 1: the normal probability of lying within one standard deviation."""
_SHARE_TYPICAL = 0.05
_STAR = "688"
_HOUR = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """One message and the journal time that it gets, ns UTC."""

    raw: Raw
    journal_time: int


def messages(recording: Recording) -> list[Message]:
    """Every message of the demo, in the order a router would have had them."""
    timed = [*_opening(recording), *_trading(recording)]
    identity = digest(b"".join(canonical_bytes(event) for _, event in timed))[:12]
    offsets: dict[str, int] = {}
    found = []
    for time, event in timed:
        offset = offsets.get(event.topic, 0)
        offsets[event.topic] = offset + 1
        head = to_json({"type": type(event).__name__, "version": event.version})
        payload = head[:-1] + b"," + canonical_bytes(event)[1:]
        raw = Raw(event.topic, f"demo-{identity}", 0, offset, time, payload)
        found.append(Message(raw, time))
    return found


def strength(change: Change) -> float:
    """0 to 0.6827: how much of the holding the change was."""
    after = change.held + change.quantity
    return _STRENGTH_WHOLE * min(1.0, abs(change.quantity) / max(change.held, after))


def confidence(change: Change) -> float:
    """0 to 1, not 1: how much of its worth the agent moved, 5 % giving one half."""
    share = abs(change.quantity) * change.price / change.nav
    return share / (share + _SHARE_TYPICAL)


def _opening(recording: Recording) -> Iterator[tuple[int, InputEvent]]:
    """What is declared an hour before the first open."""
    at = recording.sessions[0].opened_at - _HOUR
    parameters = Parameters(risk_weight_prior=1e6, view_correlation=0.5)
    reason = (
        "no prices before the start: the covariance stays at its prior; seven language models that "
        "read the same news are not seven independent opinions"
    )
    yield (
        at,
        ParametersChanged(
            event_id="parameters", event_time=at, parameters=parameters, reason=reason
        ),
    )
    for agent in recording.agents:
        yield (
            at,
            SourceRegistered(
                event_id=f"source-{agent.name}",
                event_time=at,
                source=agent.name,
                kind="agent",
                horizon_sessions=HORIZON_SESSIONS,
            ),
        )
    for instrument in recording.instruments:
        yield at, _listing(instrument, at)
    for name, mandate in PORTFOLIOS.items():
        yield at, _portfolio(name, mandate, at)


def _listing(instrument: str, at: int) -> InstrumentListed:
    """STAR names (688) move up to 20 % a day and trade from 200 units on, others 10 % and 100.

    Above 200 a STAR order may have any size; whole lots of 200 are a simple subset of that.
    """
    star = instrument.startswith(_STAR)
    return InstrumentListed(
        event_id=f"listing-{instrument}",
        event_time=at,
        instrument=instrument,
        lot=Decimal(200 if star else 100),
        tick=Decimal(TICK),
        currency=_CURRENCY,
        price_limit=0.2 if star else 0.1,
    )


def _portfolio(name: str, mandate: Mandate, at: int) -> PortfolioOpened:
    return PortfolioOpened(
        event_id=f"portfolio-{name}",
        event_time=at,
        portfolio=name,
        currency=_CURRENCY,
        cash=CASH,
        mode=name,
        mandate=mandate.model_copy(
            update={"trade_min": 0.002, "horizon_sessions": HORIZON_SESSIONS}
        ),
        schedule=Schedule(kind="session_close", every=1),
        costs=COSTS,
    )


def _trading(recording: Recording) -> Iterator[tuple[int, InputEvent]]:
    """Session by session: the open, what the agents did at it, the bar."""
    changes: dict[int, list[Change]] = {}
    for agent in recording.agents:
        for change in agent.changes:
            changes.setdefault(change.session, []).append(change)
    for index, session in enumerate(recording.sessions):
        yield session.opened_at, _open(recording, index)
        for change in changes.get(index, ()):
            yield session.opened_at, _signal(change, session.opened_at)
        if session.closes:
            yield session.closed_at, _bar(recording, index)


def _open(recording: Recording, index: int) -> PricesObserved:
    session = recording.sessions[index]
    return PricesObserved(
        event_id=f"open-{_day(session.opened_at)}",
        event_time=session.opened_at,
        kind="open",
        instruments=recording.instruments,
        price=_column(session.opens, recording.instruments),
    )


def _bar(recording: Recording, index: int) -> PricesObserved:
    session, names = recording.sessions[index], recording.instruments
    return PricesObserved(
        event_id=f"bar-{_day(session.opened_at)}",
        event_time=session.closed_at,
        kind="bar",
        instruments=names,
        price=_column(session.closes, names),
        open=_column(session.opens, names),
        high=_column(recording.highs[index], names),
        low=_column(recording.lows[index], names),
        volume=_column(recording.volumes[index], names),
        session_close=True,
    )


def _signal(change: Change, at: int) -> SignalIssued:
    return SignalIssued(
        event_id=f"{change.instrument}@{_day(at)}",
        event_time=at,
        source=change.agent,
        strategy=change.agent,
        instrument=change.instrument,
        direction=1 if change.quantity > 0 else -1,
        strength=strength(change),
        confidence=confidence(change),
        horizon_sessions=HORIZON_SESSIONS,
    )


def _column(found: Mapping[str, float], names: Sequence[str]) -> tuple[float | None, ...]:
    return tuple(found.get(name) for name in names)


def _day(at: int) -> str:
    """The session's date: a Shanghai session lies within one day of UTC."""
    return datetime.fromtimestamp(at // 1_000_000_000, tz=UTC).date().isoformat()

"""Actions: what a split, dividend, spin-off or redemption does to those who hold the instrument.

Place in the flow: announced, then waiting for its time as a timer; when that fires, said by each
shard for its own portfolios and once for all. Reads the state, changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from coordinator.core.accounts import EXACT, ZERO, cut
from coordinator.core.state import Portfolio, State
from schemas.base import OutputEvent
from schemas.books import CorporateActionTaken, HoldingChanged
from schemas.decisions import TradesExpired
from schemas.market import CorporateActionAnnounced
from schemas.verdicts import InputRejection, RecordQuarantined

__all__ = ["action_fault", "action_said", "action_timer"]

_ONE = Decimal(1)
FACTOR_MAX = Decimal(1_000_000)
_NEEDS = {
    "split": ("ratio",),
    "dividend": ("amount",),
    "spin_off": ("ratio", "into"),
    "redemption": ("amount",),
}


def action_timer(event: CorporateActionAnnounced) -> str:
    """Name of the timer that lets it take effect; no name holds a tab."""
    return f"action\t{event.event_id}"


def action_fault(
    state: State, event: CorporateActionAnnounced
) -> tuple[InputRejection, str] | None:
    """Why it cannot take effect, with the figures."""
    if event.event_id in state.actions:
        return InputRejection.DUPLICATE, "one of this id waits for its time"
    for name in (event.instrument, *((event.into,) if event.into is not None else ())):
        if state.market.listed(name) is None:
            return InputRejection.UNKNOWN_INSTRUMENT, name
    missing = [name for name in _NEEDS[event.kind] if getattr(event, name) is None]
    if missing:
        return InputRejection.INCOMPLETE, f"a {event.kind} needs {' and '.join(missing)}"
    if event.into == event.instrument:
        return InputRejection.CONTRADICTORY, "an instrument cannot be spun off into itself"
    if event.ratio is not None or event.per is not None:
        ratio, per = event.ratio or ZERO, _ONE if event.per is None else event.per
        least, most = EXACT.divide(per, FACTOR_MAX), EXACT.multiply(per, FACTOR_MAX)
        if not per or not least <= ratio <= most:
            return InputRejection.OUT_OF_RANGE, f"{ratio:f} new units for {per:f} old ones"
    return None


def action_said(state: State, action_id: str) -> list[OutputEvent]:
    """What a corporate action does when its time has come; nothing where it was taken before."""
    action = state.actions.get(action_id)
    if action is None:
        return []
    said: list[OutputEvent] = []
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        if action.kind != "dividend":
            said += _orders_over(state, portfolio, action.instrument)
        if portfolio.positions.get(action.instrument):
            said.append(_changed_or_paused(state, portfolio, action))
    factor = EXACT.divide(action.ratio or _ONE, action.per or _ONE)
    said.append(
        CorporateActionTaken(
            decided_at=state.clock,
            action_id=action_id,
            instrument=action.instrument,
            kind=action.kind,
            factor=float(factor) if action.kind == "split" else 1.0,
        )
    )
    return said


def _changed_or_paused(
    state: State, portfolio: Portfolio, action: CorporateActionAnnounced
) -> OutputEvent:
    """What becomes of a holding; one that no event can hold concerns its own portfolio alone."""
    try:
        return _changed(state, portfolio, action)
    except ValueError:
        return RecordQuarantined(
            decided_at=state.clock,
            event=type(action).__name__,
            event_id=action.event_id,
            portfolio=portfolio.name,
            error=f"{action.instrument}: what the {action.kind} makes of it is beyond any event",
        )


def _orders_over(state: State, portfolio: Portfolio, instrument: str) -> list[OutputEvent]:
    """Trades in units that are no more, by decision; a later fill still counts."""
    ended: dict[str, list[str]] = {}
    for trade_id, trade in sorted(portfolio.open_trades.items()):
        if trade.instrument == instrument:
            ended.setdefault(trade.decision_id, []).append(trade_id)
    return [
        TradesExpired(
            decided_at=state.clock,
            portfolio=portfolio.name,
            decision_id=decision_id,
            trade_ids=tuple(trade_ids),
        )
        for decision_id, trade_ids in ended.items()
    ]


def _changed(
    state: State, portfolio: Portfolio, action: CorporateActionAnnounced
) -> HoldingChanged:
    held = portfolio.positions[action.instrument]
    cash = ZERO if action.amount is None else EXACT.multiply(held, action.amount)
    received = _received(held, action)
    after = {"split": received, "redemption": ZERO}.get(action.kind, held)
    spun_off = action.kind == "spin_off"
    return HoldingChanged(
        decided_at=state.clock,
        portfolio=portfolio.name,
        action_id=action.event_id,
        instrument=action.instrument,
        kind=action.kind,
        quantity_before=held,
        quantity=after,
        into=action.into if spun_off else None,
        into_quantity=received if spun_off else ZERO,
        basis_moved=_basis(state, portfolio, action) if spun_off and received else ZERO,
        cash=cut(cash) if action.kind in ("dividend", "redemption") else ZERO,
        currency=state.market.instruments[action.instrument].currency,
        pays_at=action.pays_at if cash else None,
    )


def _received(held: Decimal, action: CorporateActionAnnounced) -> Decimal:
    """Units that come of a holding, multiplied before it is divided: nine shares one for three."""
    units = EXACT.multiply(held, action.ratio or ZERO)
    return cut(EXACT.divide(units, action.per or _ONE))


def _basis(state: State, portfolio: Portfolio, action: CorporateActionAnnounced) -> Decimal:
    """The cost that goes with what is spun off; none into another currency's account."""
    instruments = state.market.instruments
    into = instruments[action.into or ""]
    if into.currency != instruments[action.instrument].currency:
        return ZERO
    cost = portfolio.cost[action.instrument]
    return cut(EXACT.multiply(cost, Decimal(repr(action.basis_share))))

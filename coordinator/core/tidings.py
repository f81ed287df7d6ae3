"""Tidings: which words about the market count: listings, prices, rates, corporate actions.

Place in the flow: asked by `intake`, and by `announce` for what is said of names that a snapshot
has and the market has not. Reads the state, changes nothing.
"""

from __future__ import annotations

from coordinator.core.actions import action_fault
from coordinator.core.rates import currencies
from coordinator.core.refuse import found, rejected_input
from coordinator.core.state import State
from schemas import market
from schemas.base import OutputEvent
from schemas.verdicts import InputRejected, InputRejection

__all__ = [
    "announced_fault",
    "is_currency",
    "left_out",
    "listing_fault",
    "prices_fault",
    "rate_fault",
    "standing_fault",
]

NAMES_SHOWN = 10
RATE_LEAST, RATE_MOST = 1e-9, 1e9


def prices_fault(state: State, event: market.PricesObserved) -> OutputEvent | None:
    """A snapshot of unlisted names only; a mixed one counts, and `left_out` names the rest."""
    unknown = state.market.unknown(event.instruments)
    if len(unknown) < len(event.instruments):
        return None
    return _without(state, event, InputRejection.UNKNOWN_INSTRUMENT, unknown)


def left_out(state: State, event: market.PricesObserved) -> list[OutputEvent]:
    """What is said of names in a snapshot that are not listed, or whose price is known later."""
    unknown, older = state.market.unknown(event.instruments), state.market.older(event)
    said: list[OutputEvent] = []
    if unknown:
        said.append(_without(state, event, InputRejection.UNKNOWN_INSTRUMENT, unknown))
    if older:
        said.append(_without(state, event, InputRejection.STALE, older))
    return said


def _without(
    state: State, event: market.PricesObserved, reason: InputRejection, names: tuple[str, ...]
) -> InputRejected:
    beyond = len(names) - NAMES_SHOWN
    more = f" and {beyond} more" if beyond > 0 else ""
    detail = "left out: " + ", ".join(names[:NAMES_SHOWN]) + more
    return rejected_input(state, event, reason, detail)


def rate_fault(state: State, event: market.RatesObserved) -> OutputEvent | None:
    """Exchange rates count; what another rate would mean for a decision is not known yet."""
    if currencies(event.name) is None:
        detail = f"{event.name} is no exchange rate such as EUR/USD"
        return rejected_input(state, event, InputRejection.UNSUPPORTED, detail)
    if not RATE_LEAST <= event.rate <= RATE_MOST:
        return rejected_input(state, event, InputRejection.OUT_OF_RANGE, f"{event.rate:g}")
    listed, pair = state.market.listed(event.name), currencies(event.name)
    if listed is not None and pair is not None and listed.currency != pair[1]:
        detail = f"{event.name} is listed, and in {listed.currency}"
        return rejected_input(state, event, InputRejection.CONTRADICTORY, detail)
    known = state.market.instruments.get(event.name)
    if known is not None and int(state.market.price_time[known.column]) > event.event_time:
        return rejected_input(state, event, InputRejection.STALE, event.name)
    return None


def announced_fault(state: State, event: market.CorporateActionAnnounced) -> OutputEvent | None:
    """Why a corporate action cannot take effect."""
    return found(state, event, action_fault(state, event))


def is_currency(code: str) -> bool:
    """Whether it can be shown: no space, no character that is not seen."""
    return code.isascii() and code.isprintable() and " " not in code


def listing_fault(state: State, event: market.InstrumentListed) -> OutputEvent | None:
    """An exchange rate may be listed, too, in the currency that it is a price in."""
    if not is_currency(event.currency):
        return rejected_input(state, event, InputRejection.WRONG_CURRENCY)
    pair = currencies(event.instrument) if state.market.rates.is_rate(event.instrument) else None
    if pair is not None and pair[1] != event.currency:
        detail = f"{event.instrument} is an exchange rate, a price in {pair[1]}"
        return rejected_input(state, event, InputRejection.CONTRADICTORY, detail)
    return None


def standing_fault(state: State, event: market.InstrumentHalted) -> OutputEvent | None:
    """Whether an instrument that is halted, resumed or delisted is listed at all."""
    if state.market.listed(event.instrument) is not None:
        return None
    return rejected_input(state, event, InputRejection.UNKNOWN_INSTRUMENT, event.instrument)

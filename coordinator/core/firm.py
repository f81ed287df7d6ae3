"""Firm: what a portfolio may still trade in this session of its part of the firm's volume share.

Place in the flow: asked by `bounding` and `decide`; `booking` counts fills here. The firm's share
of an average session's volume is divided among portfolios by the parameters, which are checked as a
whole: each shard keeps the firm's bound by keeping its own portfolios' parts, and none needs to
know of another's. Of its part a portfolio has used what has filled in the session that runs,
whoever ordered it, and may yet use what is open, buys and sells alike; a decision adds at most the
rest. So parts and firm's share hold over any number of rounds, whichever open orders fill. A
portfolio without a part trades nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from coordinator.core.accounts import EXACT, ZERO, exact
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio, State
from schemas.control import Parameters
from schemas.orders import Fill

__all__ = ["FIRM_SHARE", "count_dealt", "firm_remarks", "session_left", "share_of", "split_dealt"]

FIRM_SHARE = "firm_volume_share"
"""How limits name it: as the parameters do."""


def share_of(parameters: Parameters, portfolio: Portfolio) -> float | None:
    """Its part of the firm's share, or its mandate's where that is less; None: there is no firm's.

    0 for a portfolio that the parameters give no part.
    """
    if parameters.firm_volume_share is None:
        return None
    parts = parameters.volume_shares
    at = bisect_left(parts, portfolio.name, key=lambda one: one.portfolio)
    if at == len(parts) or parts[at].portfolio != portfolio.name:
        return 0.0
    most = portfolio.mandate.volume_share_max
    return parts[at].share if most is None else min(parts[at].share, most)


def session_left(
    state: State, portfolio: Portfolio, names: Sequence[str], *, volume: Floats, unit: Floats
) -> Floats | None:
    """(n,) what a decision may still trade of each instrument, weights; None: no firm's share.

    volume: an average session's, weights; where none is known, NaN: nothing can be a share of it.
    unit: weight of one unit.
    """
    share = share_of(state.parameters, portfolio)
    if share is None:
        return None
    if share == 0.0:
        return np.zeros(len(names))
    used = _used(state, portfolio)
    units = np.array([used.get(name, 0.0) for name in names])
    return np.maximum(share * volume - units * unit, 0.0)


def _used(state: State, portfolio: Portfolio) -> dict[str, float]:
    """Units of each instrument that have filled in this session, or are open, either way."""
    used = dict(portfolio.dealt) if portfolio.dealt_in == state.market.session + 1 else {}
    for trade in portfolio.open_trades.values():
        size = EXACT.abs(trade.quantity)
        used[trade.instrument] = EXACT.add(used.get(trade.instrument, ZERO), size)
    return {name: float(units) for name, units in used.items()}


def count_dealt(state: State, portfolio: Portfolio, event: Fill) -> None:
    """A fill counts in the session in which it happened, if that still runs.

    Its own time tells, so that one at the close is of the session that closes, whichever of both
    is heard first.
    """
    if state.parameters.firm_volume_share is None:
        return
    session = state.market.session + (event.event_time > state.market.closed_at)
    if session > portfolio.dealt_in:
        portfolio.dealt, portfolio.dealt_in = {}, session
    if session == portfolio.dealt_in:
        known = portfolio.dealt.get(event.instrument, ZERO)
        portfolio.dealt[event.instrument] = EXACT.add(known, EXACT.abs(event.quantity))


def split_dealt(state: State, instrument: str, factor: float) -> None:
    """One unit is `factor` new ones from now on, also of what was filled in this session."""
    for name in sorted(state.portfolios):
        dealt = state.portfolios[name].dealt
        if instrument in dealt:
            dealt[instrument] = EXACT.multiply(dealt[instrument], exact(factor))


def firm_remarks(state: State, portfolio: Portfolio) -> tuple[str, ...]:
    """Why a portfolio trades nothing at all, where it has no part of the firm's share."""
    if share_of(state.parameters, portfolio) != 0.0:
        return ()
    return (f"{FIRM_SHARE}: no entry in volume_shares, so nothing is traded",)

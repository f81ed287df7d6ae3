"""Scales: how much a pick moves, by itself and with the market.

Place in the flow: asked when a view is made, and when its outcome is measured. A pick is an
instrument less so much of others; all of them are listed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coordinator.core.estimates import pick_volatility
from coordinator.core.market import Market
from schemas.control import Parameters

__all__ = ["beta_of", "volatility_of"]

Against = Sequence[tuple[str, float]]
"""(instrument, units of value)."""


def volatility_of(
    market: Market, instrument: str, against: Against, parameters: Parameters
) -> float:
    """One-session volatility, blended with what the priors say of such a pick."""
    if not against:
        return float(market.volatility(parameters)[market.instruments[instrument].column])
    names = (instrument, *(name for name, _ in against))
    weights = np.array([1.0, *(-weight for _, weight in against)])
    return pick_volatility(market.window(market.columns(names)), weights, parameters)


def beta_of(market: Market, instrument: str, against: Against, parameters: Parameters) -> float:
    """Beta to the market."""
    found, known = market.betas(parameters), market.instruments
    return float(found[known[instrument].column]) - sum(
        weight * float(found[known[name].column]) for name, weight in against
    )

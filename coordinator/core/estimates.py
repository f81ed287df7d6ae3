"""Estimates: plain ones from windows of returns and volumes, each blended with what is assumed.

Place in the flow: asked by the market, which keeps the windows. The allocation's risk is the risk
model's; these scale forecasts and outcomes. Windows are (sessions, n), NaN where unknown.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats
from schemas.control import Parameters

__all__ = ["DEVIATIONS", "averages", "betas", "blended_volatility", "mean_known", "pick_volatility"]


DEVIATIONS = 1.959964
"""Standard errors to either end of a 95 % interval."""


def blended_volatility(returns: Floats, parameters: Parameters) -> Floats:
    """(n,) one-session volatility of each, about zero."""
    seen = np.nan_to_num(returns) ** 2
    count = (~np.isnan(returns)).sum(axis=0)
    prior = parameters.risk_weight_prior
    variance = (prior * parameters.risk_volatility_prior**2 + seen.sum(axis=0)) / (prior + count)
    volatility: Floats = np.sqrt(variance)
    return volatility


def pick_volatility(returns: Floats, weights: Floats, parameters: Parameters) -> float:
    """One-session volatility of instruments held with these weights, about zero.

    returns: (t, k); a session where one is unknown says nothing. weights: (k,).
    """
    moved = returns @ weights  # NaN where one of them is
    seen = moved[~np.isnan(moved)]
    rho, prior = parameters.risk_correlation_prior, parameters.risk_weight_prior
    spread = (1.0 - rho) * float(weights @ weights) + rho * float(weights.sum()) ** 2
    assumed = prior * parameters.risk_volatility_prior**2 * spread
    return math.sqrt((assumed + float(seen @ seen)) / (prior + len(seen)))


def betas(returns: Floats, held: NDArray[np.bool_], parameters: Parameters) -> Floats:
    """(n,) of each to the equal-weighted market of those held, blended with one.

    held: (n,) which are instruments.
    """
    known = ~np.isnan(returns)
    counts = (known & held).sum(axis=1)
    moves = np.where(known & held, returns, 0.0).sum(axis=1)
    market = np.divide(moves, counts, out=np.zeros(len(moves)), where=counts > 0)[:, None]
    together = np.where(known, np.nan_to_num(returns) * market, 0.0).sum(axis=0)
    own = np.where(known, market**2, 0.0).sum(axis=0)
    spread = max(float((market**2).sum()) / max(int((counts > 0).sum()), 1), 1e-12)
    prior = parameters.risk_weight_prior * spread
    found: Floats = (prior + together) / (prior + own)
    return found


def averages(window: Floats) -> Floats:
    """(n,) the mean of those known of each; NaN where none is."""
    known = (~np.isnan(window)).sum(axis=0)
    total = np.nan_to_num(window).sum(axis=0)
    mean: Floats = np.divide(total, known, out=np.full(len(known), np.nan), where=known > 0)
    return mean


def mean_known(numbers: Floats) -> float:
    """Of those known; 0 where none is."""
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if len(known) else 0.0

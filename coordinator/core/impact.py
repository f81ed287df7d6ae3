"""Impact: what weights risk, are exposed to and would take to sell, and what trades take of it.

Place in the flow: pure arithmetic on weights, asked by `impact_lines` for every decision and by
`coordinator.quality.impact` when somebody asks for more. It knows no portfolio and no market.

Weights are fractions of NAV, losses positive ones. Volatilities are over the horizon unless said;
those of one session are that over the root of its sessions. Sources: value at risk and expected
shortfall, McNeil, Frey and Embrechts 2015, chapter 2; contributions to risk, Litterman 1996 and
Tasche 1999; diversification ratio, Choueifaty and Coignard 2008; square-root law of impact, Toth et
al. 2011, Grinold and Kahn 2000, chapter 16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.instrument import Instrument
from coordinator.core.ports import Floats
from schemas.market import MARKET_FACTOR

if TYPE_CHECKING:
    from coordinator.core.objectives import Expenses

__all__ = [
    "LEVELS",
    "Figures",
    "Groups",
    "Setting",
    "Trading",
    "diversification_ratio",
    "effective_names",
    "figures",
    "groups_of",
    "normal_tail",
    "risk_added",
    "risk_parts",
    "sessions_to_sell",
    "trading",
]

LEVELS = (0.95, 0.99)
"""Of value at risk and expected shortfall."""
LARGEST = 1e18
"""As `schemas.base.Finite`: what takes longer to sell than this takes this long."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Groups:
    """What n instruments belong to and are exposed to.

    sectors: sorted, the unknown one last. sector: (n,) which of them. factors: sorted, the market
    among them. exposures: (k, n), that to the market nothing: it is measured. market: its row.
    """

    sectors: tuple[str | None, ...]
    sector: NDArray[np.intp]
    factors: tuple[str, ...]
    exposures: Floats
    market: int


@dataclass(frozen=True, slots=True)
class Setting:
    """What weights are measured in. Arrays are (n,), covariance is (n, n).

    mu, covariance: over the horizon, in sessions. betas: to the market. volume: an average
    session's as a fraction of NAV, NaN where none is known. participation: share of it that is sold
    at most. expenses: what trades are expected to cost.
    """

    mu: Floats
    covariance: Floats
    horizon: float
    groups: Groups
    betas: Floats
    volume: Floats
    participation: float
    expenses: Expenses


@dataclass(frozen=True, slots=True)
class Figures:
    """What weights come to.

    long, short: (m,) by sector of the groups. factors: (k,) exposures. days: (n,) sessions to sell
    each position, NaN where its volume is not known; days_mean: by value, days_max: the slowest, of
    those known, None where none is. marginal: (n,) change of the volatility per unit of weight;
    shares: (n,) parts of the volatility, adding up to 1, zeros where nothing is at risk.
    """

    expected_return: float
    volatility: float
    volatility_session: float
    volatility_year: float
    long: Floats
    short: Floats
    factors: Floats
    days: Floats
    days_mean: float | None
    days_max: float | None
    effective_names: float | None
    diversification_ratio: float | None
    marginal: Floats
    shares: Floats


@dataclass(frozen=True, slots=True)
class Trading:
    """What trades take of the market. Arrays are (n,).

    volume_shares: of an average session's volume, NaN where none is known, or traded. costs: of
    impact, fractions of NAV, 0 where none is reckoned.
    """

    volume_shares: Floats
    costs: Floats

    @property
    def volume_share_max(self) -> float | None:
        """The largest known one of what is traded; None where nothing is."""
        return _largest(self.volume_shares)


def groups_of(instruments: Sequence[Instrument]) -> Groups:
    """By sector and factor, as they were listed."""
    sectors = sorted({one.sector for one in instruments}, key=lambda name: (name is None, name))
    at = {name: i for i, name in enumerate(sectors)}
    factors = sorted({MARKET_FACTOR, *(name for one in instruments for name, _ in one.factors)})
    row = {name: k for k, name in enumerate(factors)}
    exposures = np.zeros((len(factors), len(instruments)))
    for i, one in enumerate(instruments):
        for name, exposure in one.factors:
            exposures[row[name], i] = exposure
    return Groups(
        tuple(sectors),
        np.array([at[one.sector] for one in instruments], dtype=np.intp),
        tuple(factors),
        exposures,
        row[MARKET_FACTOR],
    )


def figures(setting: Setting, weights: Floats) -> Figures:
    """Of (n,) weights."""
    volatility, marginal, shares = risk_parts(weights, setting.covariance)
    groups, absolute = setting.groups, np.abs(weights)
    exposures = groups.exposures @ weights
    exposures[groups.market] = setting.betas @ weights
    session = volatility / math.sqrt(setting.horizon)
    days = sessions_to_sell(weights, setting.volume, setting.participation)
    alone = np.sqrt(np.diag(setting.covariance))
    return Figures(
        expected_return=float(setting.mu @ weights),
        volatility=volatility,
        volatility_session=session,
        volatility_year=session * math.sqrt(SESSIONS_A_YEAR),
        long=_by_sector(groups, np.maximum(weights, 0.0)),
        short=_by_sector(groups, np.minimum(weights, 0.0)),
        factors=exposures,
        days=days,
        days_mean=_mean(days, absolute),
        days_max=_largest(np.where(absolute > 0.0, days, np.nan)),
        effective_names=effective_names(weights),
        diversification_ratio=diversification_ratio(weights, alone, volatility),
        marginal=marginal,
        shares=shares,
    )


def trading(setting: Setting, trades: Floats) -> Trading:
    """Of (n,) trades: what they are of known volumes, and what the decision reckons they cost."""
    size = np.abs(trades)
    known = (setting.volume > 0.0) & (size > 0.0)
    shares = np.full(len(trades), np.nan)
    with np.errstate(over="ignore"):
        np.divide(size, setting.volume, out=shares, where=known)
    return Trading(np.minimum(shares, LARGEST), setting.expenses.of_trades(trades))


def risk_added(start: Floats, trades: Floats, covariance: Floats) -> Floats:
    """(n,) parts of the trades in the change of the volatility; they add up to it.

    The variance changes by z'Sigma(w + w'), w' = w + z, so the volatility does by that over the sum
    of both volatilities, exactly; each name's part is its own term.
    """
    after = start + trades
    both = _volatility(start, covariance) + _volatility(after, covariance)
    found: Floats = trades * (covariance @ (start + after))
    return found / both if both > 0.0 else np.zeros(len(trades))


def risk_parts(weights: Floats, covariance: Floats) -> tuple[float, Floats, Floats]:
    """The volatility, (n,) its change per unit of each weight, and (n,) each one's share of it.

    The volatility is homogeneous of degree 1, so weights times changes add up to it (Euler).
    """
    moved = covariance @ weights
    variance = float(weights @ moved)
    if variance <= 0.0:
        return 0.0, np.zeros(len(weights)), np.zeros(len(weights))
    volatility = math.sqrt(variance)
    return volatility, moved / volatility, weights * moved / variance


def normal_tail(volatility: float, level: float) -> tuple[float, float]:
    """Value at risk and expected shortfall of a normal distribution without drift."""
    quantile, beyond = _TAILS.get(level) or _standard_tail(level)
    return quantile * volatility, beyond * volatility


def _standard_tail(level: float) -> tuple[float, float]:
    """Of volatility 1."""
    quantile = _NORMAL.inv_cdf(level)
    return quantile, _NORMAL.pdf(quantile) / (1.0 - level)


def effective_names(weights: Floats) -> float | None:
    """Inverse of the Herfindahl index of the shares of gross exposure; None: nothing is held."""
    squares = float((weights**2).sum())
    return float(np.abs(weights).sum()) ** 2 / squares if squares > 0.0 else None


def diversification_ratio(weights: Floats, alone: Floats, volatility: float) -> float | None:
    """What the weights would risk if all moved as one, over what they risk together.

    alone: (n,) volatilities of the instruments, over the same time as the portfolio's.
    """
    if volatility <= 0.0:
        return None
    return min(float(np.abs(weights) @ alone) / volatility, LARGEST)


def sessions_to_sell(held: Floats, volume: Floats, participation: float) -> Floats:
    """(n,) sessions; NaN where no volume is known. held, volume: units, or fractions of NAV."""
    reach = volume * participation
    with np.errstate(over="ignore"):
        return np.minimum(np.abs(held) / np.where(reach > 0.0, reach, np.nan), LARGEST)


def _by_sector(groups: Groups, weights: Floats) -> Floats:
    """(m,) sums; in the order of the instruments, so the same bits everywhere."""
    count = len(groups.sectors)
    return np.bincount(groups.sector, weights, count).astype(np.float64, copy=False)


def _volatility(weights: Floats, covariance: Floats) -> float:
    return math.sqrt(max(float(weights @ covariance @ weights), 0.0))


def _mean(days: Floats, absolute: Floats) -> float | None:
    """Weighted by value, of those known."""
    known = ~np.isnan(days)
    total = float(absolute[known].sum())
    return float(days[known] @ absolute[known]) / total if total > 0.0 else None


def _largest(numbers: Floats) -> float | None:
    """Of those known; None where none is."""
    known = numbers[~np.isnan(numbers)]
    return float(known.max()) if len(known) else None


_TAILS = {level: _standard_tail(level) for level in LEVELS}

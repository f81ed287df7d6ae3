"""Bias: whether the volatility that was forecast for a portfolio's own weights came true.

Place in the flow: at the end of each session the weights held then get a forecast for the next one,
by the risk model that decisions use; when that one ends, their return over its forecast volatility
counts. Part of `evolve`; no decision reads it. One estimate of a close is for all that this shard's
portfolios of a currency hold then: where what a model says of two names depends on which others it
sees (estimated shrinkage, factors, holes, published ones), a forecast is that of all of them
together, not of its own names alone.

With z_t the standardised returns and fading weights w_t, the bias is B = sqrt(sum w z^2 / sum w): 1
where risk is forecast right, above 1 where it was too low. Its standard error is that of the mean
of z^2 by the delta method, sqrt((sum w z^4 / sum w - B^4) / N) / 2B, N = (sum w)^2 / sum w^2: fat
tails widen it, which 1 / sqrt(2 N) of the normal distribution would miss. Returns are taken about
zero, and are those of the weights, not of the books: trades and costs of the session are not in
them. Source: Barra USE4 Methodology Notes (Menchero, Orr and Wang 2011), appendix A, bias
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from coordinator.core.book import value
from coordinator.core.estimates import DEVIATIONS
from coordinator.core.ports import Floats, RiskModel
from coordinator.core.risk import covariance_of, published_now, risk_settings
from coordinator.core.state import Portfolio, State

__all__ = ["Bias", "Told", "forecasts_end", "told"]

SESSIONS_MIN = 20
"""Fewer forecasts than this tell no bias."""
UNKNOWN_MOST = 0.05
"""Share of what was held whose return may be unknown; it is taken not to have moved."""
STANDARDISED_MOST = 100.0
"""Returns count as that many forecast volatilities at most: one absurd price is not a bias."""
GROSS_MOST = 1e6
"""Weights beyond this are those of a portfolio that is worth next to nothing."""
Places: TypeAlias = NDArray[np.intp]


@dataclass(slots=True)
class Bias:
    """Forecasts of one portfolio so far, fading, and the one that waits.

    weights: by instrument, of NAV, at the close of the session `made_in`; forecast: their
    volatility over the next session; 0: none waits. count: forecasts that came true or not. total,
    squared: sums of w and w^2; second, fourth: of w z^2 and w z^4.
    """

    weights: dict[str, float]
    forecast: float = 0.0
    made_in: int = 0
    count: int = 0
    total: float = 0.0
    squared: float = 0.0
    second: float = 0.0
    fourth: float = 0.0

    def add(self, standardised: float, *, fade: float) -> None:
        """One more session; fade: what those before count for now."""
        square = standardised * standardised
        self.count += 1
        self.total = fade * self.total + 1.0
        self.squared = fade * fade * self.squared + 1.0
        self.second = fade * self.second + square
        self.fourth = fade * self.fourth + square * square


@dataclass(frozen=True, slots=True)
class Told:
    """The bias, its 95 % interval, and the forecasts it is made of."""

    bias: float
    low: float
    high: float
    count: int


def told(bias: Bias | None) -> Told | None:
    """What the forecasts so far tell; None where they are too few."""
    if bias is None or bias.count < SESSIONS_MIN:
        return None
    mean = bias.second / bias.total
    spread = max(0.0, bias.fourth / bias.total - mean * mean)
    level = math.sqrt(mean)
    of_mean = math.sqrt(spread * bias.squared) / bias.total
    error = of_mean / (2.0 * level) if level > 0.0 else 0.0
    far = DEVIATIONS * error
    return Told(level, max(0.0, level - far), level + far, bias.count)


def forecasts_end(state: State, risk_model: RiskModel) -> None:
    """A session is over, everywhere: forecasts for it count, and the next ones are made."""
    half_life = state.parameters.risk_bias_half_life_sessions
    if not half_life:
        state.biases.clear()
        return
    fade = 0.5 ** (1.0 / half_life)
    made: list[tuple[Portfolio, Bias]] = []
    for name in sorted(state.portfolios):
        portfolio, known = state.portfolios[name], state.biases.get(name)
        if known is not None:
            _settle(state, portfolio, known, fade)
            known.weights, known.forecast = {}, 0.0
        weights = {} if portfolio.closed else _held(state, portfolio)
        if weights:
            if known is None:
                known = state.biases[name] = Bias(weights)
            known.weights, known.made_in = weights, state.market.session
            made.append((portfolio, known))
    for currency in sorted({portfolio.currency for portfolio, _ in made}):
        held = [bias for portfolio, bias in made if portfolio.currency == currency]
        _forecast(state, currency, held, risk_model)


def _held(state: State, portfolio: Portfolio) -> dict[str, float]:
    """Weights by instrument, sorted; none where the portfolio cannot be valued."""
    worth = value(portfolio, state.market)
    if worth.unpriced or worth.nav <= 0:
        return {}
    weights = worth.weights
    if not float(np.abs(weights).sum()) <= GROSS_MOST:
        return {}
    return dict(zip(worth.instruments, weights.tolist(), strict=True))


def _forecast(state: State, currency: str, held: list[Bias], risk_model: RiskModel) -> None:
    """Volatility of those weights over one session, each by the rows of its own names."""
    names = tuple(sorted({name for bias in held for name in bias.weights}))
    places = {name: place for place, name in enumerate(names)}
    variance = _variances(state, names, currency, risk_model)
    for bias in held:
        at = np.array([places[name] for name in bias.weights], dtype=np.intp)
        weights = np.array(list(bias.weights.values()))
        bias.forecast = math.sqrt(max(0.0, variance(at, weights)))


def _variances(
    state: State, names: tuple[str, ...], currency: str, risk_model: RiskModel
) -> Callable[[Places, Floats], float]:
    """What tells the variance of weights in some of the names, by their places."""
    if published_now(state) is None:  # without the matrix, which many names make large
        returns = state.market.returns_in(currency, names)
        estimate = risk_model.estimate(returns, risk_settings(state.parameters))
        return lambda at, weights: estimate.some(at).variance(weights)
    covariance = covariance_of(state, names, currency=currency, horizon=1.0, risk_model=risk_model)
    return lambda at, weights: float(weights @ covariance[np.ix_(at, at)] @ weights)


def _settle(state: State, portfolio: Portfolio, bias: Bias, fade: float) -> None:
    """The session that a forecast was for counts, where the returns of what was held are known."""
    if bias.forecast <= 0.0 or bias.made_in != state.market.session - 1:
        return
    names, weights = tuple(bias.weights), np.array(list(bias.weights.values()))
    last = state.market.returns_in(portfolio.currency, names, sessions=1)
    if not len(last):
        return
    unknown = np.isnan(last[0])
    gross = float(np.abs(weights).sum())
    if float(np.abs(weights[unknown]).sum()) > UNKNOWN_MOST * gross:
        return
    moved = float(weights @ np.where(unknown, 0.0, last[0]))
    far = STANDARDISED_MOST
    bias.add(min(far, max(-far, moved / bias.forecast)), fade=fade)

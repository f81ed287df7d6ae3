"""What every risk model makes of a window of returns first: clipped, scaled, holes filled.

Place in the flow: asked by the models beside it. It must never see a return that was not known
then, nor depend on earlier calls. Windows are (t, n), sessions by instruments, oldest first.

Every correlation starts from A = k P + sum_t w_t E[u_t u_t' | observed], with P the constant-
correlation matrix, k its weight in sessions, w_t a session's weight and u = r / s. A missing return
counts with its expectation given the observed ones under P, plus what P leaves uncertain: one step
of expectation-maximisation from the prior. For constant correlation rho and m observed names both
are closed forms: E[u_j] = rho sum(u) / (1 + (m - 1) rho), and between missing names a covariance of
(1 - rho) I + rho (1 - rho) / (1 + (m - 1) rho) 11'. All of it is X' X + diag(e): rows and a
diagonal, which is how it is kept, as a portfolio's variance then costs no n x n matrix.
Source: Little and Rubin 2019, section 11.2 (missing values).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats, RiskSettings

__all__ = [
    "Evidence",
    "Faded",
    "Window",
    "evidence",
    "faded",
    "fading",
    "observations",
    "spread_of_holes",
    "volatilities",
    "windowed",
]

# Returns beyond this many robust sigmas are clipped to it: one bad print must not be a year's risk.
_WINSOR_SIGMAS = 8.0
# Observations from which a name's own median says what a robust sigma is.
_WINSOR_OBSERVATIONS_MIN = 20
# The median absolute value of a normal variable is sigma / 1.4826.
_MEDIAN_TO_SIGMA = 1.4826
# No session's return is taken below -100 % or above 1000 %.
_RETURN_MIN, _RETURN_MAX = -1.0, 10.0
# A variance is learned from fewer sessions than n (n - 1) / 2 correlations: the prior counts less.
_VARIANCE_WEIGHT_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Window:
    """(t, n) returns clipped at robust sigmas, 0 where unknown, and where they are known."""

    clipped: Floats
    observed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A = rows' rows + diag(rest): (m, n) and (n,).

    The first t rows are of one session each, and weights (t,) what each counts for. missing: (t, n)
    1 where a return is not known, else 0; what is uncertain there is in the rows beyond, and rest.
    """

    rows: Floats
    rest: Floats
    weights: Floats
    missing: Floats

    @property
    def sessions(self) -> Floats:
        """(t, n) of the rows."""
        return self.rows[: len(self.weights)]

    @property
    def diagonal(self) -> Floats:
        """(n,) of A."""
        found: Floats = np.einsum("ti,ti->i", self.rows, self.rows) + self.rest
        return found


def windowed(returns: Floats, settings: RiskSettings) -> Window:
    """The returns as models take them. returns: (t, n), NaN where unknown, t may be 0.

    The robust sigma is the median of absolute returns, scaled; where there are few observations it
    is at least the prior, and where most returns are zero (a name that hardly trades) it is the
    prior. Raises ValueError for another shape, an infinite return or a prior that is not positive
    definite.
    """
    _check(returns, settings)
    observed = ~np.isnan(returns)
    filled = np.clip(np.where(observed, returns, 0.0), _RETURN_MIN, _RETURN_MAX)
    robust = _MEDIAN_TO_SIGMA * _median_size(filled, observed)
    few = observed.sum(axis=0) < _WINSOR_OBSERVATIONS_MIN
    prior = settings.volatility_prior
    robust = np.where(few, np.maximum(robust, prior), robust)
    bound = _WINSOR_SIGMAS * np.where(robust > 0.0, robust, prior)
    return Window(np.clip(filled, -bound, bound), observed)


def _check(returns: Floats, settings: RiskSettings) -> None:
    if returns.ndim != 2:  # noqa: PLR2004  # sessions by instruments
        raise ValueError(f"returns: shape {returns.shape}; give (sessions, instruments)")
    if np.any(np.isinf(returns)):
        raise ValueError("returns: infinite value; give NaN where a return is unknown")
    positive = settings.volatility_prior > 0 and settings.weight_prior > 0
    if not (positive and 0.0 <= settings.correlation_prior < 1.0):
        raise ValueError(
            f"risk settings: {settings} is no prior; give volatility and weight above 0 and a "
            "correlation of at least 0 and below 1"
        )


def _median_size(filled: Floats, observed: NDArray[np.bool_]) -> Floats:
    """(n,) median absolute return of the observed ones; 0 where there are none."""
    t, n = filled.shape
    if t == 0:
        return np.zeros(n)
    sizes = np.sort(np.where(observed, np.abs(filled), np.inf), axis=0)
    counts = observed.sum(axis=0)
    columns = np.arange(n)
    lower = sizes[np.maximum(counts - 1, 0) // 2, columns]
    upper = sizes[np.minimum(counts // 2, t - 1), columns]
    with np.errstate(invalid="ignore"):
        middle = (lower + upper) / 2
    result: Floats = np.where(counts > 0, middle, 0.0)
    return result


def fading(sessions: int, half_life: float) -> Floats:
    """(t,) weights of sessions, oldest first: the newest counts one, half after a half-life."""
    weights: Floats = np.exp2(-np.arange(sessions - 1, -1, -1) / half_life)
    return weights


def observations(weights: Floats) -> float:
    """How many equally weighted sessions would tell as much (Kish): (sum w)^2 / sum w^2."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def volatilities(window: Window, weights: Floats, settings: RiskSettings) -> Floats:
    """(n,) s with s_i^2 = (q m v^2 + sum_t w_t r_ti^2) / (q m + sum_t w_t), of what was observed.

    weights: (t,). v is the prior volatility, q = k / 4 the sessions that it counts for, m the mean
    weight of the window: so it counts for the same share of a window of any weights.
    """
    prior = _VARIANCE_WEIGHT_SHARE * settings.weight_prior
    if len(weights):
        prior *= float(weights.mean())
    squares, seen = weights @ window.clipped**2, weights @ window.observed
    variance = (prior * settings.volatility_prior**2 + squares) / (prior + seen)
    result: Floats = np.sqrt(variance)
    return result


@dataclass(frozen=True, slots=True)
class Faded:
    """What models of fading sessions share.

    now: (n,) volatilities of the last sessions; usual: (n,) those of the sessions that correlations
    are learned from, whose weights are weights, (t,).
    """

    window: Window
    now: Floats
    usual: Floats
    weights: Floats


def faded(returns: Floats, settings: RiskSettings) -> Faded:
    """The window and its volatilities by both half-lives. Raises ValueError as `windowed` does."""
    if not (settings.volatility_half_life > 0 and settings.correlation_half_life > 0):
        raise ValueError(f"risk settings: {settings}; give half-lives above 0")
    window, t = windowed(returns, settings), len(returns)
    weights = fading(t, settings.correlation_half_life)
    now = volatilities(window, fading(t, settings.volatility_half_life), settings)
    return Faded(window, now, volatilities(window, weights, settings), weights)


def evidence(
    window: Window, sigma: Floats, weights: Floats, *, rho: float, prior: float
) -> Evidence:
    """A of the module's formula, divided by k + sum_t w_t, so that its diagonal is about one.

    sigma: (n,) s; weights: (t,) w; rho: correlation of P; prior: k > 0.
    """
    total = prior + float(weights.sum())
    scale = np.sqrt(weights / total)[:, None]
    rest = np.full(window.clipped.shape[1], prior * (1.0 - rho) / total)
    common = np.full((1, len(rest)), np.sqrt(prior * rho / total))
    standard = window.clipped / sigma
    holey, gone = ~window.observed.all(axis=1), np.where(window.observed, 0.0, 1.0)
    if not holey.any():
        return Evidence(np.vstack([standard * scale, common]), rest, weights / total, gone)
    missing = gone[holey]
    spread = _spread(missing, rho)[:, None]
    # With nothing observed in a session the sum is 0 and so is the expectation.
    drawn = rho * standard[holey].sum(axis=1, keepdims=True) / spread
    standard[holey] += missing * drawn
    left = _merged(missing, spread_of_holes(missing, rho) * weights[holey] / total)
    rest += (1.0 - rho) * (weights[holey] @ missing) / total
    return Evidence(np.vstack([standard * scale, common, left]), rest, weights / total, gone)


def spread_of_holes(missing: Floats, rho: float) -> Floats:
    """(t,) covariance between any two missing names, given the session's observed ones under P."""
    found: Floats = rho * (1.0 - rho) / _spread(missing, rho)
    return found


def _spread(missing: Floats, rho: float) -> Floats:
    """(t,) 1 + (m - 1) rho, m the observed names of a session."""
    observed = missing.shape[1] - missing.sum(axis=1)
    found: Floats = 1.0 + (observed - 1.0) * rho
    return found


def _merged(missing: Floats, strength: Floats) -> Floats:
    """(j, n) rows with rows' rows = sum_t strength_t missing_t missing_t', one a run of sessions.

    A name that is not listed yet is missing in one session as in the next: one row has them all.
    """
    turns = np.flatnonzero((missing[1:] != missing[:-1]).any(axis=1)) + 1
    starts = np.concatenate([np.zeros(1, dtype=np.intp), turns])
    merged: Floats = missing[starts] * np.sqrt(np.add.reduceat(strength, starts))[:, None]
    return merged

"""The first risk model: a covariance from few, holey returns and a prior.

Place in the flow: implements `core.ports.RiskModel`; the engine calls it with the returns known at
a moment. It must never see a return that was not known then, nor depend on earlier calls.

Two steps, both posterior means. With r winsorised returns (mean taken as zero), N_i observations of
name i, k = weight_prior and v = volatility_prior^2:

1. Variances, each from its own observations (inverse gamma):
   s_i^2 = (q v + sum_t r_ti^2) / (q + N_i), with q = k / 4, as a variance is learned from fewer
   sessions than n (n - 1) / 2 correlations.
2. Correlations of u = r / s (inverse Wishart around the constant-correlation matrix P):
   A = (k P + sum_t E[u_t u_t' | observed]) / (k + t), C = A scaled to a unit diagonal.
   A missing return counts with its expectation given the observed ones under P, plus what P leaves
   uncertain: one step of expectation-maximisation from the prior. For constant correlation rho
   and m observed names both are closed forms: E[u_j] = rho sum(u) / (1 + (m - 1) rho), and between
   missing names a covariance of (1 - rho) I + rho (1 - rho) / (1 + (m - 1) rho) 11'.

Sigma = S C S. A is k P, which is positive definite, plus positive semidefinite matrices; so Sigma
is positive definite by construction, whatever is missing. Sources: Gelman et al. 2013, section 3.6
(inverse Wishart);
Ledoit and Wolf 2003 (constant correlation); Little and Rubin 2019, section 11.2 (missing values).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats, RiskSettings

__all__ = ["PriorBlendedCovariance"]

# Returns beyond this many robust sigmas are clipped to it: one bad print must not be a year's risk.
_WINSOR_SIGMAS = 8.0
# Observations from which a name's own median says what a robust sigma is.
_WINSOR_OBSERVATIONS_MIN = 20
# The median absolute value of a normal variable is sigma / 1.4826.
_MEDIAN_TO_SIGMA = 1.4826
# No session's return is taken below -100 % or above 1000 %.
_RETURN_MIN, _RETURN_MAX = -1.0, 10.0
_VARIANCE_WEIGHT_SHARE = 0.25


class PriorBlendedCovariance:
    """RiskModel that blends observed returns with a constant-correlation prior."""

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session.

        returns: (t, n) one-session returns, NaN where unknown, t may be 0. Returns (n, n),
        symmetric. Raises ValueError for another shape, an infinite return or a prior that is not
        positive definite.
        """
        _check(returns, settings)
        observed = ~np.isnan(returns)
        clipped = _winsorised(returns, observed, settings)
        sigma = _volatilities(clipped, observed, settings)
        correlation = _correlation(clipped / sigma, observed, settings)
        result: Floats = correlation * np.outer(sigma, sigma)
        return result


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


def _winsorised(returns: Floats, observed: Floats, settings: RiskSettings) -> Floats:
    """(t, n) returns clipped at robust sigmas; 0 where unknown.

    The robust sigma is the median of absolute returns, scaled; where there are few observations it
    is at least the prior, and where most returns are zero (a name that hardly trades) it is the
    prior.
    """
    filled = np.clip(np.where(observed, returns, 0.0), _RETURN_MIN, _RETURN_MAX)
    robust = _MEDIAN_TO_SIGMA * _median_size(filled, observed)
    few = observed.sum(axis=0) < _WINSOR_OBSERVATIONS_MIN
    prior = settings.volatility_prior
    robust = np.where(few, np.maximum(robust, prior), robust)
    bound = _WINSOR_SIGMAS * np.where(robust > 0.0, robust, prior)
    result: Floats = np.clip(filled, -bound, bound)
    return result


def _median_size(filled: Floats, observed: Floats) -> Floats:
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


def _volatilities(clipped: Floats, observed: Floats, settings: RiskSettings) -> Floats:
    """(n,) step 1 of the module's formula."""
    weight = _VARIANCE_WEIGHT_SHARE * settings.weight_prior
    squares = np.sum(clipped**2, axis=0)
    variance = (weight * settings.volatility_prior**2 + squares) / (weight + observed.sum(axis=0))
    result: Floats = np.sqrt(variance)
    return result


def _correlation(standard: Floats, observed: NDArray[np.bool_], settings: RiskSettings) -> Floats:
    """(n, n) step 2 of the module's formula.

    standard: (t, n) returns over volatility, 0 where unknown.
    """
    t, n = standard.shape
    rho, weight = settings.correlation_prior, settings.weight_prior
    prior = np.full((n, n), rho)
    np.fill_diagonal(prior, 1.0)
    whole = observed.all(axis=1)
    full, holey = standard[whole], standard[~whole]
    seen = full.T @ full
    if len(holey):
        seen += _filled(holey, observed[~whole], rho)
    blend = (weight * prior + seen) / (weight + t)
    scale = np.sqrt(np.diag(blend))
    correlation: Floats = blend / np.outer(scale, scale)
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _filled(standard: Floats, observed: NDArray[np.bool_], rho: float) -> Floats:
    """(n, n) sum of E[u_t u_t' | observed] over sessions with missing returns; see the module."""
    missing = np.where(observed, 0.0, 1.0)
    spread = 1.0 + (observed.sum(axis=1, keepdims=True) - 1.0) * rho
    # With nothing observed in a session the sum is 0 and so is the expectation.
    expected = standard + missing * (rho * standard.sum(axis=1, keepdims=True) / spread)
    common = missing * np.sqrt(rho * (1.0 - rho) / spread)
    unexplained = np.diag((1.0 - rho) * missing.sum(axis=0)) + common.T @ common
    filled: Floats = expected.T @ expected + unexplained
    return filled

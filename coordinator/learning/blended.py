"""Blended: a covariance from few, holey returns and a prior, every session alike.

Place in the flow: one of the models that `risk` chooses from. Two steps, both posterior means. With
r winsorised returns (mean taken as zero), N_i observations of name i, k = weight_prior and
v = volatility_prior^2:

1. Variances, each from its own observations (inverse gamma):
   s_i^2 = (q v + sum_t r_ti^2) / (q + N_i), with q = k / 4, as a variance is learned from fewer
   sessions than n (n - 1) / 2 correlations.
2. Correlations of u = r / s (inverse Wishart around the constant-correlation matrix P):
   A = (k P + sum_t E[u_t u_t' | observed]) / (k + t), C = A scaled to a unit diagonal; what a
   missing return counts for is told in `returns`.

Sigma = S C S. A is k P, which is positive definite, plus positive semidefinite matrices; so Sigma
is positive definite by construction, whatever is missing. Sources: Gelman et al. 2013, section 3.6
(inverse Wishart); Ledoit and Wolf 2003 (constant correlation).
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.learning.returns import evidence, volatilities, windowed

__all__ = ["PriorBlendedCovariance"]


class PriorBlendedCovariance:
    """RiskModel that blends observed returns with a constant-correlation prior."""

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session; see `estimate`."""
        return self.estimate(returns, settings).covariance()

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        """The module's formula. returns: (t, n), NaN where unknown, t may be 0.

        Raises ValueError for another shape, an infinite return or a prior that is not positive
        definite.
        """
        window = windowed(returns, settings)
        weights, k = np.ones(len(returns)), settings.weight_prior
        sigma = volatilities(window, weights, settings)
        found = evidence(window, sigma, weights, rho=settings.correlation_prior, prior=k)
        scale = sigma / np.sqrt(found.diagonal)
        shrinkage = k / (k + len(returns))
        return RiskEstimate(
            found.rows * scale, found.rest * scale**2, shrinkage, float(len(returns))
        )

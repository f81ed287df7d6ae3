"""EWMA: exponentially fading sessions, correlations shrunk as much as the returns ask for.

Place in the flow: one of the models that `risk` chooses from. With r winsorised returns (mean taken
as zero), a session's age a, and two half-lives, since volatilities change faster than correlations:

1. s_i^2 = (q v^2 + sum_t w_t r_ti^2) / (q + sum_t w_t), w_t = 2^(-a / volatility_half_life), with v
   the prior volatility, which counts for q sessions.
2. S = sum_t w_t u_t u_t' / sum_t w_t with w_t = 2^(-a / correlation_half_life), u = r / s; what a
   missing return counts for is told in `returns`.
3. C = (1 - d) S + d P, scaled to a unit diagonal, with P the constant-correlation matrix of the
   prior and d the shrinkage: a parameter, or that of least expected squared error,
   d = sum_t w_t^2 |u_t u_t' - S|^2 / |S - P|^2 with weights that add up to 1 and Frobenius norms,
   P taken as given. It is at least 4 / (4 + N), N the number of sessions that would tell as much.

Sigma = S C S. d > 0 and P is positive definite; so Sigma is. Sources: RiskMetrics 1996, chapter 5
(fading weights); Ledoit and Wolf 2004 (the shrinkage of least error, here with unequal weights and
towards P); Ledoit and Wolf 2003 (constant correlation as what is shrunk to).
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.learning.returns import Evidence, evidence, faded, observations

__all__ = ["FadingCovariance", "least_error_shrinkage"]

# Sessions that what is shrunk to counts for at least: a few returns say nothing of a correlation.
_SESSIONS_LEAST = 4.0
# Of P in S: nothing, but that a window without a return has a diagonal.
_NOTHING = 1e-12


class FadingCovariance:
    """RiskModel of fading sessions and shrunk correlations."""

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session; see `estimate`."""
        return self.estimate(returns, settings).covariance()

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        """The module's formula. returns: (t, n), NaN where unknown, t may be 0.

        Raises ValueError for another shape, an infinite return, or settings that are no prior.
        """
        known, rho = faded(returns, settings), settings.correlation_prior
        seen = evidence(known.window, known.usual, known.weights, rho=rho, prior=_NOTHING)
        tells = observations(known.weights)
        wanted = settings.shrinkage
        shrinkage = least_error_shrinkage(seen, rho) if wanted is None else wanted
        shrinkage = min(1.0, max(shrinkage, _SESSIONS_LEAST / (_SESSIONS_LEAST + tells)))
        mixed = _shrunk(seen, rho, shrinkage)
        scale = known.now / np.sqrt(mixed.diagonal)
        return RiskEstimate(mixed.rows * scale, mixed.rest * scale**2, shrinkage, tells)


def _shrunk(seen: Evidence, rho: float, shrinkage: float) -> Evidence:
    common = np.full((1, len(seen.rest)), np.sqrt(shrinkage * rho))
    rows = np.vstack([np.sqrt(1.0 - shrinkage) * seen.rows, common])
    rest = (1.0 - shrinkage) * seen.rest + shrinkage * (1.0 - rho)
    return Evidence(rows, rest, seen.weights)


def least_error_shrinkage(seen: Evidence, rho: float) -> float:
    """d of the module's formula, from 0 to 1; 1 where the returns tell nothing."""
    rows, weights = seen.sessions, seen.weights
    if not len(rows):
        return 1.0
    sample = rows.T @ rows
    size = float((sample**2).sum())
    lengths = np.einsum("ti,ti->t", rows, rows)
    along = np.einsum("ti,ti->t", rows @ sample, rows)
    # With row = sqrt(w) u: w^2 |uu' - S|^2 = |row|^4 - 2 w row' S row + w^2 |S|^2.
    error = float((lengths**2 - 2.0 * weights * along + weights**2 * size).sum())
    # |S - P|^2, P being rho everywhere and 1 on the diagonal.
    off = sample - rho
    off[np.diag_indices_from(off)] -= 1.0 - rho
    apart = float((off**2).sum())
    return min(1.0, max(0.0, error / apart)) if apart > 0.0 else 1.0

"""EWMA: exponentially fading sessions, correlations shrunk as much as the returns ask for.

Place in the flow: one of the models that `risk` chooses from. With r winsorised returns (mean taken
as zero), a session's age a, and two half-lives, since volatilities change faster than correlations:

1. s_i^2 = (q m v^2 + sum_t w_t r_ti^2) / (q m + sum_t w_t) over the sessions in which i is known,
   w_t = 2^(-a / volatility_half_life), with v the prior volatility, q = weight_prior / 4 the
   sessions it counts for, and m the mean of all w_t: faded or not, its share of a window is the
   same.
2. S = sum_t w_t E_t / sum_t w_t with w_t = 2^(-a / correlation_half_life), E_t = u_t u_t',
   u = r / s, its s by these w; what E_t is where returns are missing is told in `returns`.
3. C = (1 - d) S + d P, scaled to a unit diagonal, with P the constant-correlation matrix of the
   prior and d the shrinkage: a parameter, or that of least expected squared error,
   d = sum_t w_t^2 |E_t - S|^2 / |S - P|^2 with weights that add up to 1 and Frobenius norms, P
   taken as given. It is at least 4 / (4 + N), N the number of sessions that would tell as much.

Sigma = S C S. d > 0 and P is positive definite; so Sigma is. Sources: RiskMetrics 1996, chapter 5
(fading weights); Ledoit and Wolf 2004 (the shrinkage of least error, here with unequal weights and
towards P); Ledoit and Wolf 2003 (constant correlation as what is shrunk to).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.learning.returns import Evidence, evidence, faded, observations, spread_of_holes

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
    return replace(seen, rows=rows, rest=rest)


def least_error_shrinkage(seen: Evidence, rho: float) -> float:
    """d of the module's formula, from 0 to 1; 1 where the returns tell nothing."""
    rows, weights = seen.sessions, seen.weights
    if not len(rows):
        return 1.0
    sample = seen.rows.T @ seen.rows
    sample[np.diag_indices_from(sample)] += seen.rest
    size = float((sample**2).sum())
    squares = np.einsum("ti,ti->t", rows, rows) ** 2
    along = np.einsum("ti,ti->t", rows @ sample, rows)
    if seen.missing.any():
        more, further = _of_holes(seen, sample, rho)
        squares, along = squares + more, along + further
    # With row = sqrt(w) u: w^2 |E - S|^2 = |w E|^2 - 2 w (w E, S) + w^2 |S|^2; (uu', S) = u' S u.
    error = float((squares - 2.0 * weights * along + weights**2 * size).sum())
    # |S - P|^2, P being rho everywhere and 1 on the diagonal.
    off = sample - rho
    off[np.diag_indices_from(off)] -= 1.0 - rho
    apart = float((off**2).sum())
    return min(1.0, max(0.0, error / apart)) if apart > 0.0 else 1.0


def _of_holes(seen: Evidence, sample: Floats, rho: float) -> tuple[Floats, Floats]:
    """(t,) and (t,): by how much |w E|^2 and (w E, S) are more than without what is uncertain.

    That is w (l diag(g) + c g g'), g being 1 where a return is missing; see `returns`.
    """
    rows, weights, gone = seen.sessions, seen.weights, seen.missing
    count = gone.sum(axis=1)
    own, common = 1.0 - rho, spread_of_holes(gone, rho)
    across = own * (rows**2 * gone).sum(axis=1) + common * (rows * gone).sum(axis=1) ** 2
    alone = own**2 * count + 2.0 * own * common * count + (common * count) ** 2
    within = np.einsum("ti,ti->t", gone @ sample, gone)
    along = own * (gone @ np.diag(sample)) + common * within
    return 2.0 * weights * across + weights**2 * alone, weights * along

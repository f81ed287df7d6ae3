"""Factor: a few common factors from the returns themselves, and what is each name's own.

Place in the flow: one of the models that `risk` chooses from. With volatilities and fading weights
as in `ewma`, and k the prior's weight:

1. A = (k P + sum_t w_t E[u_t u_t' | observed]) / (k + sum_t w_t), scaled to a unit diagonal, with P
   the constant-correlation matrix of the prior: the correlations that `blended` has, fading. It
   is X' X + diag(e), one row of X a session. k counts against sessions of weight 1 and does not
   fade with them, unlike the prior of a volatility: n (n - 1) / 2 correlations are told worse by
   sessions that have faded, so what is assumed is more of them then.
2. The factors are the principal components of X, those of the K largest eigenvalues: loadings B are
   the eigenvectors of X' X times the root of their eigenvalues, taken from the smaller of X' X and
   X X', which share these. Of a name's variance they explain at most 95 %; more is scaled down.
3. C = B B' + diag(1 - sum_k B_ik^2), Sigma = S C S.

K is a parameter, or what the returns tell: the K from 1 to 20 that makes
ln V(K) + K (n + T) / (n T) ln min(n, T) least, V(K) being the mean variance left over and T the
number of sessions that tell as much. B B' does not depend on the signs of eigenvectors, so no
convention is needed. At least 5 % of each name is its own, so Sigma is positive definite whatever n
and t are. Sources: Connor and Korajczyk 1988 (asymptotic principal components); Bai and Ng 2002
(the number, their IC_p2).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from coordinator.core.ports import Floats, RiskEstimate, RiskSettings
from coordinator.learning.returns import evidence, faded, observations

__all__ = ["FactorCovariance", "factors_told"]

_EXPLAINED_MAX = 0.95
_FACTORS_MAX = 20
"""That are looked for where the parameters leave the number open."""


class FactorCovariance:
    """RiskModel of principal components and specific variances."""

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session; see `estimate`."""
        return self.estimate(returns, settings).covariance()

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        """The module's formula. returns: (t, n), NaN where unknown, t may be 0.

        Raises ValueError for another shape, an infinite return, or settings that are no prior.
        """
        known, prior = faded(returns, settings), settings.weight_prior
        rho, tells = settings.correlation_prior, observations(known.weights)
        seen = evidence(known.window, known.usual, known.weights, rho=rho, prior=prior)
        rows = seen.rows / np.sqrt(seen.diagonal)
        wanted = min(settings.factors or _FACTORS_MAX, *rows.shape)
        variances, loadings = _components(rows, wanted)
        if not settings.factors:
            told = factors_told(variances, names=rows.shape[1], sessions=tells)
            loadings = loadings[:told]
        explained = (loadings**2).sum(axis=0)
        loadings = loadings * np.sqrt(_EXPLAINED_MAX / np.maximum(explained, _EXPLAINED_MAX))
        own = 1.0 - (loadings**2).sum(axis=0)
        shrinkage = prior / (prior + float(known.weights.sum()))
        return RiskEstimate(
            loadings * known.now, own * known.now**2, shrinkage, tells, factors=len(loadings)
        )


def _components(rows: Floats, count: int) -> tuple[Floats, Floats]:
    """(count,) largest eigenvalues of rows' rows, descending, and (count, n) loadings."""
    m, n = rows.shape
    if count == 0:
        return np.empty(0), np.empty((0, n))
    gram = rows.T @ rows if n <= m else rows @ rows.T
    last = len(gram) - 1
    values, vectors = eigh(gram, subset_by_index=(last - count + 1, last))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if n <= m:
        return values, (vectors * np.sqrt(values)).T
    return values, vectors.T @ rows


def factors_told(variances: Floats, *, names: int, sessions: float) -> int:
    """How many factors to keep, from 1 to as many as variances has; 0 where it has none.

    variances: eigenvalues of a correlation matrix of that many names, descending.
    """
    if not len(variances) or not sessions:
        return len(variances)
    kept = np.arange(1, len(variances) + 1)
    left = np.maximum(1.0 - np.cumsum(variances) / names, 1e-12)
    n, t = float(names), sessions
    criterion = np.log(left) + kept * (n + t) / (n * t) * np.log(min(n, t))
    return int(kept[np.argmin(criterion)])

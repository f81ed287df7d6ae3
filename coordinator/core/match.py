"""Stage A, second half: views are pooled per instrument and combined into one expected return.

Place in the flow: after `views`, before `allocate`. Black-Litterman with the view errors of `MATH`:
between views, Omega_ij = min(k_i, k_j) C_ij p_i' Sigma p_j. Views on one instrument are pooled
first in closed form, then all instruments are solved jointly. Everything is linear in the views, so
each signal's part of the result is exact. Sources: Black and Litterman 1992; Idzorek 2005.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.views import Scored, view_returns

__all__ = ["Combination", "Pool", "combine", "pool_views"]


@dataclass(frozen=True, slots=True)
class Pool:
    """Views per instrument after pooling.

    picks: (m,) instrument indices that have a view, rising. q, k: (m,) pooled view and its variance
    in units of the pick's variance. share: (rows,) weight of each signal in its pool; shares of a
    pool sum to 1. sources: (m, number of sources) shares per source.
    """

    picks: tuple[int, ...]
    q: Floats
    k: Floats
    share: Floats
    sources: Floats


@dataclass(frozen=True, slots=True)
class Combination:
    """The combined opinion.

    mu: (n,) expected return over the horizon, in excess of cash. own: (rows,) each signal's part of
    its own instrument's mu. influence: (n, rows) each signal's part of every mu; its rows sum to
    mu. q: (rows,) the view's return, before its uncertainty. errors: (m, m) correlation of the
    pooled views' errors, in the order of pool.picks.
    """

    mu: Floats
    influence: Floats
    own: Floats
    q: Floats
    pool: Pool
    errors: Floats


def pool_views(rows: list[Scored], q: Floats, *, correlation: float) -> Pool:
    """Pool the views of each instrument: a = (11' + K)^-1 1, K_ij = min(k_i, k_j) C_ij.

    rows are sorted by instrument. correlation: of two sources' view errors. Views of one source on
    one instrument (its strategies) err together as much as the engine allows for.
    """
    names = sorted({row.view.source for row in rows})
    column = {name: i for i, name in enumerate(names)}
    groups: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.pick, []).append(i)
    picks = tuple(sorted(groups))
    share = np.zeros(len(rows))
    pooled_q, pooled_k = np.zeros(len(picks)), np.zeros(len(picks))
    sources = np.zeros((len(picks), len(names)))
    for m, pick in enumerate(picks):
        members = groups[pick]
        weights, k = _pool_one([rows[i] for i in members], correlation)
        share[members] = weights
        pooled_q[m] = float(weights @ q[members])
        pooled_k[m] = k
        for i, weight in zip(members, weights, strict=True):
            sources[m, column[rows[i].view.source]] += weight
    return Pool(picks, pooled_q, pooled_k, share, sources)


SAME_SOURCE = 0.98
"""Correlation of the view errors of one source's strategies: the most that is solvable."""


def _pool_one(rows: list[Scored], correlation: float) -> tuple[Floats, float]:
    """Weights that sum to 1 and the pooled k of one instrument's views."""
    if len(rows) == 1:
        return np.ones(1), rows[0].k
    k = np.array([row.k for row in rows])
    same = np.array([[a.view.source == b.view.source for b in rows] for a in rows])
    errors = np.where(same, SAME_SOURCE, correlation)
    np.fill_diagonal(errors, 1.0)
    matrix = 1.0 + np.minimum.outer(k, k) * errors
    a = np.linalg.solve(matrix, np.ones(len(rows)))
    total = float(a.sum())
    return a / total, max(1.0 / total - 1.0, 1e-9)


def combine(
    rows: list[Scored], covariance: Floats, *, prior: Floats, correlation: float
) -> Combination:
    """mu = pi + Sigma P' (P Sigma P' + Omega)^-1 (q - P pi).

    covariance: (n, n) over the horizon. prior: (n,) pi. rows may be empty: mu is then the prior.
    """
    n = len(covariance)
    q = view_returns(rows, np.sqrt(np.diag(covariance)))
    pool = pool_views(rows, q, correlation=correlation)
    if not rows:
        return Combination(prior.copy(), np.zeros((n, 0)), np.zeros(0), q, pool, np.zeros((0, 0)))
    picks = np.array(pool.picks)
    between = covariance[np.ix_(picks, picks)]
    errors = _error_correlation(pool, correlation)
    s = between * (1.0 + np.minimum.outer(pool.k, pool.k) * errors)
    gain = np.linalg.solve(s, covariance[picks, :]).T  # (n, m)
    place = {pick: m for m, pick in enumerate(pool.picks)}
    slot = np.array([place[row.pick] for row in rows])
    row_picks = np.array([row.pick for row in rows])
    influence = gain[:, slot] * (pool.share * (q - prior[row_picks]))
    mu = prior + influence.sum(axis=1)
    own = influence[row_picks, np.arange(len(rows))]
    return Combination(mu, influence, own, q, pool, errors)


def _error_correlation(pool: Pool, correlation: float) -> Floats:
    """(m, m) correlation of pooled errors: 1 between picks of the same sources, else by shares."""
    count = pool.sources.shape[1]
    between = np.full((count, count), correlation)
    np.fill_diagonal(between, 1.0)
    raw = pool.sources @ between @ pool.sources.T
    size = np.sqrt(np.maximum(np.diag(raw), 1e-300))
    matrix: Floats = np.clip(raw / np.outer(size, size), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

"""Stage A, second half: views are pooled per instrument and combined into one expected return.

Place in the flow: after `views`, before `allocate`. Black-Litterman with the view errors of `MATH`:
between views, Omega_ij = min(k_i, k_j) C_ij p_i' Sigma p_j. Views on one instrument are pooled
first in closed form, then all instruments are solved jointly. Everything is linear in the views, so
each signal's part of the result is exact. Sources: Black and Litterman 1992; Idzorek 2005.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.board import Board, sums
from coordinator.core.ports import Floats

__all__ = ["Combination", "Pool", "combine", "error_correlation", "pool_views", "view_returns"]

SAME_SOURCE = 0.98
"""Correlation of the view errors of one source's strategies: the most that is solvable."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Views per instrument after pooling; m as in `Board.picks`.

    q, k: (m,) pooled view and its variance in units of the pick's variance. share: (rows,) weight
    of each signal in its pool; shares of a pool sum to 1. sources: (m, number of sources) shares
    per source.
    """

    q: Floats
    k: Floats
    share: Floats
    sources: Floats


@dataclass(frozen=True, slots=True)
class Combination:
    """The combined opinion.

    mu: (n,) expected return over the horizon, in excess of cash. own: (rows,) each signal's part of
    its own instrument's mu. q: (rows,) the view's return, before its uncertainty. errors: (m, m)
    correlation of the pooled views' errors, in the order of board.picks. gain: (n, m) what one unit
    of each pooled view adds to every mu; part: (rows,) each signal's units of its pool's view.
    """

    mu: Floats
    own: Floats
    q: Floats
    pool: Pool
    errors: Floats
    gain: Floats
    part: Floats
    board: Board

    @property
    def influence(self) -> Floats:
        """(n, rows) each signal's part of every mu; with the prior its rows sum to mu."""
        influence: Floats = self.gain[:, self.board.slot] * self.part
        return influence

    def utility(self, weights: Floats) -> Floats:
        """(rows,) each signal's part of mu'w: influence'w."""
        utility: Floats = (weights @ self.gain)[self.board.slot] * self.part
        return utility


def view_returns(board: Board, volatility: Floats) -> Floats:
    """(rows,) q of each row: the return over the horizon that it alone would imply.

    volatility: (n,) per pick over the horizon.
    """
    q: Floats = board.score * volatility[board.pick] / board.skill
    return q


def pool_views(board: Board, q: Floats, *, correlation: float) -> Pool:
    """Pool the views of each instrument: a = (11' + K)^-1 1, K_ij = min(k_i, k_j) C_ij.

    correlation: of two sources' view errors. Views of one source on one instrument (its strategies)
    err together as much as the engine allows for.
    """
    share, pooled_k = np.ones(len(board)), np.zeros(len(board.picks))
    for slots, rows in board.groups():
        k = board.k[rows]
        if rows.shape[1] == 1:
            pooled_k[slots] = k[:, 0]
            continue
        together = error_correlation(board, rows, correlation)
        matrix = 1.0 + np.minimum(k[:, :, None], k[:, None, :]) * together
        a = np.linalg.solve(matrix, np.ones((*rows.shape, 1)))[:, :, 0]
        total = a.sum(axis=1)
        share[rows] = a / total[:, None]
        pooled_k[slots] = np.maximum(1.0 / total - 1.0, 1e-9)
    m, width = len(board.picks), len(board.sources)
    pooled_q = sums(board.slot, share * q, count=m)
    cells = board.slot * width + board.source
    sources = sums(cells, share, count=m * width).reshape(m, width)
    return Pool(pooled_q, pooled_k, share, sources)


def error_correlation(board: Board, rows: NDArray[np.intp], correlation: float) -> Floats:
    """(g, size, size) correlation of the view errors between the rows of each instrument."""
    source = board.source[rows]
    same = source[:, :, None] == source[:, None, :]
    errors = np.where(same, SAME_SOURCE, correlation)
    diagonal = np.arange(rows.shape[1])
    errors[:, diagonal, diagonal] = 1.0
    return errors


def combine(board: Board, covariance: Floats, *, prior: Floats, correlation: float) -> Combination:
    """mu = pi + Sigma P' (P Sigma P' + Omega)^-1 (q - P pi).

    covariance: (n, n) over the horizon. prior: (n,) pi. The board may be empty: mu is then the
    prior.
    """
    picks = board.picks
    q = view_returns(board, np.sqrt(np.diag(covariance)))
    pool = pool_views(board, q, correlation=correlation)
    errors = _pooled_correlation(pool, correlation)
    seen = covariance[picks]
    s = seen[:, picks] * (1.0 + np.minimum(pool.k[:, None], pool.k) * errors)
    gain: Floats = np.asarray(np.linalg.solve(s, seen), dtype=np.float64).T
    part = pool.share * (q - prior[board.pick])
    mu = prior + gain @ sums(board.slot, part, count=len(picks))
    own = gain[board.pick, board.slot] * part
    return Combination(mu, own, q, pool, errors, gain, part, board)


def _pooled_correlation(pool: Pool, correlation: float) -> Floats:
    """(m, m) correlation of pooled errors: 1 between picks of the same sources, else by shares."""
    count = pool.sources.shape[1]
    between = np.full((count, count), correlation)
    np.fill_diagonal(between, 1.0)
    raw = pool.sources @ between @ pool.sources.T
    size = np.sqrt(np.maximum(np.diag(raw), 1e-300))
    matrix: Floats = np.minimum(np.maximum(raw / size / size[:, None], -1.0), 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

"""Stage A, second half: views are pooled per instrument and combined into one expected return.

Place in the flow: after `views`, before `allocate`. Black-Litterman with the view errors of `MATH`:
between views, Omega_ij = min(k_i, k_j) C_ij p_i' Sigma p_j. Views on one instrument are pooled
first in closed form, then all instruments are solved jointly. Everything is linear in the views, so
each signal's part of the result is exact. How views are weighed does not depend on what they say,
only on who speaks of what and how surely: so it is kept from round to round. Sources: Black and
Litterman 1992; Idzorek 2005.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.board import Board, sums
from coordinator.core.likeness import CORRELATION_MOST
from coordinator.core.ports import Floats
from coordinator.core.recall import Recall

__all__ = [
    "Combination",
    "Pool",
    "Weighing",
    "combine",
    "error_correlation",
    "pool_views",
    "view_returns",
]

SAME_SOURCE = CORRELATION_MOST
"""Correlation of the view errors of one source's strategies."""


@dataclass(frozen=True, slots=True)
class Pool:
    """How the views of each instrument are pooled; m as in `Board.picks`.

    k: (m,) variance of the pooled view in units of the pick's variance. share: (rows,) weight of
    each signal in its pool; shares of a pool sum to 1. sources: (m, number of sources) shares per
    source.
    """

    k: Floats
    share: Floats
    sources: Floats


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much each view counts, whatever it says.

    errors: (m, m) correlation of the pooled views' errors, in the order of board.picks. gain:
    (n, m) what one unit of each pooled view adds to every mu. own: (rows,) what one unit of each
    view's part adds to its own instrument's mu.
    """

    pool: Pool
    errors: Floats
    gain: Floats
    own: Floats


@dataclass(frozen=True, slots=True)
class Combination:
    """The combined opinion.

    mu: (n,) expected return over the horizon, in excess of cash. own: (rows,) each signal's part of
    its own instrument's mu. q: (rows,) the view's return, before its uncertainty; pooled: (m,) the
    same of each pool. part: (rows,) each signal's units of its pool's view.
    """

    mu: Floats
    own: Floats
    q: Floats
    pooled: Floats
    weighing: Weighing
    part: Floats
    board: Board

    @property
    def influence(self) -> Floats:
        """(n, rows) each signal's part of every mu; with the prior its rows sum to mu."""
        influence: Floats = self.weighing.gain[:, self.board.slot] * self.part
        return influence

    def utility(self, weights: Floats) -> Floats:
        """(rows,) each signal's part of mu'w: influence'w."""
        utility: Floats = (weights @ self.weighing.gain)[self.board.slot] * self.part
        return utility


def view_returns(board: Board, volatility: Floats) -> Floats:
    """(rows,) q of each row: the return over the horizon that it alone would imply.

    volatility: (n,) per pick over the horizon.
    """
    q: Floats = board.score * volatility[board.pick] / board.skill
    return q


def pool_views(board: Board, *, between: Floats) -> Pool:
    """Pool the views of each instrument: a = (11' + K)^-1 1, K_ij = min(k_i, k_j) C_ij.

    between: as in `combine`. Views of one source on one instrument (its strategies) err together as
    much as the engine allows for.
    """
    share, pooled_k = np.ones(len(board)), np.zeros(len(board.picks))
    for slots, rows in board.groups():
        k = board.k[rows]
        if rows.shape[1] == 1:
            pooled_k[slots] = k[:, 0]
            continue
        together = error_correlation(board, rows, between)
        matrix = 1.0 + np.minimum(k[:, :, None], k[:, None, :]) * together
        a = np.linalg.solve(matrix, np.ones((*rows.shape, 1)))[:, :, 0]
        total = a.sum(axis=1)
        share[rows] = a / total[:, None]
        pooled_k[slots] = np.maximum(1.0 / total - 1.0, 1e-9)
    m, width = len(board.picks), len(board.sources)
    cells = board.slot * width + board.source
    sources = sums(cells, share, count=m * width).reshape(m, width)
    return Pool(pooled_k, share, sources)


def error_correlation(board: Board, rows: NDArray[np.intp], between: Floats) -> Floats:
    """(g, size, size) correlation of the view errors between the rows of each instrument."""
    source = board.source[rows]
    same = source[:, :, None] == source[:, None, :]
    errors = np.where(same, SAME_SOURCE, between[source[:, :, None], source[:, None, :]])
    diagonal = np.arange(rows.shape[1])
    errors[:, diagonal, diagonal] = 1.0
    return errors


def combine(
    board: Board,
    covariance: Floats,
    *,
    prior: Floats,
    between: Floats,
    weighings: Recall[Weighing] | None = None,
) -> Combination:
    """mu = pi + Sigma P' (P Sigma P' + Omega)^-1 (q - P pi).

    covariance: (n, n) over the horizon. prior: (n,) pi. between: (s, s) correlation of
    the view errors of the board's sources, 1 on its diagonal. The board may be empty: mu is then
    the prior. weighings: those of rounds before; only where nothing ever changes a covariance.
    """
    if weighings is None:
        weighing = _weigh(board, covariance, between=between)
    else:
        columns = (board.pick, board.source, board.k)
        weighing = weighings.get(
            (between.tobytes(), board.sources, *(column.tobytes() for column in columns)),
            lambda: _weigh(board, covariance, between=between),
            same=(covariance,),
        )
    share, m = weighing.pool.share, len(board.picks)
    q = view_returns(board, np.sqrt(np.diag(covariance)))
    pooled = sums(board.slot, share * q, count=m)
    part = share * (q - prior[board.pick])
    mu = prior + weighing.gain @ sums(board.slot, part, count=m)
    return Combination(mu, weighing.own * part, q, pooled, weighing, part, board)


def _weigh(board: Board, covariance: Floats, *, between: Floats) -> Weighing:
    """Made from the columns pick, source and k, the sources' names and the covariance alone."""
    picks = board.picks
    pool = pool_views(board, between=between)
    errors = _pooled_correlation(pool, between)
    seen = covariance[picks]
    s = seen[:, picks] * (1.0 + np.minimum(pool.k[:, None], pool.k) * errors)
    gain: Floats = np.asarray(np.linalg.solve(s, seen), dtype=np.float64).T
    return Weighing(pool, errors, gain, gain[board.pick, board.slot])


def _pooled_correlation(pool: Pool, between: Floats) -> Floats:
    """(m, m) correlation of pooled errors: 1 between picks of the same sources, else by shares."""
    raw = pool.sources @ between @ pool.sources.T
    size = np.sqrt(np.maximum(np.diag(raw), 1e-300))
    matrix: Floats = np.minimum(np.maximum(raw / size / size[:, None], -1.0), 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

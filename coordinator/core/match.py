"""Stage A, second half: views are pooled per pick and combined into one expected return.

Place in the flow: after `views`, before `allocate`. Black-Litterman with the view errors of `MATH`:
between views, Omega_ij = min(k_i, k_j) C_ij p_i' Sigma p_j. Views on one pick (an instrument, a
pair, a basket) are pooled first in closed form, then all picks are solved jointly. Everything is
linear in the views, so each signal's part of the result is exact. How views are weighed does not
depend on what they say, only on who speaks of what and how surely: so it is kept from round to
round. Sources: Black and Litterman 1992; Idzorek 2005.
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
CUT_OFF = 1e-10
"""Eigenvalues below this part of the largest count as none."""
EIGENVECTORS_MAX = 300
"""Picks of which eigenvectors are still quick."""
APART_LEAST = 1e-8
"""Where the smallest pivot is larger, nothing is near to being determined by the rest."""
SIZE_LEAST = 1e-300


@dataclass(frozen=True, slots=True)
class Pool:
    """How the views of each pick are pooled; m as in `Board.picks`.

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

    variance: (m,) of each pick over the horizon, in the order of board.picks. errors: (m, m)
    correlation of the pooled views' errors. gain: (n, m) what one unit of each pooled view adds to
    every mu. own: (rows,) what one unit of each view's part adds to its own instrument's mu.
    """

    pool: Pool
    variance: Floats
    errors: Floats
    gain: Floats
    own: Floats


@dataclass(frozen=True, slots=True)
class Combination:
    """The combined opinion.

    mu: (n,) expected return over the horizon, in excess of cash. own: (rows,) each signal's part of
    its own instrument's mu. q: (rows,) the view's return, before its uncertainty; pooled: (m,) the
    same of each pool. part: (rows,) each signal's units of its pool's view. prior: (n,) what is
    expected where nobody says anything.
    """

    mu: Floats
    own: Floats
    q: Floats
    pooled: Floats
    weighing: Weighing
    part: Floats
    board: Board
    prior: Floats

    @property
    def wish(self) -> Floats:
        """(rows,) v = q - P pi: what each view expects beyond the prior, before its uncertainty."""
        found: Floats = self.q - self.board.along(self.prior)[self.board.slot]
        return found

    @property
    def pooled_wish(self) -> Floats:
        """(m,) the same of each pool."""
        found: Floats = self.pooled - self.board.along(self.prior)
        return found

    @property
    def influence(self) -> Floats:
        """(n, rows) each signal's part of every mu; with the prior its rows sum to mu."""
        influence: Floats = self.weighing.gain[:, self.board.slot] * self.part
        return influence

    def utility(self, weights: Floats) -> Floats:
        """(rows,) each signal's part of mu'w: influence'w."""
        utility: Floats = (weights @ self.weighing.gain)[self.board.slot] * self.part
        return utility


def view_returns(board: Board, variance: Floats) -> Floats:
    """(rows,) q of each row: the return of its pick over the horizon that it alone would imply.

    variance: (m,) of each pick over the horizon.
    """
    q: Floats = board.score * np.sqrt(variance)[board.slot] / board.skill
    return q


def pool_views(board: Board, *, between: Floats) -> Pool:
    """Pool the views of each pick: a = (11' + K)^-1 1, K_ij = min(k_i, k_j) C_ij.

    between: as in `combine`. Views of one source on one pick (its strategies) err together as much
    as the engine allows for.
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
    """(g, size, size) correlation of the view errors between the rows of each pick."""
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
            same=(covariance, board.exposure),
        )
    share, m = weighing.pool.share, len(board.picks)
    q = view_returns(board, weighing.variance)
    pooled = sums(board.slot, share * q, count=m)
    part = share * (q - board.along(prior)[board.slot])
    mu = prior + weighing.gain @ sums(board.slot, part, count=m)
    return Combination(mu, weighing.own * part, q, pooled, weighing, part, board, prior)


def _weigh(board: Board, covariance: Floats, *, between: Floats) -> Weighing:
    """Made from what is spoken of, source and k, the sources' names and the covariance alone."""
    pool = pool_views(board, between=between)
    errors = _pooled_correlation(pool, between)
    seen = board.seen(covariance)
    within = board.within(seen)
    s = within * (1.0 + np.minimum(pool.k[:, None], pool.k) * errors)
    solved = np.linalg.solve(s, seen) if board.exposure is None else _solved(s, seen)
    gain: Floats = np.asarray(solved, dtype=np.float64).T
    return Weighing(pool, np.diag(within).copy(), errors, gain, gain[board.pick, board.slot])


def _solved(s: Floats, seen: Floats) -> Floats:
    """S^-1 seen, with the pseudo-inverse where picks determine each other, as those of ranks do.

    Of S scaled to a unit diagonal, so that the cut-off compares like with like. What S cannot see
    is nothing that `seen` has any of: so where eigenvectors would take too long, as little is put
    on the diagonal, which changes the result by next to nothing.
    """
    size = np.sqrt(np.maximum(np.diag(s), SIZE_LEAST))
    scaled, right = s / np.outer(size, size), seen / size[:, None]
    try:
        apart = float(np.diag(np.linalg.cholesky(scaled)).min()) ** 2 > APART_LEAST
    except np.linalg.LinAlgError:
        apart = False
    if apart:
        return np.asarray(np.linalg.solve(scaled, right), dtype=np.float64) / size[:, None]
    if len(s) > EIGENVECTORS_MAX:
        ridged = scaled + CUT_OFF * np.eye(len(s))
        return np.asarray(np.linalg.solve(ridged, right), dtype=np.float64) / size[:, None]
    values, vectors = np.linalg.eigh(scaled)
    kept = values > CUT_OFF * values[-1]
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
    found: Floats = (vectors * inverse) @ (vectors.T @ right) / size[:, None]
    return found


def _pooled_correlation(pool: Pool, between: Floats) -> Floats:
    """(m, m) correlation of pooled errors: 1 between picks of the same sources, else by shares."""
    raw = pool.sources @ between @ pool.sources.T
    size = np.sqrt(np.maximum(np.diag(raw), SIZE_LEAST))
    matrix: Floats = np.minimum(np.maximum(raw / size / size[:, None], -1.0), 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix

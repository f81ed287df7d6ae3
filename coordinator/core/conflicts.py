"""Which opinions contradict each other, or the mandate, and how surely.

Place in the flow: after `match` combined the views, before the decision is written. What opinions
have against each other is found once for all who hear them. The statistic
is the difference of two views in units of its own uncertainty; severity = 2 Phi(|z|) - 1. What
counts of a view is what it expects beyond the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from coordinator.core.board import Board, Indices
from coordinator.core.budgets import overruns
from coordinator.core.match import Combination, error_correlation
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.state import Source
from coordinator.core.tilt import NEUTRAL, Tilt
from schemas.control import Parameters
from schemas.decisions import ConflictKind

__all__ = ["Conflict", "find_conflicts", "opinions_apart"]

_NORMAL = NormalDist()
HORIZON_RATIO = 3.0
"""Opposite views whose horizons differ by this factor may both be right, each in its time."""
CAPACITY_NAMES_MAX = 10
OPPOSED_MAX = 4_096
"""Conflicts on one pick that are kept: a pure function of what it is given."""
ROOM_MIN = 1e-9
"""Less room than this under a limit is none, fraction of NAV."""


class Conflict(NamedTuple):
    """One contradiction.

    picks: instrument indices. rows: the signals that take part; signals: their names, sorted.
    """

    kind: ConflictKind
    picks: tuple[int, ...]
    rows: tuple[int, ...]
    severity: float
    signals: tuple[str, ...]


class Apart(NamedTuple):
    """Conflicts between opinions. beyond: how many milder ones there are than all that are told."""

    conflicts: Sequence[Conflict]
    beyond: int


def opinions_apart(
    combination: Combination, covariance: Floats, between: Floats, parameters: Parameters
) -> Apart:
    """Conflicts between opinions, whoever hears them, of at least the reported severity.

    between: as in `match.combine`.
    """
    board = combination.board
    if not len(board):
        return Apart([], 0)
    correlated, beyond = _correlated(combination, covariance, parameters)
    found = [*_opposite(combination, between, parameters), *correlated]
    kept = [c for c in found if c.severity >= parameters.conflict_severity_min]
    return Apart(kept, beyond)


def find_conflicts(
    apart: Apart,
    combination: Combination,
    problem: AllocationProblem,
    sources: Mapping[str, Source],
    parameters: Parameters,
    *,
    rates: Mapping[str, float],
    tilt: Tilt = NEUTRAL,
) -> list[Conflict]:
    """All conflicts of a round of at least the reported severity, the most severe first.

    apart: those between opinions; those with the portfolio's own mandate, and of wishes with the
    budgets of their strategies, join them. rates: units of the portfolio's currency for one of
    others.
    """
    if not len(combination.board):
        return []
    own = [
        *_forbidden(combination, problem),
        *_capacity(combination, problem),
        *_beyond_budget(combination, problem, sources, rates, tilt),
    ]
    found = [*apart.conflicts, *(c for c in own if c.severity >= parameters.conflict_severity_min)]
    return sorted(found, key=lambda c: (-c.severity, c.kind, c.picks))


def _conflict(
    board: Board,
    kind: ConflictKind,
    picks: tuple[int, ...],
    rows: tuple[int, ...],
    severity: float,
) -> Conflict:
    signals = tuple(sorted([board.references[i] for i in rows]))
    return Conflict(kind, picks, rows, severity, signals)


def severity_of(z: float) -> float:
    """How surely a difference of |z| standard errors is not zero."""
    return 2.0 * _NORMAL.cdf(abs(z)) - 1.0


def _opposite(combination: Combination, between: Floats, parameters: Parameters) -> list[Conflict]:
    """Opposite views on one pick: one conflict each, as severe as its worst pair."""
    board, v, found = combination.board, combination.wish, []
    variance = combination.weighing.variance
    for everyone, all_rows in board.groups():
        wish = v[all_rows]
        split = (wish > 0.0).any(axis=1) & (wish < 0.0).any(axis=1)
        if not split.any():
            continue
        slots, rows = everyone[split], all_rows[split]
        z = _separations(board, rows, wish[split], variance[slots], between)
        # Of equally bad pairs the last: the order is the board's, the same everywhere.
        flat = z.reshape(len(slots), -1)[:, ::-1]
        place = flat.shape[1] - 1 - flat.argmax(axis=1)
        buy, sell = np.divmod(place, rows.shape[1])
        nth = np.arange(len(slots))
        worst, buys, sells = z[nth, buy, sell], rows[nth, buy], rows[nth, sell]
        lines = zip(
            slots.tolist(),
            board.picks[slots].tolist(),
            worst.tolist(),
            buys.tolist(),
            sells.tolist(),
            strict=True,
        )
        for slot, pick, one, i, j in lines:
            first, second = board.views[i].horizon, board.views[j].horizon
            ratio = max(first, second) / min(first, second)
            left, other = float(board.left[i]), float(board.left[j])
            stale = min(left, other) <= parameters.conflict_stale_share * max(left, other)
            rows_here = board.rows_of(slot)
            names = board.references[rows_here[0] : rows_here[-1] + 1]
            found.append(_opposed(pick, rows_here, names, one, _opposition(ratio, stale=stale)))
    return found


def _opposition(ratio: float, *, stale: bool) -> ConflictKind:
    """ratio: of the horizons. stale: whether much more of one than of the other is over."""
    if ratio >= HORIZON_RATIO:
        return ConflictKind.HORIZON
    return ConflictKind.STALE if stale else ConflictKind.OPPOSITE_DIRECTION


@lru_cache(maxsize=OPPOSED_MAX)
def _opposed(
    pick: int, rows: tuple[int, ...], names: tuple[str, ...], worst: float, kind: ConflictKind
) -> Conflict:
    """One pick's: mostly what it was in the round before."""
    return Conflict(kind, (pick,), rows, severity_of(worst), tuple(sorted(names)))


def _separations(
    board: Board,
    rows: Indices,
    wish: Floats,
    variance: Floats,
    between: Floats,
) -> Floats:
    """(g, size, size) z of the difference of a buying and a selling view; -1 for other pairs.

    rows: (g, size) views of one pick each; wish: (g, size) what they expect; variance: (g,) of it.
    """
    k = board.k[rows]
    one, other = k[:, :, None], k[:, None, :]
    spread = one + other - 2.0 * np.minimum(one, other) * error_correlation(board, rows, between)
    gap = wish[:, :, None] - wish[:, None, :]
    z = gap / np.sqrt(np.maximum(variance[:, None, None] * spread, 1e-300))
    against = (wish > 0.0)[:, :, None] & (wish < 0.0)[:, None, :]
    separations: Floats = np.where(against, z, -1.0)
    return separations


def _correlated(
    combination: Combination, covariance: Floats, parameters: Parameters
) -> tuple[list[Conflict], int]:
    """Pooled views on two picks that move together but are judged apart (or the reverse).

    The worst, as many as a round tells, and how many more there are: of thousands of picks that
    move together there may be millions.
    """
    board, k = combination.board, combination.weighing.pool.k
    v = combination.pooled_wish
    cov = board.within(board.seen(covariance))
    variance = np.diag(cov)
    sigma = np.sqrt(variance)
    close = np.abs(cov) >= parameters.conflict_correlation_min * (sigma[:, None] * sigma)
    i, j = np.nonzero(close)
    above = i < j
    i, j = i[above], j[above]
    apart = (v[i] * v[j]) * cov[i, j] < 0.0
    i, j = i[apart], j[apart]
    if not len(i):
        return [], 0
    both = cov[i, j]
    s_ij = both * (1.0 + np.minimum(k[i], k[j]) * combination.weighing.errors[i, j])
    s = variance * (1.0 + k)

    def z(one: Indices, other: Indices) -> Floats:
        beta = both / variance[other]
        spread = s[one] + beta**2 * s[other] - 2.0 * beta * s_ij
        gap: Floats = np.abs(v[one] - beta * v[other])
        return gap / np.sqrt(np.maximum(spread, 1e-300))

    worst, picks = np.maximum(z(i, j), z(j, i)), board.picks.tolist()
    severe = np.flatnonzero(worst >= _least_z(parameters.conflict_severity_min))
    told = severe[np.lexsort((severe, -worst[severe]))[: parameters.conflicts_max]]
    found = []
    for pair in np.sort(told).tolist():
        one, other = int(i[pair]), int(j[pair])
        about = tuple(sorted({picks[one], picks[other]}))
        # A pair, or a rank, against another view of the same name.
        same = len(about) == 1
        kind = ConflictKind.OPPOSITE_DIRECTION if same else ConflictKind.CORRELATED_INSTRUMENTS
        rows = (*board.rows_of(one), *board.rows_of(other))
        found.append(_conflict(board, kind, about, rows, severity_of(float(worst[pair]))))
    return found, len(severe) - len(told)


def _least_z(severity: float) -> float:
    """The separation from which a conflict is as severe."""
    return _NORMAL.inv_cdf((1.0 + severity) / 2.0) if severity < 1.0 else math.inf


def _forbidden(combination: Combination, problem: AllocationProblem) -> list[Conflict]:
    """Combined wishes without room: buying at the cap, selling short at the limit.

    Where nothing may be short, a sale of what is not held is no conflict: there is nothing to do,
    and the decision counts it as followed.
    """
    board, mu, held = combination.board, combination.mu, problem.start
    floor = problem.position_min
    room = np.where(mu > 0, problem.position_max - held, held - floor)
    met = (mu <= 0) & (floor >= 0) & (held <= ROOM_MIN)
    spoken = np.unique(board.picks) if board.exposure is None else _exposed(board.exposure)
    variance = combination.weighing.variance * (1.0 + combination.weighing.pool.k)
    z = np.abs(combination.pooled_wish) / np.sqrt(variance)
    found = []
    for pick in spoken[~met[spoken] & (room[spoken] <= ROOM_MIN)].tolist():
        rows = [i for slot in _about(board, pick) for i in board.rows_of(slot)]
        part = combination.weighing.gain[pick, board.slot[rows]] * combination.part[rows]
        members = tuple(i for i, own in zip(rows, part * mu[pick], strict=True) if own > 0)
        if members:
            worst = max(float(z[slot]) for slot in {int(board.slot[i]) for i in members})
            severity = severity_of(worst)
            found.append(_conflict(board, ConflictKind.MANDATE, (pick,), members, severity))
    return found


def _exposed(exposure: Floats) -> Indices:
    """Instruments that some pick has any of, rising."""
    return np.flatnonzero((exposure != 0.0).any(axis=0))


def _about(board: Board, pick: int) -> list[int]:
    """The picks that have any of an instrument."""
    if board.exposure is None:
        return [int(np.searchsorted(board.picks, pick))]
    return np.flatnonzero(board.exposure[:, pick] != 0.0).tolist()


def _capacity(combination: Combination, problem: AllocationProblem) -> list[Conflict]:
    """The wishes, each sized as if alone and within its own limits, exceed the gross limit."""
    board = combination.board
    alone = combination.mu / (problem.risk_aversion * np.diag(problem.covariance))
    wishes = np.abs(np.clip(alone, problem.position_min, problem.position_max))
    total = float(wishes.sum())
    if total <= problem.gross_max:
        return []
    spoken = np.unique(board.picks)
    largest = spoken[np.lexsort((spoken, -wishes[spoken]))[:CAPACITY_NAMES_MAX]]
    picks = tuple(np.sort(largest).tolist())
    members = tuple(np.flatnonzero(np.isin(board.pick, largest)).tolist())
    severity = 1.0 - problem.gross_max / total
    return [_conflict(board, ConflictKind.CAPACITY, picks, members, severity)]


def _beyond_budget(
    combination: Combination,
    problem: AllocationProblem,
    sources: Mapping[str, Source],
    rates: Mapping[str, float],
    tilt: Tilt,
) -> list[Conflict]:
    """Strategies whose wishes exceed their capital or risk budget, with their largest wishes."""
    board, found = combination.board, []
    for over in overruns(combination, problem, sources, rates=rates, tilt=tilt):
        wished = np.abs(over.wishes[board.pick[list(over.rows)]])
        largest = sorted(zip((-wished).tolist(), over.rows, strict=True))[:CAPACITY_NAMES_MAX]
        rows = tuple(sorted(row for _, row in largest))
        picks = tuple(sorted({int(board.pick[row]) for row in rows}))
        found.append(_conflict(board, ConflictKind.BUDGET, picks, rows, over.severity))
    return found

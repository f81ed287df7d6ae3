"""Which opinions contradict each other, or the mandate, and how surely.

Place in the flow: after `match` combined the views, before the decision is written. The statistic
is the difference of two views in units of its own uncertainty; severity = 2 Phi(|z|) - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from coordinator.core.match import SAME_SOURCE, Combination
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.views import Scored
from schemas.control import Parameters
from schemas.decisions import ConflictKind

__all__ = ["Conflict", "find_conflicts"]

_NORMAL = NormalDist()
HORIZON_RATIO = 3.0
"""Opposite views whose horizons differ by this factor may both be right, each in its time."""
CAPACITY_NAMES_MAX = 10
ROOM_MIN = 1e-9
"""Less room than this under a limit is none, fraction of NAV."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One contradiction. picks: instrument indices; rows: the signals that take part."""

    kind: ConflictKind
    picks: tuple[int, ...]
    rows: tuple[int, ...]
    severity: float


def find_conflicts(
    rows: list[Scored],
    combination: Combination,
    problem: AllocationProblem,
    parameters: Parameters,
) -> list[Conflict]:
    """All conflicts of a round of at least the reported severity, the most severe first."""
    by_pick: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_pick.setdefault(row.pick, []).append(i)
    found = [
        *_opposite(rows, by_pick, combination.q, problem.covariance, parameters),
        *_correlated(by_pick, combination, problem.covariance, parameters),
        *_forbidden(rows, by_pick, combination, problem),
        *_capacity(by_pick, combination, problem),
    ]
    kept = [c for c in found if c.severity >= parameters.conflict_severity_min]
    return sorted(kept, key=lambda c: (-c.severity, c.kind, c.picks))


def severity_of(z: float) -> float:
    """How surely a difference of |z| standard errors is not zero."""
    return 2.0 * _NORMAL.cdf(abs(z)) - 1.0


def _opposite(
    rows: list[Scored],
    by_pick: dict[int, list[int]],
    q: Floats,
    covariance: Floats,
    parameters: Parameters,
) -> list[Conflict]:
    """Opposite views on one instrument: one conflict each, as severe as its worst pair."""
    found = []
    for pick, members in by_pick.items():
        buys = [i for i in members if q[i] > 0]
        sells = [i for i in members if q[i] < 0]
        if not buys or not sells:
            continue
        separation = _separation(rows, covariance[pick, pick], parameters.view_correlation)
        z, worst_buy, worst_sell = max(
            (separation(i, j, q[i] - q[j]), i, j) for i in buys for j in sells
        )
        first, second = sorted((rows[worst_buy].view.horizon, rows[worst_sell].view.horizon))
        apart = second / first >= HORIZON_RATIO
        kind = ConflictKind.HORIZON if apart else ConflictKind.OPPOSITE_DIRECTION
        found.append(Conflict(kind, (pick,), tuple(members), severity_of(z)))
    return found


def _separation(
    rows: list[Scored], variance: float, correlation: float
) -> Callable[[int, int, float], float]:
    """z of the difference of two views on an instrument of that variance."""

    def z(i: int, j: int, difference: float) -> float:
        k_i, k_j = rows[i].k, rows[j].k
        together = SAME_SOURCE if rows[i].view.source == rows[j].view.source else correlation
        spread = k_i + k_j - 2.0 * min(k_i, k_j) * together
        return difference / math.sqrt(max(variance * spread, 1e-300))

    return z


def _correlated(
    by_pick: dict[int, list[int]],
    combination: Combination,
    covariance: Floats,
    parameters: Parameters,
) -> list[Conflict]:
    """Pooled views on two instruments that move together but are judged apart (or the reverse)."""
    picks = np.array(combination.pool.picks, dtype=np.intp)
    q, k = combination.pool.q, combination.pool.k
    cov = covariance[np.ix_(picks, picks)]
    variance = np.diag(cov)
    s_ii = variance * (1.0 + k)
    s_ij = cov * (1.0 + np.minimum.outer(k, k) * combination.errors)
    beta = cov / variance[None, :]
    gap = q[:, None] - beta * q[None, :]
    spread = s_ii[:, None] + beta**2 * s_ii[None, :] - 2.0 * beta * s_ij
    z = np.abs(gap) / np.sqrt(np.maximum(spread, 1e-300))
    apart = q[:, None] * beta * q[None, :] < 0
    close = np.abs(cov) / np.sqrt(np.outer(variance, variance))
    worst = np.maximum(z, z.T) * (apart & (close >= parameters.conflict_correlation_min))
    found = []
    for i, j in zip(*np.nonzero(np.triu(worst, 1)), strict=True):
        pair = (int(picks[i]), int(picks[j]))
        members = (*by_pick[pair[0]], *by_pick[pair[1]])
        kind = ConflictKind.CORRELATED_INSTRUMENTS
        found.append(Conflict(kind, pair, members, severity_of(float(worst[i, j]))))
    return found


def _forbidden(
    rows: list[Scored],
    by_pick: dict[int, list[int]],
    combination: Combination,
    problem: AllocationProblem,
) -> list[Conflict]:
    """Combined wishes without room: buying at the cap, selling short at the limit.

    Where nothing may be short, a sale of what is not held is no conflict: there is nothing to do,
    and the decision counts it as followed.
    """
    held = problem.start
    found = []
    for m, pick in enumerate(combination.pool.picks):
        wish = combination.mu[pick]
        room = (
            problem.position_max[pick] - held[pick]
            if wish > 0
            else held[pick] - problem.position_min[pick]
        )
        met = wish <= 0 and problem.position_min[pick] >= 0 and held[pick] <= ROOM_MIN
        if met or room > ROOM_MIN:
            continue
        members = tuple(i for i in by_pick[pick] if rows[i].score * rows[i].skill * wish > 0)
        spread = problem.covariance[pick, pick] * (1.0 + combination.pool.k[m])
        z = combination.pool.q[m] / math.sqrt(spread)
        found.append(Conflict(ConflictKind.MANDATE, (pick,), members, severity_of(z)))
    return found


def _capacity(
    by_pick: dict[int, list[int]], combination: Combination, problem: AllocationProblem
) -> list[Conflict]:
    """The wishes, each sized as if alone and within its own limits, exceed the gross limit."""
    alone = combination.mu / (problem.risk_aversion * np.diag(problem.covariance))
    wishes = np.clip(alone, problem.position_min, problem.position_max)
    total = float(np.abs(wishes).sum())
    if total <= problem.gross_max:
        return []
    largest = sorted(by_pick, key=lambda pick: (-abs(float(wishes[pick])), pick))
    picks = tuple(sorted(largest[:CAPACITY_NAMES_MAX]))
    members = tuple(i for pick in picks for i in by_pick[pick])
    severity = 1.0 - problem.gross_max / total
    return [Conflict(ConflictKind.CAPACITY, picks, members, severity)]

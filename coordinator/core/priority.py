"""Priority: how much each signal of a round matters beside the others, in parts that add up.

Place in the flow: after the views are combined, before the decision is written. It moves no
allocation: what a signal is worth there is its part of mu. It says which ones to look at first.
Every part lies in [0, 1]; the whole is their weighted mean, so ties and orders are the same
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coordinator.core.match import Combination
from coordinator.core.ports import Floats
from coordinator.core.skill import learned_skill, skill_error
from coordinator.core.state import Source, View
from schemas.control import Parameters, PriorityWeights

__all__ = ["PARTS", "Priorities", "decision_parts", "priorities", "weighted"]

PARTS = tuple(PriorityWeights.model_fields)
"""Names of the parts, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Priorities:
    """parts: (rows, parts) as in `PARTS`; whole: (rows,) their weighted mean."""

    parts: Floats
    whole: Floats


def priorities(
    combination: Combination,
    covariance: Floats,
    sources: Mapping[str, Source],
    parameters: Parameters,
) -> Priorities:
    """The priorities of a board's rows. covariance: (n, n) over the horizon."""
    board = combination.board
    columns = (
        _confidence(board.score, board.skill),
        board.left,
        _reputations(board.views, sources, parameters),
        board.soon,
        np.array([sources[view.source].priority(view.strategy) for view in board.views]),
        _at_stake(combination, covariance),
    )
    parts = np.clip(np.column_stack(columns), 0.0, 1.0) if len(board) else np.zeros((0, len(PARTS)))
    return Priorities(parts, np.minimum(parts @ _weights(parameters), 1.0))


def decision_parts(found: Priorities, own: Floats) -> Floats:
    """(parts,) of all signals of a round together, each by how much it adds to its expectation.

    own: (rows,) each signal's part of its own instrument's mu. Zeros without any.
    """
    weight = np.abs(own)
    total = float(weight.sum())
    if total <= 0.0:
        return np.zeros(len(PARTS))
    mean: Floats = np.minimum(weight @ found.parts / total, 1.0)  # rounding may exceed it
    return mean


def weighted(parts: Floats, parameters: Parameters) -> float:
    """One priority from its parts."""
    return min(float(parts @ _weights(parameters)), 1.0)


def _weights(parameters: Parameters) -> Floats:
    """(parts,) weights that add up to 1."""
    given = np.array([getattr(parameters.priority_weights, name) for name in PARTS])
    shares: Floats = given / given.sum()
    return shares


def _confidence(score: Floats, skill: Floats) -> Floats:
    """(rows,) how surely each leans the right way: 2 Phi(|rho s| / sqrt(1 - rho^2)) - 1."""
    z = np.abs(score * skill) / np.sqrt(1.0 - skill**2)
    return np.array([_surely(one) for one in z.tolist()])


def _surely(z: float) -> float:
    return math.erf(z / math.sqrt(2.0))


def _reputations(
    views: tuple[View, ...], sources: Mapping[str, Source], parameters: Parameters
) -> Floats:
    """(rows,) how surely the skill of each one's source at its horizon is not 0."""
    known: dict[tuple[str, float], float] = {}
    found = []
    for view in views:
        key = (view.source, view.horizon)
        if key not in known:
            skill = sources[view.source].skill
            error = skill_error(skill, view.horizon, parameters)
            known[key] = _surely(abs(learned_skill(skill, view.horizon, parameters)) / error)
        found.append(known[key])
    return np.array(found)


def _at_stake(combination: Combination, covariance: Floats) -> Floats:
    """(rows,) what each alone would hold of its instrument, as a share of the largest."""
    wish = np.abs(combination.own) / np.diag(covariance)[combination.board.pick]
    largest = float(wish.max(initial=0.0))
    return wish / largest if largest > 0.0 else np.zeros(len(wish))

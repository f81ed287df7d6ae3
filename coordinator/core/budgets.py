"""Budgets: where the wishes of a strategy would take more capital or risk than it was given.

Place in the flow: part of `conflicts`, at the end of a round. A strategy's wishes are what its part
of every mu would hold alone, mu_s / (gamma sigma^2), as for the gross limit; its risk is its share
of that of all wishes together, w_s' Sigma w / w' Sigma w. What exceeds a budget is told; it is the
allocation that bounds what is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coordinator.core.match import Combination
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.state import Source

__all__ = ["Overrun", "overruns"]


@dataclass(frozen=True, slots=True)
class Overrun:
    """One strategy whose wishes exceed a budget.

    rows: its signals. wishes: (n,) what it would hold, fractions of NAV. severity: the part of the
    wishes, or of their risk, that is beyond the budget, the larger of both.
    """

    rows: tuple[int, ...]
    wishes: Floats
    severity: float


def overruns(
    combination: Combination, problem: AllocationProblem, sources: Mapping[str, Source]
) -> list[Overrun]:
    """Those of a round, by source and strategy."""
    board = combination.board
    members: dict[tuple[str, str], list[int]] = {}
    for row, view in enumerate(board.views):
        capital, risk = sources[view.source].budgets(view.strategy)
        if capital is not None or risk is not None:
            members.setdefault((view.source, view.strategy), []).append(row)
    if not members:
        return []
    scale = 1.0 / (problem.risk_aversion * np.diag(problem.covariance))
    everyone = combination.mu * scale
    felt = problem.covariance @ everyone
    whole = float(everyone @ felt)
    found = []
    for source, strategy in sorted(members):
        rows = members[source, strategy]
        wishes = _wished(combination, rows) * scale
        capital, risk = sources[source].budgets(strategy)
        over = [0.0]
        if capital is not None:
            over.append(_beyond(float(np.abs(wishes).sum()) * problem.nav, float(capital)))
        if risk is not None and whole > 0.0:
            over.append(_beyond(float(wishes @ felt) / whole, risk))
        if max(over) > 0.0:
            found.append(Overrun(tuple(rows), wishes, max(over)))
    return found


def _wished(combination: Combination, rows: list[int]) -> Floats:
    """(n,) what these rows add to every mu."""
    units = np.zeros(len(combination.board.picks))
    np.add.at(units, combination.board.slot[rows], combination.part[rows])
    added: Floats = combination.weighing.gain @ units
    return added


def _beyond(used: float, budget: float) -> float:
    """The share of what is used that the budget does not cover."""
    return 1.0 - budget / used if used > budget else 0.0

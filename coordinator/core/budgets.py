"""Budgets: where wishes would take more capital or risk than their source or strategy was given.

Place in the flow: part of `conflicts`, at the end of a round. Wishes are what somebody's part of
every mu would hold alone, mu_s / (gamma sigma^2), as for the gross limit; their risk is their share
of that of all wishes together, w_s' Sigma w / w' Sigma w. A budget of a strategy is for its own
wishes, that of a source for those of all its strategies without one, in each portfolio. What
exceeds a budget is told; it is the allocation that bounds what is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from coordinator.core.board import Board
from coordinator.core.match import Combination
from coordinator.core.ports import AllocationProblem, Floats
from coordinator.core.state import Source, State
from coordinator.core.tilt import Tilt

__all__ = ["Overrun", "overruns", "unrated"]


@dataclass(frozen=True, slots=True)
class Overrun:
    """Wishes that exceed a budget.

    rows: its signals. wishes: (n,) what they would hold, fractions of NAV. severity: the part of
    the wishes, or of their risk, that is beyond the budget.
    """

    rows: tuple[int, ...]
    wishes: Floats
    severity: float


def overruns(
    combination: Combination,
    problem: AllocationProblem,
    sources: Mapping[str, Source],
    *,
    rates: Mapping[str, float],
    tilt: Tilt,
) -> list[Overrun]:
    """Those of a round, capital before risk, each by source and strategy.

    rates: units of the portfolio's currency for one of others; a capital in a currency without one
    is not compared. tilt: what budgets are multiplied by.
    """
    capital, risk = _members(combination, sources)
    if not capital and not risk:
        return []
    scale = 1.0 / (problem.risk_aversion * np.diag(problem.covariance))
    everyone = combination.mu * scale
    felt = problem.covariance @ everyone
    whole = float(everyone @ felt)
    found = []
    for (source, strategy), rows in sorted(capital.items()):
        wishes = _wished(combination, rows) * scale
        money, currency = sources[source].capital(strategy)
        rate = 1.0 if currency is None else rates.get(currency)
        if money is not None and rate is not None:
            used = float(np.abs(wishes).sum()) * problem.nav
            budget = float(money) * rate * tilt.budget(source, strategy)
            found.append(Overrun(tuple(rows), wishes, _beyond(used, budget)))
    for (source, strategy), rows in sorted(risk.items()):
        wishes = _wished(combination, rows) * scale
        share = sources[source].risk_budget(strategy)
        if share is not None and whole > 0.0:
            used = float(wishes @ felt) / whole
            budget = share * tilt.budget(source, strategy)
            found.append(Overrun(tuple(rows), wishes, _beyond(used, budget)))
    return [one for one in found if one.severity > 0.0]


_Members = dict[tuple[str, str], list[int]]
"""Rows by source and strategy; "" for those that share their source's budget."""


def _members(combination: Combination, sources: Mapping[str, Source]) -> tuple[_Members, _Members]:
    """Whose wishes count together: against capital, and against a share of the risk."""
    capital: _Members = {}
    risk: _Members = {}
    for row, view in enumerate(combination.board.views):
        source = sources[view.source]
        own = source.by_strategy.get(view.strategy)
        if source.capital(view.strategy)[0] is not None:
            name = view.strategy if own is not None and own.capital is not None else ""
            capital.setdefault((view.source, name), []).append(row)
        if source.risk_budget(view.strategy) is not None:
            name = view.strategy if own is not None and own.risk_budget is not None else ""
            risk.setdefault((view.source, name), []).append(row)
    return capital, risk


def unrated(board: Board, state: State, currency: str) -> tuple[str, ...]:
    """Whose capital is in a currency that no rate leads from, with that currency; sorted.

    Of those with a view in the round. currency: of the portfolio.
    """
    if not any(_names_currency(state.sources[name]) for name in board.sources):
        return ()
    found = []
    for source, strategy in sorted({(view.source, view.strategy) for view in board.views}):
        money, of = state.sources[source].capital(strategy)
        if money is not None and of is not None and state.market.rate(of, currency) is None:
            found.append(f"{source}/{strategy} ({of})")
    return tuple(found)


def _names_currency(source: Source) -> bool:
    own = [one.capital_currency for one in source.by_strategy.values()]
    return any(one is not None for one in (source.terms.capital_currency, *own))


def _wished(combination: Combination, rows: list[int]) -> Floats:
    """(n,) what these rows add to every mu."""
    units = np.zeros(len(combination.board.picks))
    np.add.at(units, combination.board.slot[rows], combination.part[rows])
    added: Floats = combination.weighing.gain @ units
    return added


def _beyond(used: float, budget: float) -> float:
    """The share of what is used that the budget does not cover."""
    return 1.0 - budget / used if used > budget else 0.0

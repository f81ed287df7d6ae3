"""Allocate: one portfolio's problem is put together and answered.

Place in the flow: at the end of a round, after the views are combined. Reads the state, changes
nothing; the answer comes through the Allocator port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Any

import numpy as np

from coordinator.core.benchmark import prior_of, prior_weights, relative
from coordinator.core.board import Board
from coordinator.core.book import Valuation, value, working
from coordinator.core.bounding import bounded, wanted
from coordinator.core.boxes import Boxes
from coordinator.core.budgets import unrated
from coordinator.core.conflicts import Apart, opinions_apart
from coordinator.core.likeness import errors_between
from coordinator.core.limits import Limits
from coordinator.core.match import Combination, combine
from coordinator.core.normalise import crossed_scores, forecasts_of
from coordinator.core.objectives import Aims, aims_of, charged
from coordinator.core.ports import AllocationProblem, Floats, RiskModel, Sleeves
from coordinator.core.priority import Priorities, priorities
from coordinator.core.risk import risk_of
from coordinator.core.risk_form import Risk
from coordinator.core.sleeves import binding, sleeves_of
from coordinator.core.state import Portfolio, State, View
from coordinator.core.tilt import NEUTRAL, Tilt, tilt_of
from coordinator.core.views import heard, horizon_of, scored_views
from schemas.mandates import Mandate

__all__ = ["Opinion", "Situation", "problem_digest", "situation"]

BPS = 1e-4
_NESTED = ("limits", "charges", "sleeves", "factors")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the live views of a portfolio say together, and against each other.

    without: those that say nothing.
    """

    combination: Combination
    apart: Apart
    without: list[View]
    priorities: Priorities


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision is made from.

    prices: (n,) last prices, each in its own currency; unit: (n,) weight of one unit. rows: views
    that count; without: live views that do not. apart:
    conflicts between the views; priorities: of the rows. limits: as the mandate states them,
    and what open orders leave of them. aims: what the objective weighs. tilt: the multipliers in
    force. sleeves: of its strategies, None where they are off; they are part of the problem where
    budgets are to be kept, and the house is bounded or charged.
    """

    problem: AllocationProblem
    prices: Floats
    unit: Floats
    horizon: float
    rows: Board
    without: list[View]
    combination: Combination
    apart: Apart
    priorities: Priorities
    worth: Valuation
    limits: Limits
    aims: Aims
    tilt: Tilt = NEUTRAL
    sleeves: Sleeves | None = None

    @property
    def boxes(self) -> Boxes:
        """Which limits the bounds of single instruments come from."""
        return self.limits.boxes


def situation(
    state: State, portfolio: Portfolio, risk_model: RiskModel, *, also: Iterable[str] = ()
) -> Situation | None:
    """The portfolio's situation now; None without positive NAV or a price of what is held.

    also: instruments that somebody asks about, beside those that a round would look at.
    """
    worth = value(portfolio, state.market)
    if worth.nav <= 0 or worth.unpriced:
        return None
    views = heard(state, portfolio)
    names = _instruments(state, portfolio, views, also)
    picks = {name: i for i, name in enumerate(names)}
    judged = [view for view in views if view.direction != 0 and _is_judged(view, picks)]
    horizon = horizon_of(judged, portfolio, state.parameters)
    risk = risk_of(
        state, names, currency=portfolio.currency, horizon=horizon, risk_model=risk_model
    )
    covariance = risk.covariance
    opinion = _opinion(
        state, views, picks=picks, horizon=horizon, covariance=covariance, mandate=portfolio.mandate
    )
    prices = state.market.price[state.market.columns(names)]
    mu = opinion.combination.mu
    unit = prices * _rates(state, portfolio, names) / worth.nav
    tilt = tilt_of(state, portfolio)
    problem = _problem(state, portfolio, worth, names, unit, risk, mu, tilt)
    aims = aims_of(state, portfolio, names, covariance, horizon=horizon, unit=unit, nav=worth.nav)
    strange = unrated(opinion.combination.board, state, portfolio.currency)
    aims = replace(aims, unrated=strange) if strange else aims
    problem = charged(problem, aims, state.parameters)
    problem, limits = bounded(
        state, portfolio, worth, problem, unit=unit, horizon=horizon, turnover=tilt.turnover
    )
    sleeves = sleeves_of(state, portfolio, problem, opinion.combination, horizon=horizon, tilt=tilt)
    if state.parameters.sleeves == "budgets" and sleeves is not None and binding(sleeves):
        problem = replace(problem, sleeves=sleeves)
    return Situation(
        problem,
        prices,
        unit,
        horizon,
        opinion.combination.board,
        opinion.without,
        opinion.combination,
        opinion.apart,
        opinion.priorities,
        worth,
        limits,
        aims,
        tilt,
        sleeves,
    )


def _opinion(
    state: State,
    views: list[View],
    *,
    picks: dict[str, int],
    horizon: float,
    covariance: Floats,
    mandate: Mandate,
) -> Opinion:
    """What the views say together; the same one for all portfolios that hear the same.

    Views, parameters and an estimated covariance never change, so the same ones are equal ones.
    """
    parameters = state.parameters
    forecasters = sorted({view.source for view in views if view.is_forecast})
    spreads = tuple(
        (form, one.count, one.squares)
        for name in forecasters
        for form, one in sorted(state.sources[name].spreads.items())
    )
    speakers = sorted({view.source for view in views})
    terms = [state.sources[name].terms for name in speakers]
    by_strategy = [tuple(state.sources[name].by_strategy.values()) for name in speakers]
    prior, beside = prior_of(mandate, tuple(picks), covariance), prior_weights(mandate)
    expected = (prior.tobytes(), tuple(beside.items()))
    key = (tuple(picks), horizon, state.session_now(), state.learned, spreads, expected)

    groups = forecasts_of(state.views, state.sources, forecasters)
    crossed = chain.from_iterable(groups.values())

    def formed() -> Opinion:
        told = {name: relative(group, beside, state) for name, group in groups.items()}
        scored = crossed_scores(told, state.sources, parameters)
        own = relative(views, beside, state)
        board, without = scored_views(state, own, picks=picks, ahead=horizon, crossed=scored)
        between = errors_between(board.sources, state.sources, state.pairs, parameters)
        combination = combine(
            board,
            covariance,
            prior=prior,
            between=between,
            weighings=state.weighings,
        )
        apart = opinions_apart(combination, covariance, between, parameters)
        ranked = priorities(combination, covariance, state.sources, parameters)
        return Opinion(combination, apart, without, ranked)

    # Terms are events: the same ones are equal ones.
    agreed = (*terms, *chain.from_iterable(by_strategy), *crossed)
    return state.opinions.get(key, formed, same=(covariance, parameters, *agreed, *views))


def _is_judged(view: View, picks: dict[str, int]) -> bool:
    return view.instrument in picks and all(name in picks for name, _ in view.against)


def _instruments(
    state: State, portfolio: Portfolio, views: list[View], also: Iterable[str]
) -> tuple[str, ...]:
    """Priced ones that are judged, held, traded, wanted or compared with; a rate leads home."""
    named = {view.instrument for view in views} | set(portfolio.positions)
    named |= {name for view in views for name, _ in view.against}
    named |= {trade.instrument for trade in portfolio.open_trades.values()}
    named |= wanted(portfolio.mandate) | set(also)
    named |= {one.instrument for one in portfolio.mandate.benchmark}
    market = state.market
    known, price = market.instruments, market.price
    leads: dict[str, bool] = {portfolio.currency: True}
    found = []
    for name in sorted(named):
        instrument = known.get(name)
        if instrument is None:
            continue
        currency = instrument.currency
        if currency not in leads:
            leads[currency] = market.rate(currency, portfolio.currency) is not None
        if leads[currency]:
            found.append((name, instrument.column))
    unpriced = np.isnan(price[[column for _, column in found]]).tolist()
    return tuple(name for (name, _), no in zip(found, unpriced, strict=True) if not no)


def _rates(state: State, portfolio: Portfolio, names: tuple[str, ...]) -> Floats:
    """(n,) units of the portfolio's currency for one of each instrument's."""
    market = state.market
    currencies = [market.instruments[name].currency for name in names]
    rate = {one: market.rate(one, portfolio.currency) or 0.0 for one in sorted(set(currencies))}
    return np.array([rate[one] for one in currencies])


def _problem(
    state: State,
    portfolio: Portfolio,
    worth: Valuation,
    names: tuple[str, ...],
    unit: Floats,
    risk: Risk,
    mu: Floats,
    tilt: Tilt,
) -> AllocationProblem:
    mandate, costs, nav = portfolio.mandate, portfolio.costs, worth.nav
    n = len(names)
    positions, open_units = portfolio.positions, working(portfolio)
    held = np.array([float(positions.get(name, 0)) for name in names]) * unit
    may_fill = np.array([open_units.get(name, (0.0, 0.0)) for name in names]).reshape(n, 2)
    instruments = [state.market.instruments[name] for name in names]
    fresh = [state.tradable(instrument) for instrument in instruments]
    room = 2.0 * (mandate.gross_max + float(np.abs(held).sum()) + float(np.abs(may_fill).sum())) + 1
    buy = (costs.fee_bps + costs.half_spread_bps) * BPS
    return AllocationProblem(
        instruments=names,
        nav=nav,
        mu=mu,
        covariance=risk.covariance,
        factors=risk.factors,
        risk_aversion=portfolio.risk_aversion * tilt.aversion,
        filled=held,
        working_buys=may_fill[:, 0] * unit,
        working_sells=may_fill[:, 1] * unit,
        cash=worth.cash / nav,
        lot_weight=np.array([float(i.lot) for i in instruments]) * unit,
        cost_buy=np.full(n, buy),
        cost_sell=np.full(n, buy + costs.sell_tax_bps * BPS),
        exit_odd_lot=np.array([i.full_exit_odd_lot for i in instruments], dtype=bool),
        trade_max=np.where(fresh, room, 0.0),
        position_min=np.full(n, mandate.position_min),
        position_max=np.full(n, mandate.position_max),
        gross_max=mandate.gross_max,
        cash_floor=mandate.cash_floor,
        turnover_max=mandate.turnover_max,
        trade_min=mandate.trade_min,
    )


def problem_digest(problem: AllocationProblem) -> str:
    """SHA-256 over every number of the problem and of its limits, in the order of their fields."""
    found = hashlib.sha256()
    parts = [getattr(problem, one.name) for one in fields(problem) if one.name not in _NESTED]
    charged = () if problem.charges.none else (problem.charges,)
    nested = (*problem.limits, *charged, problem.sleeves, problem.factors)
    for one in nested:
        if one is not None:
            parts += [getattr(one, each.name) for each in fields(one)]
    for part in parts:
        found.update(_bytes_of(part))
        found.update(b"|")
    return found.hexdigest()


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, np.ndarray):
        return np.ascontiguousarray(part, dtype="<f8").tobytes()
    return repr(part).encode()

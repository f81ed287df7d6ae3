"""Impact, in full: what trades make of a portfolio, with past returns, bets and every name.

Place in the flow: measured from a folded state when somebody asks; no decision reads it. What every
decision says of it is `coordinator.core.impact_lines`'s; the figures are the same ones. Weights and
costs are fractions of NAV; before is what is held and decided, as a decision begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coordinator.core.allocate import Situation
from coordinator.core.impact import (
    LEVELS,
    Figures,
    Setting,
    figures,
    normal_tail,
    risk_added,
    trading,
)
from coordinator.core.impact_lines import factor_lines, sector_lines, setting_of
from coordinator.core.lines import WEIGHT_ZERO
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio, State
from coordinator.quality.bets import effective_bets
from coordinator.quality.tails import over_sessions, past_tail
from schemas.impact import FactorLine, SectorLine

__all__ = ["Analysis", "LimitLine", "NameLine", "Question", "Side", "Tail", "Trades", "analyse"]

Question = Literal["trades", "engine", "decision"]
"""Trades that somebody asks about, what the engine would decide, or what was decided."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Losses at one level: value at risk, and the mean of what lies beyond it.

    Of a normal distribution without drift, and of these weights in past sessions (None: too few
    are known); over one session, and over the horizon: past ones by overlapping runs of sessions.
    """

    level: float
    var: float
    shortfall: float
    var_horizon: float
    shortfall_horizon: float
    var_past: float | None
    shortfall_past: float | None
    var_past_horizon: float | None
    shortfall_past_horizon: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """The portfolio before, or after. expected_return, volatility: over the horizon.

    days_to_sell: the mean by value, and of the slowest, of those whose volume is known.
    """

    expected_return: float
    volatility: float
    volatility_session: float
    volatility_year: float
    tails: tuple[Tail, ...]
    gross: float
    net: float
    cash: float
    positions: int
    sectors: tuple[SectorLine, ...]
    factors: tuple[FactorLine, ...]
    days_to_sell: float | None
    days_to_sell_max: float | None
    effective_names: float | None
    effective_bets: float | None
    diversification_ratio: float | None


@dataclass(frozen=True, slots=True)
class NameLine:
    """One instrument that is held or traded.

    marginal: change of the volatility over the horizon per unit of weight; share: its part of that
    volatility. risk_added: its trade's part of the change. volume_share: its trade over an average
    session's volume. cost: linear; impact_cost: by the square-root law.
    """

    instrument: str
    sector: str | None
    price: float
    quantity: Decimal
    weight_before: float
    weight_after: float
    trade: float
    expected_return: float
    marginal_before: float
    marginal_after: float
    share_before: float
    share_after: float
    risk_added: float
    volume_share: float | None
    days_before: float | None
    days_after: float | None
    cost: float
    impact_cost: float


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit of the mandate that is broken after the trades, or was before them.

    about: the instrument, sector or factor, None for a total. priority: of a limit that may give
    way, 1 last; None: a hard one. given: by how much it is broken, in the unit of the bound.
    """

    limit: str
    about: str | None
    priority: int | None
    bound: float
    used_before: float
    used_after: float
    given_before: float
    given_after: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """The portfolio before and after. nav: money in its currency; at: the engine's clock, ns.

    gain: what the trades are worth: change of the expected return, less half the risk aversion
    times the change of the variance, less all costs. sessions: past ones that the tails are from.
    volumes_unknown: instruments held or traded that nobody knows a volume of.
    """

    question: Question
    portfolio: str
    currency: str
    mode: str
    decision_id: str | None
    at: int
    nav: float
    horizon: float
    risk_aversion: float
    participation: float
    coefficient: float
    sessions: int
    before: Side
    after: Side
    turnover: float
    cost: float
    impact_cost: float
    gain: float
    limits: tuple[LimitLine, ...]
    names: tuple[NameLine, ...]
    volumes_unknown: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trades:
    """(n,) trades that begin at (n,) weights, and how many units each is."""

    start: Floats
    trades: Floats
    quantities: Sequence[Decimal]

    @property
    def after(self) -> Floats:
        """(n,) weights once they have filled."""
        return self.start + self.trades

    @property
    def counts(self) -> NDArray[np.bool_]:
        """(n,) which instruments are held or traded."""
        held = np.maximum(np.abs(self.start), np.abs(self.after)) > WEIGHT_ZERO
        found: NDArray[np.bool_] = held | (self.trades != 0.0)
        return found


def analyse(
    state: State,
    portfolio: Portfolio,
    found: Situation,
    asked: Trades,
    *,
    question: Question,
    limits: tuple[LimitLine, ...],
    decision_id: str | None = None,
    remarks: tuple[str, ...] = (),
) -> Analysis:
    """What the trades make of the portfolio; limits: those that are broken."""
    setting, problem = setting_of(state, portfolio, found), found.problem
    before, after = figures(setting, asked.start), figures(setting, asked.after)
    taken = trading(setting, asked.trades)
    rates = np.where(asked.trades > 0.0, problem.cost_buy, problem.cost_sell)
    linear = rates * np.abs(asked.trades)
    costs = float(linear.sum()), float(taken.costs.sum())
    past = np.nan_to_num(state.market.returns_in(portfolio.currency, problem.instruments))
    cash = problem.cash - float((asked.start - problem.filled).sum())
    left = cash - float(asked.trades.sum()) - sum(costs)
    variance = after.volatility**2 - before.volatility**2
    gain = float(setting.mu @ asked.trades) - problem.risk_aversion / 2.0 * variance - sum(costs)
    unknown = np.flatnonzero(asked.counts & ~(setting.volume > 0.0)).tolist()
    return Analysis(
        question=question,
        portfolio=portfolio.name,
        currency=portfolio.currency,
        mode=portfolio.mode,
        decision_id=decision_id,
        at=state.clock,
        nav=problem.nav,
        horizon=found.horizon,
        risk_aversion=problem.risk_aversion,
        participation=setting.participation,
        coefficient=portfolio.costs.impact,
        sessions=len(past),
        before=_side(setting, before, asked.start, past, cash=cash),
        after=_side(setting, after, asked.after, past, cash=left),
        turnover=float(np.abs(asked.trades).sum()) / 2.0,
        cost=costs[0],
        impact_cost=costs[1],
        gain=gain,
        limits=limits,
        names=_names(state, found, setting, asked, (before, after), linear),
        volumes_unknown=tuple(problem.instruments[i] for i in unknown),
        remarks=remarks,
    )


def _side(setting: Setting, told: Figures, weights: Floats, past: Floats, *, cash: float) -> Side:
    """past: (t, n) returns of past sessions."""
    moved = past @ weights
    return Side(
        expected_return=told.expected_return,
        volatility=told.volatility,
        volatility_session=told.volatility_session,
        volatility_year=told.volatility_year,
        tails=tuple(_tail(told, moved, level, setting.horizon) for level in LEVELS),
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
        cash=cash,
        positions=int((np.abs(weights) > WEIGHT_ZERO).sum()),
        sectors=sector_lines(setting.groups, told),
        factors=factor_lines(setting.groups, told),
        days_to_sell=told.days_mean,
        days_to_sell_max=told.days_max,
        effective_names=told.effective_names,
        effective_bets=effective_bets(weights, setting.covariance),
        diversification_ratio=told.diversification_ratio,
    )


def _tail(told: Figures, moved: Floats, level: float, horizon: float) -> Tail:
    """moved: (t,) returns of the weights in past sessions; what holds nothing has none."""
    var, shortfall = normal_tail(told.volatility_session, level)
    var_horizon, shortfall_horizon = normal_tail(told.volatility, level)
    held = told.effective_names is not None
    once = past_tail(moved, level) if held else (None, None)
    length = max(1, round(horizon))
    runs = past_tail(over_sessions(moved, length), level) if held else (None, None)
    return Tail(level, var, shortfall, var_horizon, shortfall_horizon, *once, *runs)


def _names(
    state: State,
    found: Situation,
    setting: Setting,
    asked: Trades,
    sides: tuple[Figures, Figures],
    linear: Floats,
) -> tuple[NameLine, ...]:
    """Those held or traded, the largest trades first, then the largest weights."""
    before, after = sides
    taken, names = trading(setting, asked.trades), found.problem.instruments
    added = risk_added(asked.start, asked.trades, setting.covariance)
    lines = [
        NameLine(
            instrument=names[i],
            sector=state.market.instruments[names[i]].sector,
            price=float(found.prices[i]),
            quantity=asked.quantities[i],
            weight_before=float(asked.start[i]),
            weight_after=float(asked.after[i]),
            trade=float(asked.trades[i]),
            expected_return=float(setting.mu[i]),
            marginal_before=float(before.marginal[i]),
            marginal_after=float(after.marginal[i]),
            share_before=float(before.shares[i]),
            share_after=float(after.shares[i]),
            risk_added=float(added[i]),
            volume_share=_known(taken.volume_shares[i]),
            days_before=_known(before.days[i]),
            days_after=_known(after.days[i]),
            cost=float(linear[i]),
            impact_cost=float(taken.costs[i]),
        )
        for i in np.flatnonzero(asked.counts).tolist()
    ]
    return tuple(
        sorted(lines, key=lambda one: (-abs(one.trade), -abs(one.weight_after), one.instrument))
    )


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)

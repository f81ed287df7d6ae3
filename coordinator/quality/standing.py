"""Standing: how a portfolio stands, with what its holdings risk and how fast they could be sold.

Place in the flow: measured from a folded state when somebody asks; no decision reads it. Every
figure is a fraction of NAV unless said, over one session unless said. Value at risk and expected
shortfall are losses, positive; parametric ones are those of a normal distribution without drift,
historical ones those of today's weights over the sessions remembered. Source: McNeil, Frey and
Embrechts 2015, chapter 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np

from coordinator.core.book import Valuation, money, value
from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.impact import (
    diversification_ratio,
    effective_names,
    normal_tail,
    risk_parts,
    sessions_to_sell,
)
from coordinator.core.ports import Floats, RiskModel
from coordinator.core.risk import covariance_of
from coordinator.core.shown import portfolio_view
from coordinator.core.state import Portfolio, State
from coordinator.core.tilt import tilt_of
from coordinator.quality.risk import ModelFigures, model_figures
from coordinator.quality.strategies import StrategyLine, strategy_lines
from coordinator.quality.tails import SESSIONS_MIN, past_tail
from schemas.books import Holding, PortfolioViewUpdated
from schemas.market import MARKET_FACTOR
from schemas.portfolios import Mandate

__all__ = [
    "FactorLine",
    "Gains",
    "HoldingLine",
    "OpenTradeLine",
    "RiskFigures",
    "Standing",
    "measure",
]

LEVEL = 0.95
"""Of value at risk and expected shortfall."""


@dataclass(frozen=True, slots=True)
class HoldingLine:
    """One position. value, unrealised: the portfolio's currency; cost: the instrument's.

    risk_share: its part of the portfolio's variance; all add up to 1. sessions_to_sell: at the
    given share of its average daily volume; None where no volume is known.
    """

    instrument: str
    currency: str
    sector: str | None
    quantity: Decimal
    average_cost: float
    cost: Decimal
    price: float | None
    value: float
    weight: float
    unrealised: Decimal | None
    risk_share: float
    sessions_to_sell: float | None


@dataclass(frozen=True, slots=True)
class OpenTradeLine:
    """A decided trade that may still fill. quantity: what is left, signed."""

    trade_id: str
    instrument: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """What the holdings risk. None: too few sessions, or nothing held."""

    sessions: int
    volatility: float
    volatility_year: float
    var: float
    shortfall: float
    var_historical: float | None
    shortfall_historical: float | None
    beta: float | None
    effective_holdings: float | None
    diversification_ratio: float | None


@dataclass(frozen=True, slots=True)
class Gains:
    """Where a portfolio's gain comes from; money in its own currency, each at the last rates.

    currencies: what the other parts leave unexplained, which is what rates did.
    """

    invested: Decimal
    gain: Decimal
    realised: float
    unrealised: float
    income: float
    charges: float
    corrected: float
    currencies: float


@dataclass(frozen=True, slots=True)
class FactorLine:
    """Exposure to one factor: weights times the exposures of what is held, shorts negative."""

    factor: str
    exposure: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A portfolio as it stands; money in its own currency.

    view: as the engine shows it. turnover: half the value traded, over NAV. participation: share of
    a session's volume that is sold at most; sessions_to_sell: until the slowest holding is sold, of
    those whose volume is known. moved: multipliers in force that are not 1, by rule and weight.
    strategies: their virtual books and the house's, empty where sleeves are off.
    """

    portfolio: str
    currency: str
    mode: str
    standing: Literal["active", "paused", "closed"]
    rounds: int
    view: PortfolioViewUpdated
    gains: Gains
    turnover: float
    holdings: tuple[HoldingLine, ...]
    strategies: tuple[StrategyLine, ...]
    open_trades: tuple[OpenTradeLine, ...]
    factors: tuple[FactorLine, ...]
    risk: RiskFigures
    model: ModelFigures
    participation: float
    sessions_to_sell: float | None
    mandate: Mandate
    moved: tuple[tuple[str, float], ...]


def measure(
    state: State, portfolio: Portfolio, risk_model: RiskModel, *, participation: float
) -> Standing:
    """The portfolio at the state's clock. participation: share of a session's volume sold."""
    view = portfolio_view(portfolio, state.market, at=state.clock)
    worth = value(portfolio, state.market)
    covariance = _covariance(state, portfolio, worth, risk_model)
    _, _, shares = risk_parts(worth.weights, covariance)
    speed = _sessions_to_sell(state, worth, participation)
    paused = portfolio.paused or state.paused
    return Standing(
        portfolio=portfolio.name,
        currency=portfolio.currency,
        mode=portfolio.mode,
        standing="closed" if portfolio.closed else "paused" if paused else "active",
        rounds=portfolio.rounds,
        view=view,
        gains=_gains(state, portfolio, worth, view),
        turnover=float(portfolio.traded) / 2.0 / worth.nav if worth.nav > 0 else 0.0,
        holdings=_holdings(state, worth, view.holdings, shares, speed),
        strategies=strategy_lines(state, portfolio, worth),
        open_trades=tuple(
            OpenTradeLine(one.trade_id, one.instrument, one.quantity)
            for _, one in sorted(portfolio.open_trades.items())
        ),
        factors=_factors(state, worth),
        risk=_risk(state, portfolio, worth, covariance),
        model=model_figures(state, portfolio, worth.instruments, covariance, risk_model),
        participation=participation,
        sessions_to_sell=max((one for one in speed if one is not None), default=None),
        mandate=portfolio.mandate,
        moved=tilt_of(state, portfolio).parts,
    )


def _gains(
    state: State, portfolio: Portfolio, worth: Valuation, view: PortfolioViewUpdated
) -> Gains:
    rates = [state.market.rate(line.currency, portfolio.currency) or 0.0 for line in view.accounts]

    def total(name: str) -> float:
        sums = [float(getattr(line, name)) for line in view.accounts]
        return math.fsum(amount * rate for amount, rate in zip(sums, rates, strict=True))

    costs = np.array([float(portfolio.cost[name]) for name in worth.instruments])
    priced = worth.prices > 0
    unrealised = float((worth.values - costs * worth.rates)[priced].sum())
    realised, income, charges = total("realised"), total("income"), total("charges")
    corrected = total("corrected")
    gain = worth.nav - float(portfolio.invested)
    return Gains(
        invested=money(float(portfolio.invested)),
        gain=money(gain),
        realised=realised,
        unrealised=unrealised,
        income=income,
        charges=charges,
        corrected=corrected,
        currencies=gain - (realised + unrealised + income - charges + corrected),
    )


def _holdings(
    state: State,
    worth: Valuation,
    lines: tuple[Holding, ...],
    shares: Floats,
    speed: list[float | None],
) -> tuple[HoldingLine, ...]:
    rows = zip(lines, worth.values.tolist(), shares.tolist(), speed, strict=True)
    return tuple(
        HoldingLine(
            instrument=line.instrument,
            currency=state.market.instruments[line.instrument].currency,
            sector=state.market.instruments[line.instrument].sector,
            quantity=line.quantity,
            average_cost=float(line.cost or 0) / float(line.quantity),
            cost=line.cost or Decimal(0),
            price=line.price,
            value=worth_now,
            weight=line.weight,
            unrealised=line.unrealised,
            risk_share=share,
            sessions_to_sell=sessions,
        )
        for line, worth_now, share, sessions in rows
    )


def _factors(state: State, worth: Valuation) -> tuple[FactorLine, ...]:
    """By factor that what is held was listed with, and the market: its beta, as limits have it."""
    found: dict[str, float] = {}
    weights = worth.weights.tolist()
    betas = state.market.betas(state.parameters)
    for name, weight in zip(worth.instruments, weights, strict=True):
        instrument = state.market.instruments[name]
        for factor, exposure in (*instrument.factors, (MARKET_FACTOR, betas[instrument.column])):
            found[factor] = found.get(factor, 0.0) + weight * float(exposure)
    return tuple(FactorLine(factor, found[factor]) for factor in sorted(found))


def _covariance(
    state: State, portfolio: Portfolio, worth: Valuation, risk_model: RiskModel
) -> Floats:
    """(k, k) of what is held, over one session, in the portfolio's currency."""
    return covariance_of(
        state,
        worth.instruments,
        currency=portfolio.currency,
        horizon=1.0,
        risk_model=risk_model,
    )


def _sessions_to_sell(state: State, worth: Valuation, participation: float) -> list[float | None]:
    volume = state.market.average_volume(worth.instruments)
    sessions = sessions_to_sell(worth.quantities, volume, participation)
    return [one if math.isfinite(one) else None for one in sessions.tolist()]


def _risk(state: State, portfolio: Portfolio, worth: Valuation, covariance: Floats) -> RiskFigures:
    weights = worth.weights
    volatility, _, _ = risk_parts(weights, covariance)
    returns = np.nan_to_num(state.market.returns_in(portfolio.currency, worth.instruments))
    past = returns @ weights
    var, shortfall = normal_tail(volatility, LEVEL)
    past_var, past_shortfall = past_tail(past, LEVEL) if len(weights) else (None, None)
    return RiskFigures(
        sessions=len(past),
        volatility=volatility,
        volatility_year=volatility * math.sqrt(SESSIONS_A_YEAR),
        var=var,
        shortfall=shortfall,
        var_historical=past_var,
        shortfall_historical=past_shortfall,
        beta=_beta(state, past) if len(weights) else None,
        effective_holdings=effective_names(weights),
        diversification_ratio=diversification_ratio(
            weights, np.sqrt(np.diag(covariance)), volatility
        ),
    )


def _beta(state: State, past: Floats) -> float | None:
    """To the equal-weighted market of all listed instruments."""
    market = state.market
    names = sorted(name for name in market.instruments if market.listed(name) is not None)
    returns = market.window(market.columns(tuple(names)))
    known = ~np.isnan(returns)
    told = known.any(axis=1)
    if int(told.sum()) < SESSIONS_MIN:
        return None
    whole = np.nan_to_num(returns).sum(axis=1)[told] / known.sum(axis=1)[told]
    moves = whole - whole.mean()
    spread = float(moves @ moves)
    return float(moves @ past[told]) / spread if spread > 0 else None

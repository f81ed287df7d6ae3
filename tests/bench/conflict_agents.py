"""The recorded agents under each conflict rule, after costs: a demonstration that claims nothing.

Place in the flow: beside the simulated alphas in `conflict_rules`. Long only, 10 million CNY in
whole lots, decided at a close and filled at the next open, so that nothing is sold on the day it
was bought; nobody buys at a limit up or sells at a limit down; stamp duty on sales. There are no
earlier prices, so the covariance is the prior and nothing is tuned: the other rules' opinions are
taken to be worth what a source is before anything is known of it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from coordinator.core.ports import Floats
from coordinator.solver import CvxAllocator, SolverSettings
from replay.baselines import AGENT_LATE
from replay.demo.messages import CASH, COSTS, PORTFOLIOS, TICK
from replay.demo.play import baselines
from replay.demo.recording import Recording, load
from replay.ledger import performance, sharpe_error
from replay.pricing import InstrumentTerms, at_limit, exact
from schemas.control import Parameters
from tests.bench.agents import BLOCK, HORIZON, OURS, PORTFOLIO, held_at_closes
from tests.bench.rule_figures import Draws, Measure, above, measures, told
from tests.bench.tradebooks import Market, Moment, Tariff, played_out, usual_volume
from tests.bench.ways import Desk, allocating

__all__ = ["desk_of", "market_of", "measured"]

BPS = 1e-4
TARIFF = Tariff(
    buy=(COSTS.fee_bps + COSTS.half_spread_bps) * BPS,
    sell=(COSTS.fee_bps + COSTS.half_spread_bps + COSTS.sell_tax_bps) * BPS,
    impact=1.0,
)
STAR = "688"
"""Names that trade from 200 units on and move up to 20 % a day; others 100 and 10 %."""


def measured() -> dict[str, Any]:
    """Every measure of every rule with intervals of resampled blocks, and the agents' own books."""
    recording, parameters = load(), Parameters()
    market, desk = market_of(recording), desk_of(recording)
    covariance = prior(parameters, len(recording.instruments))
    sigma = np.sqrt(np.diag(covariance) / HORIZON)
    sessions = len(market.closes)
    opinions: dict[str, dict[int, Floats]] = {}
    for session, held in held_at_closes(recording):
        for rule, opinion in held.items():
            worth = 1.0 / np.sqrt(np.diag(covariance)) if rule == OURS else parameters.skill_prior
            opinions.setdefault(rule, {})[session] = opinion * worth
    moments = [Moment(one, covariance, sigma) for one in sorted(opinions[OURS])[: sessions - 1]]
    found: dict[str, dict[str, Measure]] = {}
    for rule, some in opinions.items():
        decide = allocating(some, scale=1.0, desk=desk)
        series = played_out(market, moments, decide, nav=float(CASH), tariff=TARIFF)
        draws = Draws(len(series.net), length=BLOCK)
        found[rule] = measures([series], draws)
    return {
        "claim": "none: thirty sessions say nothing",
        "sessions": len(moments),
        "block": BLOCK,
        "sharpe_error": round(sharpe_error(len(moments)) or np.inf, 2),
        "rules": {rule: _of_rule(rule, found) for rule in found},
        "agents": _own(recording),
    }


def _of_rule(rule: str, found: dict[str, dict[str, Measure]]) -> dict[str, Any]:
    figures: dict[str, Any] = {name: told(name, one) for name, one in found[rule].items()}
    if rule != OURS:
        gains = {name: above(found[OURS][name], one) for name, one in found[rule].items()}
        figures["ours_above"] = {name: told(name, one) for name, one in gains.items()}
    return figures


def prior(parameters: Parameters, names: int) -> Floats:
    """(n, n) over HORIZON: what is assumed before any price was seen."""
    correlation = np.full((names, names), parameters.risk_correlation_prior)
    np.fill_diagonal(correlation, 1.0)
    found: Floats = HORIZON * parameters.risk_volatility_prior**2 * correlation
    return found


def market_of(recording: Recording) -> Market:
    """The sessions that closed; nobody trades with us beyond a price limit."""
    closed = [i for i, one in enumerate(recording.sessions) if one.closes]
    names = recording.instruments
    opens, closes = (
        np.array([[getattr(recording.sessions[i], kind)[name] for name in names] for i in closed])
        for kind in ("opens", "closes")
    )
    volume = np.array([[recording.volumes[i][name] for name in names] for i in closed])
    buyable, sellable = np.ones((2, *opens.shape), dtype=bool)
    for column, name in enumerate(names):
        terms = InstrumentTerms(tick=Decimal(TICK), price_limit=0.2 if _is_star(name) else 0.1)
        for row in range(1, len(closed)):
            mid, close = exact(float(opens[row, column])), exact(float(closes[row - 1, column]))
            buyable[row, column] = not at_limit(mid, buying=True, terms=terms, close=close)
            sellable[row, column] = not at_limit(mid, buying=False, terms=terms, close=close)
    return Market(opens, closes, usual_volume(volume * closes), buyable, sellable)


def desk_of(recording: Recording) -> Desk:
    """The demo's balanced portfolio."""
    mandate, parameters = PORTFOLIOS[PORTFOLIO], Parameters()
    (aversion,) = (one.risk_aversion for one in parameters.modes if one.mode == PORTFOLIO)
    return Desk(
        allocator=CvxAllocator(SolverSettings()),
        names=recording.instruments,
        lots=np.array([200.0 if _is_star(name) else 100.0 for name in recording.instruments]),
        tariff=TARIFF,
        risk_aversion=aversion,
        position_min=0.0,
        position_max=mandate.position_max,
        gross_max=mandate.gross_max,
        cash_floor=mandate.cash_floor,
        turnover_max=mandate.turnover_max,
        trade_min=0.002,
        neutral=False,
    )


def _is_star(name: str) -> bool:
    return name.startswith(STAR)


def _own(recording: Recording) -> dict[str, Any]:
    """Each agent's own trades a session late, when a follower could have made them."""
    books = [performance(one) for one in baselines(recording).curves if one.group == AGENT_LATE]
    return {
        one.name: {
            "sharpe": round(one.sharpe or 0.0, 2),
            "return": round(one.total_return, 4),
            "drawdown": round(one.drawdown, 4),
            "cost": round(one.costs, 5),
        }
        for one in books
    }

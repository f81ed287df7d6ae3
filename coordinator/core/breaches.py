"""Breaches: whether what is held breaks a hard limit of the mandate at the last prices.

Place in the flow: asked at every session close; a portfolio that decides on signals then decides.
Reads, changes nothing. Looked at are gross, net, leverage, drawdown, cash, positions, must-holds
and sectors; factors, volatility, liquidity and the universe wake nobody, nor does a soft limit or
what the allocator takes for drift.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.book import Valuation, drawdown_now
from coordinator.core.boxes import Tiers
from coordinator.core.limits import surplus_share
from coordinator.core.market import Market
from coordinator.core.ports import DRIFT
from coordinator.core.state import Portfolio

__all__ = ["breaches_limit", "foreign_cash"]


def breaches_limit(portfolio: Portfolio, worth: Valuation, market: Market) -> bool:
    """Whether a hard limit is broken; never where nothing can be valued."""
    if worth.nav <= 0:
        return False
    return (
        _breaks_totals(portfolio, worth, market)
        or _breaks_names(portfolio, worth, market)
        or _breaks_sectors(portfolio, worth, market)
    )


def foreign_cash(portfolio: Portfolio, worth: Valuation, market: Market) -> float:
    """Cash of other currencies than the portfolio's, held or owed, as a fraction of NAV."""
    total = 0.0
    for currency in sorted(portfolio.accounts.keys() - {portfolio.currency}):
        rate = market.rate(currency, portfolio.currency) or 0.0
        total += abs(float(portfolio.accounts[currency].cash)) * rate
    return total / worth.nav


def _breaks_totals(portfolio: Portfolio, worth: Valuation, market: Market) -> bool:
    mandate, hard = portfolio.mandate, Tiers(portfolio.mandate)
    gross, net = float(np.abs(worth.weights).sum()), float(worth.weights.sum())
    over = [("gross_max", gross, mandate.gross_max), ("net_max", net, mandate.net_max)]
    if mandate.leverage_max is not None:
        leverage = gross + foreign_cash(portfolio, worth, market)
        over.append(("leverage_max", leverage, mandate.leverage_max))
    if mandate.drawdown_max is not None:
        share = surplus_share(drawdown_now(portfolio, worth), mandate.drawdown_max)
        over.append(("drawdown_max", gross, mandate.gross_max * share))
    cash = worth.cash / worth.nav
    under = (("cash_floor", cash, mandate.cash_floor), ("net_min", net, mandate.net_min))
    return any(
        most is not None and used > most + DRIFT and not hard.of(limit)
        for limit, used, most in over
    ) or any(
        least is not None and used < least - DRIFT and not hard.of(limit)
        for limit, used, least in under
    )


def _breaks_names(portfolio: Portfolio, worth: Valuation, market: Market) -> bool:
    mandate, hard = portfolio.mandate, Tiers(portfolio.mandate)
    if not (mandate.positions or mandate.must_hold or mandate.soft):
        most, least = mandate.position_max + DRIFT, mandate.position_min - DRIFT
        return bool(((worth.weights > most) | (worth.weights < least)).any())
    own = {one.instrument: one for one in mandate.positions}
    held = dict(zip(worth.instruments, worth.weights.tolist(), strict=True))
    wanted = {one.instrument: one.min for one in mandate.must_hold}
    for name in sorted(held.keys() | own.keys() | wanted.keys()):
        if name not in held and market.price_of(name) is None:
            continue  # nobody could buy it yet
        weight, bound = held.get(name, 0.0), own.get(name)
        if bound is None or bound.min is None:
            low, floor = "position_min", mandate.position_min
        else:
            low, floor = "positions", bound.min
        if bound is None or bound.max is None:
            high, ceiling = "position_max", mandate.position_max
        else:
            high, ceiling = "positions", bound.max
        broken = (
            (low, weight < floor - DRIFT),
            (high, weight > ceiling + DRIFT),
            ("must_hold", weight < wanted.get(name, weight) - DRIFT),
        )
        if any(breaks and not hard.of(limit, name) for limit, breaks in broken):
            return True
    return False


def _breaks_sectors(portfolio: Portfolio, worth: Valuation, market: Market) -> bool:
    mandate, hard = portfolio.mandate, Tiers(portfolio.mandate)
    if not mandate.sectors:
        return False
    sums: dict[str | None, float] = {}
    for name, weight in zip(worth.instruments, worth.weights.tolist(), strict=True):
        sector = market.instruments[name].sector
        sums[sector] = sums.get(sector, 0.0) + weight
    for bound in mandate.sectors:
        used = sums.get(bound.sector, 0.0)
        if hard.of("sectors", bound.sector):
            continue
        if bound.max is not None and used > bound.max + DRIFT:
            return True
        if bound.min is not None and used < bound.min - DRIFT:
            return True
    return False

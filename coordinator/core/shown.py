"""Shown: a portfolio as it stands, as an event.

Place in the flow: said after every round, soon after fills and money, and at least once an
interval while anything changes. Reads the state, changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from coordinator.core.accounts import EXACT, PLACES, ZERO
from coordinator.core.assemble import is_sound, lines_of
from coordinator.core.book import Valuation, drawdown_now, money, reserved, settled, value
from coordinator.core.market import Market
from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio
from schemas.books import CurrencyLine, Holding, PortfolioViewUpdated, SectorLine
from schemas.canonical import digest

__all__ = ["cents", "cost_by_currency", "portfolio_view", "seen_as"]

_DIGITS = 30
"""As `schemas.base.Holdings`."""


def portfolio_view(portfolio: Portfolio, market: Market, *, at: int) -> PortfolioViewUpdated:
    """The portfolio as an event, as of the engine's clock `at`."""
    worth = value(portfolio, market)
    weights = worth.weights
    holdings, unrealised = _holdings(portfolio, worth)
    has_settled, is_reserved = settled(portfolio, market, at=at), reserved(portfolio, market)
    fall = drawdown_now(portfolio, worth)
    return PortfolioViewUpdated(
        decided_at=at,
        portfolio=portfolio.name,
        nav=money(worth.nav),
        cash=money(worth.cash) if len(portfolio.accounts) > 1 else _said(portfolio.cash),
        holdings=holdings,
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
        open_trades=len(portfolio.open_trades),
        traded=_said(portfolio.traded),
        fees=_said(portfolio.fees),
        fills=portfolio.fills,
        settled=money(has_settled),
        reserved=money(is_reserved),
        available=money(min(has_settled, worth.cash) - is_reserved),
        gain=money(worth.nav - float(portfolio.invested)),
        unrealised=money(unrealised),
        accounts=_accounts(portfolio, market, at=at),
        sectors=_sectors(worth, weights, market),
        concentration=_concentration(weights),
        drawdown=fall,
        drawdown_max=max(fall, portfolio.growth.deepest),
        unpriced=worth.unpriced,
        mandate_version=portfolio.mandate_version,
    )


def seen_as(view: PortfolioViewUpdated) -> tuple[str, ...]:
    """What must change before a view is worth showing again."""
    units = "\t".join(f"{one.instrument}\t{one.quantity}" for one in view.holdings)
    told = (view.nav, view.cash, view.fills, view.open_trades, digest(units.encode())[:16])
    return tuple(str(one) for one in told)


def _holdings(portfolio: Portfolio, worth: Valuation) -> tuple[tuple[Holding, ...], float]:
    """Every position, and what those with a price have gained together."""
    priceless = frozenset(worth.unpriced)
    costs = np.array([float(portfolio.cost[name]) for name in worth.instruments])
    gained = worth.values - costs * worth.rates
    columns = (worth.prices, worth.weights, gained)
    rows = zip(worth.instruments, *((column + 0.0).tolist() for column in columns), strict=True)
    made = tuple(
        {
            "instrument": name,
            "quantity": _plain(portfolio.positions[name]),
            "price": price or None,
            "weight": weight,
            "cost": _plain(_said(portfolio.cost[name])),
            "unrealised": None if name in priceless else cents(more),
        }
        for name, price, weight, more in rows
    )
    sound = is_sound(*columns) and all(
        number.adjusted() < _DIGITS
        for number in (*portfolio.positions.values(), *portfolio.cost.values())
    )
    priced = [name not in priceless for name in worth.instruments]
    return lines_of(Holding, made, sound=sound), float(gained[priced].sum())


def cents(amount: float) -> Decimal:
    """Money to the cent, from a float, at a fraction of the cost of `book.money`.

    Half a cent may go the other way: 0.575 is 0.57 here, and 0.58 there.
    """
    return _plain(Decimal(round(amount * 100.0)).scaleb(-2, context=EXACT))


def _plain(number: Decimal) -> Decimal:
    """As the schemas spell it: no trailing zeros, no negative zero."""
    return number.normalize(EXACT) if number else ZERO


def cost_by_currency(portfolio: Portfolio, market: Market) -> dict[str, Decimal]:
    """What the holdings of each currency cost, exact."""
    found: dict[str, Decimal] = {}
    for name in sorted(portfolio.cost):
        currency = market.instruments[name].currency
        found[currency] = EXACT.add(found.get(currency, ZERO), portfolio.cost[name])
    return found


def _accounts(portfolio: Portfolio, market: Market, *, at: int) -> tuple[CurrencyLine, ...]:
    """Its own currency first, then the others by name."""
    cost = cost_by_currency(portfolio, market)
    others = sorted(portfolio.accounts.keys() - {portfolio.currency})
    lines = []
    for currency in (portfolio.currency, *others):
        account = portfolio.accounts[currency]
        lines.append(
            CurrencyLine(
                currency=currency,
                cash=_said(account.cash),
                settled=_said(account.settled(at)),
                cost=_said(cost.get(currency, ZERO)),
                paid_in=_said(account.paid_in),
                realised=_said(account.realised),
                income=_said(account.income),
                charges=_said(account.charges),
                exchanged=_said(account.exchanged),
                corrected=_said(account.corrected),
            )
        )
    return tuple(lines)


def _sectors(worth: Valuation, weights: Floats, market: Market) -> tuple[SectorLine, ...]:
    long: dict[str | None, float] = {}
    short: dict[str | None, float] = {}
    for name, weight in zip(worth.instruments, weights.tolist(), strict=True):
        side = long if weight > 0 else short
        sector = market.instruments[name].sector
        side[sector] = side.get(sector, 0.0) + weight
    sectors = sorted(long.keys() | short.keys(), key=lambda sector: (sector is None, sector or ""))
    return tuple(
        SectorLine(sector=one, long=long.get(one, 0.0), short=short.get(one, 0.0))
        for one in sectors
    )


def _concentration(weights: Floats) -> float:
    """The Herfindahl index of the gross exposure; 0 where nothing is held."""
    gross = float(np.abs(weights).sum())
    return min(1.0, float((weights**2).sum()) / gross**2) if gross > 0 else 0.0


def _said(amount: Decimal) -> Decimal:
    """Money as an event can spell it: a product of price and quantity may have more places."""
    return amount.quantize(PLACES, context=EXACT)

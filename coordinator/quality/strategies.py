"""Strategies: the virtual books of a portfolio, for who asks how it stands.

Place in the flow: measured from a folded state beside `standing`; no decision reads it. The last
line is the house: what belongs to no strategy. Gains of all lines add up to the portfolio's.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from coordinator.core.book import Valuation, money
from coordinator.core.state import Portfolio, State
from coordinator.core.virtual import house_units, worth_of

__all__ = ["HOUSE", "StrategyLine", "strategy_lines"]

HOUSE = "house"
"""No strategy is called so: all have a slash in their names."""


@dataclass(frozen=True, slots=True)
class StrategyLine:
    """One strategy's book; money of the portfolio's currency at the last prices and rates.

    size: volatility of a session that the last decision gave it; None for the house. gross, net:
    weights held. gain: since its book began, of the house since the portfolio did. credit: what
    crossing saved it, which is no part of the gain. traded: absolute value.
    """

    strategy: str
    size: float | None
    holdings: int
    gross: float
    net: float
    gain: Decimal
    credit: Decimal
    traded: Decimal


def strategy_lines(
    state: State, portfolio: Portfolio, worth: Valuation
) -> tuple[StrategyLine, ...]:
    """Sorted by strategy, the house last; empty where there are no books."""
    virtual = state.virtual.get(portfolio.name)
    if virtual is None or not virtual.books:
        return ()
    names = sorted(virtual.books)
    nav = worth.nav if worth.nav > 0 else float("inf")
    lines = []
    left = worth.nav - float(portfolio.invested)
    for name, one in zip(
        names, worth_of(virtual, names, state.market, portfolio.currency), strict=True
    ):
        book = virtual.books[name]
        left -= one.value
        lines.append(
            StrategyLine(
                strategy=name,
                size=book.size,
                holdings=len(book.units),
                gross=one.gross / nav,
                net=one.net / nav,
                gain=money(one.value),
                credit=money(book.credit),
                traded=money(book.traded),
            )
        )
    values = _house_values(state, portfolio, house_units(virtual, portfolio))
    return (
        *lines,
        StrategyLine(
            strategy=HOUSE,
            size=None,
            holdings=len(values),
            gross=sum(abs(value) for value in values) / nav,
            net=sum(values) / nav,
            gain=money(left),
            credit=Decimal(0),
            traded=Decimal(0),
        ),
    )


def _house_values(state: State, portfolio: Portfolio, units: dict[str, Decimal]) -> list[float]:
    """What each of its holdings is worth."""
    found = []
    for name, amount in units.items():
        price = state.market.price_of(name) or 0.0
        currency = state.market.instruments[name].currency
        found.append(float(amount) * price * (state.market.rate(currency, portfolio.currency) or 0))
    return found

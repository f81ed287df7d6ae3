"""A book that follows one conflict rule: what it trades, what that costs, what it is worth.

Place in the flow: `conflict_rules` and `conflict_agents` play one per rule through the same
sessions. Decided at a close, filled whole at the next open, marked at each close. Costs are charged
in money: a share of the traded value, and an impact that grows with the root of the trade's share
in a day's usual volume. Nothing here looks beyond the session that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import Floats

__all__ = [
    "USUAL",
    "Decide",
    "Market",
    "Moment",
    "Ruined",
    "Series",
    "Standing",
    "Tariff",
    "charged",
    "played_out",
    "usual_volume",
]

USUAL = 20
"""Sessions whose mean volume is a name's usual one."""


class Ruined(Exception):
    """A book has lost everything: no rule of the comparison may, or it says nothing."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What trading costs. buy, sell: fractions of the traded value.

    impact: Y of the square-root law, cost / value = Y sigma sqrt(value / usual volume), with sigma
    of one session. Source: Toth et al. 2011, "Anomalous price impact and the critical nature of
    liquidity"; Y is about 1.
    """

    buy: float
    sell: float
    impact: float


@dataclass(frozen=True, slots=True)
class Market:
    """Prices of all sessions, (t, n), money.

    usual: (t, n) a name's usual volume by the end of a session, money. buyable, sellable: whether
    anybody trades with us at that session's open.
    """

    opens: Floats
    closes: Floats
    usual: Floats
    buyable: NDArray[np.bool_] | None = None
    sellable: NDArray[np.bool_] | None = None

    def fillable(self, units: Floats, session: int) -> Floats:
        """What of these trades the session's open fills."""
        if self.buyable is None or self.sellable is None:
            return units
        found: Floats = np.where(units > 0.0, self.buyable[session], self.sellable[session]) * units
        return found


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision's close. sigma: (n,) volatility of one session as known then."""

    session: int
    covariance: Floats
    sigma: Floats


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision starts from. weights: (n,) fractions of nav; nav, cash: money."""

    moment: Moment
    weights: Floats
    nav: float
    cash: float
    price: Floats
    usual: Floats


Decide = Callable[[Standing], Floats]
"""(n,) whole units to trade at the next open."""


@dataclass(frozen=True, slots=True)
class Series:
    """What came of it, (t,) by session from the first fill's on; fractions of NAV.

    net: return after costs. cost, turnover: paid, and half the value traded, over the NAV of the
    close before.
    """

    net: Floats
    cost: Floats
    turnover: Floats

    @property
    def gross(self) -> Floats:
        """The same holdings' return, had trading been free."""
        return self.net + self.cost


def usual_volume(volume: Floats) -> Floats:
    """(t, n) mean volume of the sessions up to each, USUAL of them where there are as many."""
    total = np.cumsum(volume, axis=0)
    before = np.zeros_like(total)
    before[USUAL:] = total[:-USUAL]
    counts = np.minimum(np.arange(1, len(volume) + 1), USUAL)[:, None]
    found: Floats = (total - before) / counts
    return found


def charged(
    units: Floats, price: Floats, *, sigma: Floats, usual: Floats, tariff: Tariff
) -> Floats:
    """(n,) money that these trades cost at that price. usual: (n,) above 0."""
    value = np.abs(units) * price
    rate = np.where(units > 0.0, tariff.buy, tariff.sell)
    impact = tariff.impact * sigma * np.sqrt(value / usual)
    found: Floats = value * (rate + impact)
    return found


def played_out(
    market: Market, moments: Sequence[Moment], decide: Decide, *, nav: float, tariff: Tariff
) -> Series:
    """One book from its first decision's fill to as long after its last as from one to the next.

    Raises Ruined where nothing is left.
    """
    cash, held, worth = nav, np.zeros(market.closes.shape[1]), nav
    stops = [one.session for one in moments[1:]]
    last = 2 * moments[-1].session - moments[-2].session
    stops.append(min(last, len(market.closes) - 1))
    parts = []
    for moment, stop in zip(moments, stops, strict=True):
        at = moment.session
        price, usual = market.closes[at], market.usual[at]
        standing = Standing(moment, held * price / worth, worth, cash, price, usual)
        filled = market.fillable(decide(standing), at + 1)
        opened = market.opens[at + 1]
        paid = charged(filled, opened, sigma=moment.sigma, usual=usual, tariff=tariff)
        held = held + filled
        cash -= float(filled @ opened) + float(paid.sum())
        path = cash + market.closes[at + 1 : stop + 1] @ held
        if (path <= 0.0).any():
            message = f"nothing is left after session {at}"
            raise Ruined(message)
        parts.append(_series(worth, path, float(paid.sum()), float(np.abs(filled) @ opened)))
        worth = float(path[-1])
    return Series(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _series(worth: float, path: Floats, paid: float, traded: float) -> tuple[Floats, ...]:
    """Net return, cost and turnover of the sessions until the next decision."""
    before = np.concatenate(([worth], path[:-1]))
    cost, turnover = np.zeros((2, len(path)))
    cost[0], turnover[0] = paid / worth, traded / 2.0 / worth
    return path / before - 1.0, cost, turnover

"""Netting: the trades of strategies meet each other before anything is sent to the market.

Place in the flow: after the allocation, on each decision with sleeves; `virtual` keeps the books.
Opposite trades of strategies cross first, at the price that the decision saw; what is left of them
crosses with the house, which is whatever of the decision belongs to no strategy; the rest is sent,
shared by what each still wants. Pure functions of columns; nothing here reads the state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coordinator.core.ports import Floats

__all__ = ["Netted", "credits_of", "net", "saved_cost"]


class Netted(NamedTuple):
    """Where each strategy's trades end, (s, n) each and of the same unit; together its trades.

    crossed: with other strategies: of an instrument they add up to 0. housed: with the house.
    sent: to the market, never against what is traded there.
    """

    crossed: Floats
    housed: Floats
    sent: Floats


def net(trades: Floats, sent: Floats) -> Netted:
    """How the trades of strategies meet.

    trades: (s, n) signed, by strategy. sent: (n,) what the decision trades; what it has beside the
    strategies' is the house's.
    """
    buys, sells = np.maximum(trades, 0.0), np.maximum(-trades, 0.0)
    bought, sold = buys.sum(axis=0), sells.sum(axis=0)
    both = np.minimum(bought, sold)
    crossed = buys * _portion(both, bought) - sells * _portion(both, sold)
    left = trades - crossed
    want = bought - sold
    house = sent - want
    against = want * house < 0.0
    met = np.where(against, np.minimum(np.abs(want), np.abs(house)), 0.0)
    housed = left * _portion(met, np.abs(want))
    return Netted(crossed, housed, left - housed)


def _portion(part: Floats, whole: Floats) -> Floats:
    """part / whole, 0 where there is nothing, and exactly 1 where they are the same."""
    found: Floats = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0.0)
    return found


def saved_cost(trades: Floats, *, linear: Floats, impact: Floats | None) -> Floats:
    """(n,) what was not paid as strategies crossed: kappa1 (G - |N|) + kappa2 (G^1.5 - |N|^1.5).

    trades: (s, n) of the strategies, fractions of NAV; G is their absolute sum and N their sum.
    linear: (n,) kappa1, mean cost of buying and selling. impact: (n,) kappa2.
    """
    gross, left = np.abs(trades).sum(axis=0), np.abs(trades.sum(axis=0))
    left = np.minimum(left, gross)  # the two sums round apart
    saved: Floats = linear * (gross - left)
    if impact is not None:
        saved = saved + impact * (gross**1.5 - left**1.5)
    return saved


def credits_of(crossed: Floats, saved: Floats) -> Floats:
    """(s,) each strategy's share of what was saved, by the volume it crossed of each instrument.

    crossed: (s, n) signed, fractions of NAV. saved: (n,).
    """
    volume = np.abs(crossed)
    whole = volume.sum(axis=0)
    each = np.divide(saved, whole, out=np.zeros_like(saved), where=whole > 0.0)
    found: Floats = volume @ each
    return found

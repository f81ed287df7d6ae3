"""Limits on each trade: what can be traded at all."""

from __future__ import annotations

import cvxpy as cp

__all__ = ["trade_limit"]


def trade_limit(trades: cp.Variable, trade_max: cp.Parameter) -> list[cp.Constraint]:
    """No trade is larger than trade_max in either direction.

    trades: (n,) signed fractions of NAV. trade_max: (n,) fractions of NAV, 0 where halted.
    Source: MATH, stage B (|z| <= u).
    """
    return [trades <= trade_max, trades >= -trade_max]

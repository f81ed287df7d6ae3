"""Limits: each file has the constraint of the model and the measure that checks an answer.

Whether a limit is hard or soft is not said here. A new one is one file here, its rows in `further`
and its parameter in `model_rows`. The measures know nothing of the solver, so an answer is checked
by other code than found it.
"""

from coordinator.solver.limits.cash import cash_left, cash_limit, cash_paid
from coordinator.solver.limits.gross import exposure_of, gross_limit, gross_used, kink
from coordinator.solver.limits.groups import group_limit, largest_weights
from coordinator.solver.limits.linear import linear_before, linear_limit
from coordinator.solver.limits.position import position_limit, position_range
from coordinator.solver.limits.trade import trade_limit
from coordinator.solver.limits.turnover import turnover_limit, turnover_used
from coordinator.solver.limits.volatility import (
    root_of,
    volatility_limit,
    volatility_slope,
    volatility_used,
)

__all__ = [
    "cash_left",
    "cash_limit",
    "cash_paid",
    "exposure_of",
    "gross_limit",
    "gross_used",
    "group_limit",
    "kink",
    "largest_weights",
    "linear_before",
    "linear_limit",
    "position_limit",
    "position_range",
    "root_of",
    "trade_limit",
    "turnover_limit",
    "turnover_used",
    "volatility_limit",
    "volatility_slope",
    "volatility_used",
]

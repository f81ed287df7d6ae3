"""Hard limits: each file has the constraint of the model and the measure that checks an answer.

A new limit is one file here, its room in `room.Room` and its parameter in `model.Parameters`. The
measures know nothing of the solver, so an answer is checked by other code than found it.
"""

from coordinator.solver.limits.cash import cash_left, cash_limit
from coordinator.solver.limits.gross import gross_limit, gross_used, kink
from coordinator.solver.limits.position import position_limit, position_range
from coordinator.solver.limits.trade import trade_limit
from coordinator.solver.limits.turnover import turnover_limit, turnover_used

__all__ = [
    "cash_left",
    "cash_limit",
    "gross_limit",
    "gross_used",
    "kink",
    "position_limit",
    "position_range",
    "trade_limit",
    "turnover_limit",
    "turnover_used",
]

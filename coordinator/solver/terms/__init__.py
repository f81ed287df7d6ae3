"""Terms of the objective: each file has the function of the model and the measure beside it.

The functions state a term for cvxpy; the measures say what trades are worth by it, and how it pulls
at each trade, without knowing the solver. A new term is one file here, its parameters in
`model_terms` and its line in `worth`; `ops/docs/allocation.md` shows how.
"""

from coordinator.solver.terms.cost import (
    impact_cost,
    impact_paid,
    impact_taken,
    linear_cost,
    power_paid,
    power_slope,
    square_cost,
    square_paid,
    square_slope,
    square_taken,
)
from coordinator.solver.terms.expected_return import expected_return
from coordinator.solver.terms.holding import borrow_cost, carry_cost
from coordinator.solver.terms.risk import factor_risk, risk
from coordinator.solver.terms.robustness import robustness
from coordinator.solver.terms.sleeves import house_of, house_risk, wish_gap
from coordinator.solver.terms.spread import diversification, tracking

__all__ = [
    "borrow_cost",
    "carry_cost",
    "diversification",
    "expected_return",
    "factor_risk",
    "house_of",
    "house_risk",
    "impact_cost",
    "impact_paid",
    "impact_taken",
    "linear_cost",
    "power_paid",
    "power_slope",
    "risk",
    "robustness",
    "square_cost",
    "square_paid",
    "square_slope",
    "square_taken",
    "tracking",
    "wish_gap",
]

"""Terms of the objective: one function each, all to be added up and maximised.

A new term is one function here and its parameters in `model.Parameters`.
"""

from coordinator.solver.terms.cost import linear_cost
from coordinator.solver.terms.expected_return import expected_return
from coordinator.solver.terms.risk import risk

__all__ = ["expected_return", "linear_cost", "risk"]

"""The allocation solver: the only importer of cvxpy, and a library of its own.

The way of a problem: plain -> validate -> violations (what is breached) -> ladder (solve: room,
then segments by PIQP or the model through cvxpy, terms, limits, certificate; else rule) -> rounding
(repair) -> balance (forces) -> readings -> Allocation.

    from coordinator.solver import CvxAllocator, problem_of
    answer = CvxAllocator().allocate(problem_of(mu, covariance, risk_aversion=5.0))

`ops/docs/allocation.md` is its page.
"""

from coordinator.core.ports import (
    Allocation,
    AllocationProblem,
    Charges,
    Force,
    LimitReading,
    RiskEstimate,
    Sleeves,
    WeightLimit,
)
from coordinator.solver.allocator import CvxAllocator
from coordinator.solver.errors import ProblemError
from coordinator.solver.fingerprint import numeric_fingerprint
from coordinator.solver.many import ManyAllocator
from coordinator.solver.settings import SolverSettings
from coordinator.solver.statement import limit_of, problem_of
from coordinator.solver.threads import pin_threads

__all__ = [
    "Allocation",
    "AllocationProblem",
    "Charges",
    "CvxAllocator",
    "Force",
    "LimitReading",
    "ManyAllocator",
    "ProblemError",
    "RiskEstimate",
    "Sleeves",
    "SolverSettings",
    "WeightLimit",
    "limit_of",
    "numeric_fingerprint",
    "pin_threads",
    "problem_of",
]

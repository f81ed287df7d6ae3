"""The allocation solver: the only importer of cvxpy.

The way of a problem: validate -> violations (what is breached) -> ladder (solve: room, model,
terms, limits, certificate; else rule) -> rounding (repair) -> readings -> Allocation.
"""

from coordinator.solver.allocator import CvxAllocator
from coordinator.solver.errors import ProblemError
from coordinator.solver.fingerprint import numeric_fingerprint
from coordinator.solver.settings import SolverSettings
from coordinator.solver.threads import pin_threads

__all__ = ["CvxAllocator", "ProblemError", "SolverSettings", "numeric_fingerprint", "pin_threads"]

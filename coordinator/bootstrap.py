"""Bootstrap: the one place that puts the parts together.

Place in the flow: every shell, replay and command asks here for an engine or a log. Building has
one side effect: BLAS is pinned to one thread, because decisions must not depend on how many there
are.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from importlib import metadata
from pathlib import Path
from statistics import NormalDist

import numpy as np

import coordinator.core
import coordinator.learning
import coordinator.solver
import schemas
from coordinator.core.engine import Engine
from coordinator.core.ports import Allocator, RiskModel
from coordinator.core.together import Hands
from coordinator.learning.risk import ChosenRisk
from coordinator.solver import CvxAllocator, SolverSettings, numeric_fingerprint, pin_threads
from schemas.journal import EngineStarted

__all__ = ["Identity", "allocator", "build_engine", "engine_started", "identity", "risk_model"]

DECIDING = (schemas, coordinator.core, coordinator.solver, coordinator.learning)
"""Packages whose source decides: their bytes, and this file's, are the build."""
NUMERIC = ("numpy", "scipy", "cvxpy", "piqp", "clarabel", "pydantic", "pydantic-core")
"""Distributions whose version can change a decision's bits."""

Identity = tuple[str, str, str]
"""(build, dependencies, fingerprint), as in EngineStarted."""


def build_engine(*, shard: int, shards: int, hands: Hands | None = None) -> Engine:
    """An engine with the solver and the risk model of this build.

    hands: who works out rounds beside it, where many are due at one moment.
    """
    return Engine(
        shard=shard, shards=shards, allocator=allocator(), risk_model=risk_model(), hands=hands
    )


def allocator() -> Allocator:
    """The solver of this build."""
    pin_threads()
    return CvxAllocator(SolverSettings())


def risk_model() -> RiskModel:
    """The risk models of this build: the parameters choose."""
    return ChosenRisk()


@cache
def identity() -> Identity:
    """What this process would decide with: hashes of code, libraries and arithmetic."""
    pin_threads()
    return _build(), _dependencies(), _fingerprint()


def engine_started(*, at: int, shards: int) -> EngineStarted:
    """The event that says from `at` (ns UTC) on this build decides, for that many shards."""
    build, dependencies, fingerprint = identity()
    return EngineStarted(
        event_id=f"start {at}",
        event_time=at,
        build=build,
        dependencies=dependencies,
        fingerprint=fingerprint,
        shards=shards,
    )


def _fingerprint() -> str:
    """Arithmetic of the machine: a fixed solve, and the functions that scores are made of."""
    normal = NormalDist()
    steps = [k / 97 for k in range(1, 97)]
    scalars = [
        (math.exp2(-x), math.sin(x), math.sqrt(x), normal.inv_cdf(x), normal.cdf(x)) for x in steps
    ]
    columns = np.exp2(-np.array(steps)).tolist()
    solved = numeric_fingerprint(SolverSettings())
    return hashlib.sha256(f"{solved} {scalars!r} {columns!r}".encode()).hexdigest()


def _build() -> str:
    found = hashlib.sha256(Path(__file__).read_bytes())
    for package in DECIDING:
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*.py")):
            found.update(f"{package.__name__}/{path.relative_to(root).as_posix()}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def _dependencies() -> str:
    versions = "\n".join(f"{name} {metadata.version(name)}" for name in NUMERIC)
    return hashlib.sha256(versions.encode()).hexdigest()

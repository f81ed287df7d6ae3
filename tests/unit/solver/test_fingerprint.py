from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from coordinator.solver import SolverSettings, numeric_fingerprint

# Prints the fingerprint and the bits of a breached, whole-lot decision of 150 names.
_DECIDE = """
import hashlib
import numpy as np
from dataclasses import replace
from coordinator.core.ports import AllocationProblem, WeightLimit
from coordinator.learning import PriorBlendedCovariance
from coordinator.core.ports import RiskSettings
from coordinator.solver import CvxAllocator, SolverSettings, numeric_fingerprint, pin_threads

pin_threads()
n = 150
rng = np.random.default_rng(7)
returns = rng.normal(size=(200, n)) * 0.02
sigma = PriorBlendedCovariance().covariance(returns, RiskSettings(0.02, 0.3, 60.0))
zero = np.zeros(n)
problem = AllocationProblem(
    instruments=tuple(f"I{i:03d}" for i in range(n)), nav=1e6, mu=rng.normal(size=n) * 0.01,
    covariance=sigma * 5, risk_aversion=5.0, filled=zero + 0.008, working_buys=zero,
    working_sells=zero, cash=-0.2, lot_weight=zero + 1e-4, exit_odd_lot=zero == 0,
    cost_buy=zero + 0.001, cost_sell=zero + 0.002, trade_max=zero + 0.02, position_min=zero,
    position_max=zero + 0.03, gross_max=1.0, cash_floor=0.01, turnover_max=0.3, trade_min=5e-4,
)
answer = CvxAllocator(SolverSettings()).allocate(problem)
assert answer.rung == "relaxed", answer.remarks
bits = answer.trades.tobytes() + answer.continuous.tobytes() + repr(answer.limits).encode()
rows, one, no = rng.normal(size=(9, n)), np.ones(1), np.full(1, np.inf)
conflict = tuple(
    WeightLimit(f"sum{tier}", "linear", ("",), np.ones((1, n)), -no, tier * 0.2 * one, tier)
    for tier in (1, 2)
) + (WeightLimit("floor", "linear", ("",), np.ones((1, n)), 0.5 * one, no, 3),)
hard = WeightLimit(
    "factors", "linear", tuple("abcdefghi"), rows, np.full(9, -0.5), np.full(9, 0.5), 0
)
for size, rung in ((0.02, 0), (0.004, 1)):
    cone = WeightLimit("volatility", "volatility", ("",), np.zeros((1, n)), -no, size * one, rung)
    limited = CvxAllocator(SolverSettings()).allocate(
        replace(problem, limits=(hard, *conflict, cone))
    )
    assert limited.rung == "relaxed" and "gave way" in limited.remarks[1], limited.remarks
    bits += limited.trades.tobytes() + repr(limited.limits).encode()
print(numeric_fingerprint(SolverSettings()), hashlib.sha256(bits + sigma.tobytes()).hexdigest())
"""


def decide(threads: str, hash_seed: str) -> str:
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", _DECIDE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bits_are_the_same_for_any_blas_threads_hash_seed_and_process() -> None:
    first = decide("1", "0")
    assert len(first.split()) == 2
    assert decide("2", "1") == first
    assert decide("4", "12345") == first


def test_fingerprint_is_stable_and_names_the_settings() -> None:
    one = numeric_fingerprint(SolverSettings())
    assert one == numeric_fingerprint(SolverSettings())
    assert len(one) == 64
    assert one != numeric_fingerprint(SolverSettings(tolerance=1e-7))
    assert one != numeric_fingerprint(SolverSettings(quick_tolerance=1e-7))


@pytest.mark.parametrize("name", ["solver", "second_solver"])
def test_fingerprint_covers_each_solver(name: str) -> None:
    both = SolverSettings()
    other = "CLARABEL" if getattr(both, name) == "PIQP" else "PIQP"
    fields: dict[str, Any] = {name: other}
    changed = SolverSettings(**fields)
    assert numeric_fingerprint(changed) != numeric_fingerprint(both)

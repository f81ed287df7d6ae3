"""Sizes that suit given trades best: at their bounds exactly, and never worth less than others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver import sizes as module
from coordinator.solver.sizes import best_sizes, sizes_most
from coordinator.solver.worth import objective, size_slopes

from .conftest import Make
from .test_charges import sleeves_of


def sized(make: Make, seed: int) -> tuple[AllocationProblem, Floats]:
    rng = np.random.default_rng(seed)
    p = make(12, filled=0.02)
    p = replace(
        p,
        sleeves=sleeves_of(
            p, rng, size_max=rng.uniform(0.0, 0.03, 4), wish_weight=rng.uniform(0.0, 2.0, 4) ** 4,
            house_weight=float(rng.choice([0.01, 1.0, 50.0])),
        ),
    )  # fmt: skip
    return p, rng.normal(size=12) * 0.05


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_gained_by_moving_a_size(make: Make, seed: int) -> None:
    p, trades = sized(make, seed)
    assert p.sleeves is not None
    found, most = best_sizes(p, trades), sizes_most(p.sleeves)
    slopes = size_slopes(p, trades, found)
    scale = max(1.0, float(np.abs(size_slopes(p, trades, np.zeros(4))).max()))
    rises, falls = slopes[found < most], slopes[found > 0.0]
    assert rises.max(initial=0.0) <= 1e-10 * scale
    assert falls.min(initial=0.0) >= -1e-10 * scale
    assert ((found >= 0.0) & (found <= most)).all()


def test_where_they_do_not_settle_they_are_nearly_as_good(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(10):
        p, trades = sized(make, seed)
        exact = objective(p, trades, best_sizes(p, trades))
        with monkeypatch.context() as patch:
            patch.setattr(module, "_settled", lambda *_: None)
            near = objective(p, trades, best_sizes(p, trades))
        assert exact >= near - 1e-12
        assert near >= exact - 1e-4

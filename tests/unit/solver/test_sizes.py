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
        assert near >= exact - 2e-5


@pytest.mark.parametrize("case", ["two alike", "none may be held", "nothing is charged"])
def test_where_several_are_as_good_one_is_told(make: Make, case: str) -> None:
    p, trades = sized(make, 3)
    assert p.sleeves is not None
    s = p.sleeves
    if case == "two alike":
        targets = s.targets.copy()
        targets[:, 1] = targets[:, 0]
        s = replace(s, targets=targets, wish_weight=np.zeros(4), size_max=np.full(4, 0.03))
    elif case == "none may be held":
        s = replace(s, size_max=np.zeros(4))
    else:
        s = replace(s, wish_weight=np.zeros(4), house_weight=0.0)
    p = replace(p, sleeves=s)
    found = best_sizes(p, trades)
    assert ((found >= 0.0) & (found <= sizes_most(s))).all()
    rng, told = np.random.default_rng(1), objective(p, trades, found)
    for _ in range(200):
        assert told >= objective(p, trades, rng.uniform(0.0, 1.0, 4) * sizes_most(s)) - 1e-9


def test_where_all_else_fails_they_are_the_wishes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    p, trades = sized(make, 5)
    assert p.sleeves is not None
    monkeypatch.setattr(module, "_settled", lambda *_: None)
    monkeypatch.setattr(module, "_near", lambda *_: None)
    most = sizes_most(p.sleeves)
    assert np.array_equal(best_sizes(p, trades), np.clip(p.sleeves.wished, 0.0, most))

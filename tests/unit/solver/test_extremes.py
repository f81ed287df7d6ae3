"""The best is found, and known to be, where numbers are far from those of every day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.solver import Charges, CvxAllocator, limit_of, problem_of


@pytest.mark.parametrize("law", ["impact", "impact_square"])
@pytest.mark.parametrize("kind", ["none", "cash"])
def test_cash_that_pays_for_more_impact_than_the_book_is_worth_is_used(law: str, kind: str) -> None:
    """What cannot bind is pulled in to what trades could ever take, and that counts impact."""
    rates: dict[str, Any] = {law: np.array([8.0])}
    rows = [limit_of("reserve", "cash", lower=0.5, tier=1)] if kind == "cash" else []
    p = problem_of(
        [30.0], np.eye(1) * 1e-3, risk_aversion=1.0, cash=20.0, charges=Charges(**rates),
        limits=rows,
    )  # fmt: skip
    answer = CvxAllocator().allocate(p)
    assert answer.continuous[0] == pytest.approx(1.0, abs=1e-9)
    assert answer.objective_continuous == pytest.approx(30.0 - 8.0 - 0.0005, abs=1e-9)
    short = replace(p, mu=np.zeros(1), filled=np.array([-1.0]))
    mended = CvxAllocator().allocate(short)
    assert mended.rung == "relaxed"
    assert mended.continuous[0] == pytest.approx(1.0, abs=1e-6)


def test_a_trade_left_off_its_end_goes_there_where_risk_is_dear() -> None:
    """A solver leaves it a tenth of a basis point off, which gamma makes worth a word."""
    rng = np.random.default_rng(3)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        held = np.array([0.0, *rng.uniform(0.02, 0.1, 2)])
        root = rng.normal(size=(1, 3)) * 0.05
        p = problem_of(
            np.zeros(3), root.T @ root + np.eye(3) * 1e-12, risk_aversion=1e3, weights=held,
            cost_buy=rng.uniform(1e-4, 1e-3, 3), cost_sell=rng.uniform(1e-4, 1e-3, 3),
        )  # fmt: skip
        answer = CvxAllocator().allocate(p)
        left = np.sum([one.pulls for one in answer.forces], axis=0)
        assert np.abs(left).max() <= 1e-6, seed

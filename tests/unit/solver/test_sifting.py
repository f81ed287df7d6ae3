"""A few names at a time: the answer of all at once, in rounds that end and cost less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, Charges, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings, quick
from coordinator.solver.further import prepare
from coordinator.solver.quick import optimise_segments
from coordinator.solver.resting import is_balanced
from coordinator.solver.room import make_room
from coordinator.solver.segments import cut
from coordinator.solver.solution import EXCESS_MAX, Solution
from coordinator.solver.violations import measure

from .conftest import build

SETTINGS = SolverSettings()
WHOLE = 10**6
GAP = 1e-8
HARD = (12, 31, 37, 46, 90, 95, 155, 194, 228, 251, 274, 386, 431, 536, 573)
"""Seeds at which rounds once circled, ended too early or took longer than all at once."""


def wide(seed: int) -> AllocationProblem:
    """A hundred to four hundred names of few common causes, where most end at a limit."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([120, 250, 400]))
    causes = int(rng.integers(1, 8))
    rows = rng.normal(size=(n, causes)) * rng.choice([0.01, 0.03, 0.06])
    rows = np.abs(rows) if rng.random() < 0.5 else rows
    covariance = rows @ rows.T + np.diag(rng.uniform(1e-4, 3e-3, n))
    short = rng.random() < 0.4
    most = rng.choice([0.01, 0.02, 0.05])
    held = np.where(rng.random(n) < rng.choice([0, 0.2, 0.6]), rng.uniform(0, most, n), 0.0)
    held = held * rng.choice([-1, 1], n) if short else held
    mu = rng.normal(size=n) * rng.choice([0.003, 0.02])
    mu = mu + (rows @ rng.normal(size=causes)) * rng.choice([0, 1, 3])
    return build(
        n, mu=mu, covariance=covariance, risk_aversion=float(rng.choice([1, 5, 20])), filled=held,
        cash=1 - held.sum(), position_max=most, position_min=-most if short else 0.0,
        gross_max=max(float(np.abs(held).sum()), float(rng.choice([0.5, 1.0, 2.0]))),
        turnover_max=float(rng.choice([0.1, 0.3, 1.0])),
        cash_floor=-5.0 if short else float(rng.choice([0.0, 0.3])),
    )  # fmt: skip


def solved(p: AllocationProblem) -> Solution:
    p = prepare(p)
    return optimise_segments(p, make_room(p, measure(p, np.zeros_like(p.mu))), SETTINGS)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many parts each solve was for."""
    found: list[int] = []
    solve = quick._solve

    def counted(problem: Any, room: Any, parts: Any, settings: Any, **how: Any) -> Solution:
        found.append(len(parts.name))
        return solve(problem, room, parts, settings, **how)

    monkeypatch.setattr(quick, "_solve", counted)
    return found


@pytest.mark.parametrize("seed", [*HARD, *range(600, 630)])
def test_rounds_end_in_the_answer_of_all_at_once(
    seed: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = wide(seed)
    few, rounds = solved(p), sum(size**2 for size in sizes)
    monkeypatch.setattr(quick, "_WHOLE_MAX", WHOLE)
    sizes.clear()
    whole = solved(p)
    assert few.status == "optimal"
    assert few.gap <= max(GAP, 2.0 * whole.gap)
    assert few.excess <= EXCESS_MAX
    assert few.worth == pytest.approx(whole.worth, abs=GAP)
    assert rounds <= 2.0 * sizes[0] ** 2


def test_rounds_together_take_a_fraction_of_the_whole(sizes: list[int]) -> None:
    taken = whole = 0
    for seed in range(600, 640):
        sizes.clear()
        p = prepare(wide(seed))
        optimise_segments(p, room := make_room(p), SETTINGS)
        taken += sum(size**2 for size in sizes)
        whole += len(cut(p, room).name) ** 2
    assert taken <= whole / 3


def test_with_impact_too(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = fewer = 0
    for seed in (12, 37, 69, 77, 90, 108, 189, 288):
        p = wide(seed)
        p = prepare(replace(p, charges=Charges(impact=np.full(len(p.mu), 0.02))))
        sizes.clear()
        few = solved(p)
        last = sizes[-1]
        with monkeypatch.context() as patched:
            patched.setattr(quick, "_WHOLE_MAX", WHOLE)
            whole = solved(p)
        parts, fewer = parts + 1, fewer + (last < sizes[-1])
        assert few.gap <= max(GAP, 2.0 * whole.gap)
        assert few.excess <= EXCESS_MAX
        assert is_balanced(p, make_room(p), few)
        assert few.worth == pytest.approx(whole.worth, abs=GAP)
    assert fewer >= parts / 2


def test_where_nobody_promises_anything_and_something_must_be_held_all_are_asked() -> None:
    """Of least variance, from cash: no name is worth a trade by itself."""
    n = 60
    net = WeightLimit(
        "net", "linear", ("",), np.ones((1, n)), np.full(1, 0.9), np.full(1, np.inf), 0
    )
    found = solved(build(n, mu=np.zeros(n), position_max=0.1, limits=(net,)))
    assert (found.status, found.solver) == ("optimal", "PIQP")
    assert found.excess <= EXCESS_MAX
    assert found.gap <= GAP


def test_a_name_bought_to_its_limit_is_given_back_when_cash_gets_dearer(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part joins a round: what was bought first is not worth its cash in the end."""
    n = 6
    p = build(
        n, mu=np.array([0.010, 0.011, 0.012, 0.013, 0.014, 0.015]), covariance=np.eye(n) * 1e-4,
        risk_aversion=0.01, position_max=0.4, cash=1.0, cost_buy=0.0,
    )  # fmt: skip
    monkeypatch.setattr(quick, "_EACH", 1)
    first = np.zeros(n, dtype=bool)
    first[0] = True
    monkeypatch.setattr(quick, "_promising", lambda *_: first)
    monkeypatch.setattr(quick, "_work", lambda within: np.inf if within.all() else 0.0)
    found = solved(p)
    assert max(sizes) < n
    assert np.allclose(found.trades, [0.0, 0.0, 0.0, 0.2, 0.4, 0.4], atol=1e-7)
    assert found.gap <= GAP


@pytest.mark.parametrize("charge", ["impact", "impact_square"])
def test_where_nothing_is_worth_its_cost_beside_impact_and_a_row_nothing_is_traded(
    charge: str,
) -> None:
    """No part is solved for, and the last digits are asked for all the same."""
    n = 60
    rows, most = (np.arange(n) < n / 3)[None, :].astype(float), np.full(1, 0.25)
    tech = WeightLimit("tech", "linear", ("",), rows, np.full(1, -np.inf), most, 0)
    given: dict[str, Any] = {charge: np.full(n, 0.02)}
    p = build(n, mu=np.zeros(n), limits=(tech,), charges=Charges(**given), position_max=1.0)
    answer = CvxAllocator(SETTINGS).allocate(p)
    assert answer.rung == "solved"
    assert not answer.trades.any()

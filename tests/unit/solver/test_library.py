"""The solver as a library: stated from arrays, many at once, and its page's examples run."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from coordinator.core.ports import LimitKind
from coordinator.solver import (
    Allocation,
    Charges,
    CvxAllocator,
    ManyAllocator,
    ProblemError,
    RiskEstimate,
    Sleeves,
    SolverSettings,
    problem_of,
)

PAGE = Path(__file__).parents[3] / "ops" / "docs" / "allocation.md"


def test_the_page_s_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(block, names)
    said = capsys.readouterr().out
    assert len(names["answers"]) == 2
    assert said.startswith("solved PIQP")
    assert "opinion" in said
    assert "risk" in said


def test_the_page_of_limits_states_one_of_each_kind() -> None:
    page = PAGE.with_name("limits.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    assert {one.kind for one in names["limits"]} == set(get_args(LimitKind))
    p = problem_of(np.full(20, 0.01), np.eye(20) * 1e-4, risk_aversion=5.0, limits=names["limits"])
    answer = CvxAllocator().allocate(p)
    assert answer.violation <= 1e-9
    assert answer.trades.sum() > 0.05


def test_the_page_tells_every_argument_and_every_field_of_an_answer() -> None:
    page = PAGE.read_text(encoding="utf-8")
    given, told = page.split("### What `problem_of` is given")[1].split("### What comes back")
    told = told.split("\n## ")[0]
    arguments = set(inspect.signature(problem_of).parameters)
    answers = {one.name for one in fields(Allocation)}
    for part, names in ((given, arguments), (told, answers)):
        first = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
        assert set(re.findall(r"`(\w+)`", " ".join(first))) == names


def test_what_is_left_out_is_not_there() -> None:
    problem = problem_of([0.01, 0.02], np.eye(2) * 1e-3, risk_aversion=1.0, weights=[0.1, 0.2])
    assert problem.cash == pytest.approx(0.7)
    assert problem.instruments == ("x0", "x1")
    assert not problem.cost_buy.any()
    assert problem.charges.none
    answer = CvxAllocator().allocate(problem)
    assert answer.rung == "solved"
    assert (problem.filled + answer.trades).sum() == pytest.approx(1.0)


def test_factors_may_stand_in_place_of_the_covariance() -> None:
    factors = RiskEstimate(np.ones((1, 2)) * 0.01, np.ones(2) * 1e-3, 0.0, 1.0, 1)
    problem = problem_of([0.01, 0.02], factors=factors, risk_aversion=1.0)
    assert np.array_equal(problem.covariance, factors.covariance())
    assert CvxAllocator().allocate(problem).rung == "solved"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("mu", {"mu": [[0.1]]}),
        ("covariance", {"covariance": None}),
        ("covariance", {"covariance": np.eye(3)}),
        ("weights", {"weights": [0.1]}),
        ("instruments", {"instruments": ["a"]}),
        ("cost_buy", {"cost_buy": [0.1, 0.1, 0.1]}),
    ],
)
def test_what_does_not_fit_is_named(field: str, given: dict[str, Any]) -> None:
    fields = {"mu": [0.01, 0.02], "covariance": np.eye(2), "risk_aversion": 1.0, **given}
    with pytest.raises(ProblemError, match=field):
        problem_of(**fields)


def _some(count: int) -> list[Any]:
    covariance = np.diag(np.linspace(1e-3, 3e-3, 12))
    covariance.setflags(write=False)
    rng = np.random.default_rng(1)
    return [
        problem_of(
            rng.normal(size=12) * 0.01, covariance, risk_aversion=5.0, cost_buy=0.001,
            cost_sell=0.001, position_max=0.2,
        )
        for _ in range(count)
    ]  # fmt: skip


def _bits(value: Any) -> Any:
    """All that an answer says, to the last bit, and of which types."""
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, tuple):
        return type(value), [_bits(one) for one in value]
    if is_dataclass(value):
        return type(value), [_bits(getattr(value, one.name)) for one in fields(value)]
    return type(value), value


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_many_at_once_are_the_answers_of_one_allocator_bit_for_bit(count: int) -> None:
    problems = _some(count)
    alone = [CvxAllocator(SolverSettings()).allocate(problem) for problem in problems]
    with ManyAllocator(workers=3) as many:
        for _ in range(2):
            found = many.allocate_many(problems)
            assert [_bits(answer) for answer in found] == [_bits(answer) for answer in alone]


def test_a_worker_that_dies_costs_no_answer() -> None:
    problems = _some(6)
    with ManyAllocator(workers=2) as many:
        first = many.allocate_many(problems)
        assert many._pool is not None
        for process in many._pool._processes.values():
            process.kill()
        again = many.allocate_many(problems)
    assert [a.trades.tobytes() for a in again] == [a.trades.tobytes() for a in first]


def test_a_worker_refuses_what_is_no_problem_by_name() -> None:
    bad = problem_of([np.nan] * 12, np.eye(12), risk_aversion=1.0)
    with ManyAllocator(workers=2) as many:
        with pytest.raises(ProblemError, match="mu") as caught:
            many.allocate_many([*_some(3), bad])
        assert caught.value.field == "mu"
        assert many._pool is not None


def test_no_workers_are_refused() -> None:
    with pytest.raises(ValueError, match="workers"):
        ManyAllocator(workers=0)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("charges.impact", {"charges": Charges(impact="a")}),  # type: ignore[arg-type]  # that is the fault
        ("charges.carry", {"charges": Charges(carry=np.array([1j, 2j]))}),
        ("charges.turnover", {"charges": Charges(turnover="1")}),  # type: ignore[arg-type]  # as above
        ("charges", {"charges": None}),
        ("sleeves", {"sleeves": (1, 2)}),
        ("risk_aversion", {"risk_aversion": "5"}),
        ("turnover_max", {"turnover_max": None}),
        ("mu", {"mu": ["a", "b"]}),
        ("exit_odd_lot", {"exit_odd_lot": [True] * 3}),
        ("charges.robustness", {"charges": Charges(robustness=np.full(2, 1e300))}),
    ],
)
def test_natural_mistakes_are_named(field: str, given: dict[str, Any]) -> None:
    fields = {"mu": [0.01, 0.02], "covariance": np.eye(2), "risk_aversion": 1.0, **given}
    with pytest.raises(ProblemError, match=field):
        CvxAllocator().allocate(problem_of(**fields))


def test_scalars_and_lists_stand_for_arrays() -> None:
    charges = Charges(impact=0.02, borrow=[0.0, 0.001])  # type: ignore[arg-type]  # what users write
    problem = problem_of([0.01, 0.02], np.eye(2) * 1e-3, risk_aversion=5.0, charges=charges)
    assert problem.charges.impact is not None
    assert problem.charges.impact.tolist() == [0.02, 0.02]
    assert CvxAllocator().allocate(problem).rung == "solved"
    sleeves = Sleeves(("s",), [[1.0], [2.0]], [0.02], [0.01], [1.0], 0.5)  # type: ignore[arg-type]  # what users write
    assert CvxAllocator().allocate(replace(problem, sleeves=sleeves)).rung == "solved"


def test_whatever_a_library_raises_there_is_a_next_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ArithmeticError("no convergence")

    monkeypatch.setattr("cvxpy.Problem.solve", fail)
    settings = SolverSettings(solver="CLARABEL")
    problem = problem_of([0.01, 0.02], np.eye(2) * 1e-3, risk_aversion=5.0)
    answer = CvxAllocator(settings).allocate(problem)
    assert answer.rung == "hold"
    assert any("ArithmeticError" in remark for remark in answer.remarks)


@pytest.mark.parametrize("seed", range(4))
def test_volatilities_far_apart_need_no_eigenvalue_search(seed: int) -> None:
    n, rng = 60, np.random.default_rng(seed)
    spread = np.logspace(-3, 0, n)
    x = rng.normal(size=(n, n)) * 0.1
    covariance = (x @ x.T / n + np.diag(rng.uniform(5e-4, 2e-3, n))) * np.outer(spread, spread)
    sleeves = Sleeves(
        ("s",), np.ones((n, 1)), np.array([0.02]), np.array([0.01]), np.ones(1), 0.5, 0.01
    )
    problem = problem_of(
        rng.normal(size=n) * 0.01, covariance, risk_aversion=5.0, position_min=-0.3, gross_max=1e3,
        charges=Charges(impact=np.full(n, 0.05)), sleeves=sleeves,
    )  # fmt: skip
    answer = CvxAllocator().allocate(problem)
    assert np.isfinite(answer.objective)

"""Whatever a caller puts into a problem's fields is taken as it is meant or refused by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem
from coordinator.solver import (
    Charges,
    CvxAllocator,
    ProblemError,
    RiskEstimate,
    Sleeves,
    WeightLimit,
    limit_of,
    problem_of,
)
from coordinator.solver.plain import plain_problem

N = 3
ALLOCATOR = CvxAllocator()
ODD: tuple[Any, ...] = (
    None, "x", b"x", object(), {}, (), [1, 2, "z"], [[1], [1, 2]], 3, 1.5, True, float("nan"),
    10**400, 1e200, -1e308, 1e-320, np.array(["a", "b", "c"]), np.full(3, 1j), np.zeros((2, 2, 2)),
    np.ma.masked_array([1.0, 2.0, 3.0]), np.ma.masked_less([1.0, 2.0, 3.0], 2.0),
    np.array([None] * 3), np.full(N, 1e200), np.array("x"), np.array(1.0), np.True_,
)  # fmt: skip


def whole() -> AllocationProblem:
    """A problem with something in every field."""
    sleeves = Sleeves(
        ("s",), np.ones((N, 1)), np.array([0.1]), np.array([0.05]), np.array([2.0]), 0.5, 1.0
    )
    return problem_of(
        np.zeros(N), factors=RiskEstimate(np.ones((1, N)) * 0.01, np.full(N, 1e-3), 0.0, 100.0, 1),
        risk_aversion=5.0, limits=[limit_of("s", "linear", rows=np.ones(N), upper=0.5, tier=1)],
        sleeves=sleeves, charges=Charges(impact=np.full(N, 0.1)),
    )  # fmt: skip


PARTS = {
    "": AllocationProblem,
    "charges": Charges,
    "sleeves": Sleeves,
    "factors": RiskEstimate,
    "limits": WeightLimit,
}


def with_odd(part: str, field: str) -> Iterator[AllocationProblem]:
    """The problem with each odd value in that field."""
    p = whole()
    for odd in ODD:
        if not part:
            yield replace(p, **{field: odd})
        elif part == "limits":
            yield replace(p, limits=(replace(p.limits[0], **{field: odd}),))
        else:
            yield replace(p, **{part: replace(getattr(p, part), **{field: odd})})


@pytest.mark.parametrize(
    ("part", "field"), [(part, one.name) for part, kind in PARTS.items() for one in fields(kind)]
)
@pytest.mark.filterwarnings("error")
def test_an_odd_value_is_answered_or_refused_by_its_field(part: str, field: str) -> None:
    refused = []
    for problem in with_odd(part, field):
        try:
            answer = ALLOCATOR.allocate(problem)
        except ProblemError as error:
            refused.append(error.field)
            continue
        assert np.isfinite(answer.trades).all()
    told = part == "factors" and field not in ("rows", "rest")  # what nobody reads
    assert len(refused) >= (0 if told else 3)
    assert set(refused) <= _told(part, field), refused


def _told(part: str, field: str) -> set[str]:
    """The field's name, and others that are as much at fault: a shape needs two."""
    where = {"": field, "limits": f"limits[0].{field}"}.get(part, f"{part}.{field}")
    also = {
        "instruments": {"mu", "limits[0].rows"},
        "limits": {"limits[0]"},
        "covariance": {"factors"},
        "factors": {"factors.rows", "factors.rest"},
        "sleeves.names": {"sleeves.targets"},
        "factors.rows": {"factors"},
        "factors.rest": {"factors"},
        "limits[0].labels": {"limits[0].rows"},
    }
    return {where} | also.get(where, set())


@pytest.mark.parametrize("kind", [[], "problem", None])
def test_what_is_no_problem_is_refused(kind: Any) -> None:
    with pytest.raises(ProblemError, match="give AllocationProblem"):
        ALLOCATOR.allocate(kind)


@pytest.mark.parametrize("given", [limit_of("t", "turnover", upper=0.1), "turnover", 3, [0.1]])
def test_one_limit_alone_is_no_list_of_limits(given: Any) -> None:
    with pytest.raises(ProblemError, match="limits"):
        problem_of(np.zeros(N), np.eye(N), risk_aversion=1.0, limits=given)


class Labelled(np.ndarray[Any, Any]):
    """An array of another kind, whose sums are not to be trusted."""

    def max(self, *_: Any, **__: Any) -> Any:
        raise TypeError


def test_an_array_of_another_kind_is_taken_by_its_numbers() -> None:
    p = whole()
    answers = [
        ALLOCATOR.allocate(one)
        for one in (p, replace(p, mu=p.mu.view(Labelled), covariance=p.covariance.view(Labelled)))
    ]
    assert answers[0].trades.tobytes() == answers[1].trades.tobytes()


def test_what_lies_across_words_of_memory_gives_the_same_bits() -> None:
    p = whole()
    raw = b"." + p.covariance.tobytes()
    across = np.frombuffer(raw, dtype=np.float64, offset=1).reshape(N, N)
    assert not across.flags.aligned
    assert plain_problem(replace(p, covariance=across)).covariance.flags.aligned


def test_what_is_plain_comes_back_itself() -> None:
    p = whole()
    assert plain_problem(p) is p


def test_lists_stand_for_arrays_in_every_part() -> None:
    p = whole()
    limit, sleeves, factors = p.limits[0], p.sleeves, p.factors
    assert sleeves is not None
    assert factors is not None
    listed: dict[str, Any] = {"rows": limit.rows.tolist(), "labels": list(limit.labels)}
    lists: dict[str, Any] = {"names": list(sleeves.names), "targets": sleeves.targets.tolist()}
    given: dict[str, Any] = {
        "instruments": list(p.instruments),
        "mu": p.mu.tolist(),
        "limits": [replace(limit, **listed)],
        "sleeves": replace(sleeves, **lists),
        "factors": replace(factors, rows=factors.rows.tolist()),
    }
    answers = [ALLOCATOR.allocate(one) for one in (p, replace(p, **given))]
    assert answers[0].trades.tobytes() == answers[1].trades.tobytes()


@pytest.mark.parametrize("labels", ["ab", (1, 2), None])
def test_labels_are_names(labels: Any) -> None:
    p = whole()
    odd = replace(p.limits[0], labels=labels)
    with pytest.raises(ProblemError, match=r"limits\[0\]\.labels are no names"):
        ALLOCATOR.allocate(replace(p, limits=(odd,)))


def test_a_limit_needs_nothing_that_has_no_meaning_for_it() -> None:
    rng = np.random.default_rng(0)
    calm = limit_of("calm", "volatility", upper=0.01)
    two = limit_of("sectors", "linear", rows=np.eye(2, N), upper=[0.2, 0.1])
    p = problem_of(
        rng.uniform(0.01, 0.03, N), np.eye(N) * 1e-3, risk_aversion=1.0, limits=[calm, two]
    )
    assert two.labels == ("0", "1")
    w = ALLOCATOR.allocate(p).trades
    assert np.sqrt(w @ p.covariance @ w) <= 0.01 + 1e-9
    assert (w[:2] <= np.array([0.2, 0.1]) + 1e-9).all()


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("sectors.rows are missing", {}),
        ("sectors.rows are missing", {"rows": []}),
        ("sectors.rows are missing", {"kind": "gross", "rows": [[]]}),
        ("sectors.rows have shape", {"rows": np.ones((1, 2, 3))}),
        ("sectors.rows have shape", {"kind": "turnover", "rows": np.ones(3)}),
        ("sectors.kind is 'bogus'", {"kind": "bogus"}),
        ("sectors.labels are no names", {"rows": np.ones((4, 3)), "labels": "tech"}),
        ("sectors.labels are no names", {"rows": np.ones(3), "labels": 5}),
        ("sectors.upper has shape", {"rows": np.eye(3), "upper": [0.1, 0.2]}),
    ],
)
def test_a_limit_that_cannot_be_stated_is_refused_by_its_name(
    said: str, given: dict[str, Any]
) -> None:
    with pytest.raises(ProblemError, match=re.escape(said)):
        limit_of(**{"name": "sectors", "kind": "linear", "upper": 0.1, **given})


def test_a_limit_without_rows_fits_any_problem() -> None:
    p = replace(whole(), limits=(limit_of("t", "turnover", upper=0.1),))
    assert ALLOCATOR.allocate(p).rung in ("solved", "relaxed")


@pytest.mark.parametrize("given", [["a", "b"], "abc", ["a", "b", "a"]])
def test_names_are_as_many_as_opinions_and_differ(given: Any) -> None:
    with pytest.raises(ProblemError, match="instruments"):
        problem_of(np.zeros(N), np.eye(N), risk_aversion=1.0, instruments=given)


def test_limits_may_come_from_anything_that_lists_them() -> None:
    known = {"t": limit_of("t", "turnover", upper=0.1)}
    p = problem_of(np.zeros(N), np.eye(N), risk_aversion=1.0, limits=known.values())
    assert p.limits[0].name == "t"
    assert p.limits[0].rows.shape == (1, N)


def test_factors_of_other_names_are_named() -> None:
    factors = RiskEstimate(np.ones((2, 4)), np.ones(4), 0.0, 1.0)
    with pytest.raises(ProblemError, match=r"factors\.rows has shape"):
        problem_of(np.zeros(N), factors=factors, risk_aversion=1.0)

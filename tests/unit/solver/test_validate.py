from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coordinator.solver import CvxAllocator, ProblemError
from coordinator.solver.validate import check_problem, positive_semidefinite
from coordinator.solver.validate_terms import all_finite

from .conftest import Make


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mu", np.zeros(3)),
        ("covariance", np.eye(3)),
        ("working_buys", np.array([0.0, -0.1])),
        ("working_sells", np.array([0.0, 0.1])),
        ("lot_weight", np.array([0.0, -1.0])),
        ("risk_aversion", 0.0),
        ("nav", -1.0),
        ("turnover_max", -0.1),
    ],
)
def test_broken_contract_is_refused_naming_the_field(make: Make, field: str, value: object) -> None:
    with pytest.raises(ProblemError, match=field) as caught:
        check_problem(replace(make(2), **{field: value}))  # type: ignore[arg-type]  # on purpose
    assert caught.value.field == field


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_what_is_no_number_is_refused_whatever_it_adds_up_to(make: Make, odd: float) -> None:
    """Infinities of both signs add up to none, which numpy warns of: here nobody does."""
    with pytest.raises(ProblemError, match="covariance"):
        check_problem(replace(make(2), covariance=np.array([[odd, 0.0], [0.0, -np.inf]])))


@pytest.mark.parametrize("odd", [10**400, np.complex128(1.0), np.longdouble("1e4000"), "1", None])
@pytest.mark.parametrize("field", ["nav", "cash", "gross_max", "turnover_max", "risk_aversion"])
def test_a_scalar_that_is_no_float_is_refused_by_name(make: Make, field: str, odd: Any) -> None:
    with pytest.raises(ProblemError, match=field):
        CvxAllocator().allocate(replace(make(2), **{field: odd}))


def test_numbers_whose_sum_is_none_are_numbers() -> None:
    assert all_finite(np.full((2, 2), 1e308))


@pytest.mark.parametrize("field", ["covariance", "filled", "mu", "lot_weight", "cash"])
def test_what_has_no_square_is_refused(make: Make, field: str) -> None:
    """A bound may be any finite number, a state may not."""
    p = make(2)
    huge = getattr(p, field) * 0.0 + 1e200
    with pytest.raises(ProblemError, match=f"{field} is beyond"):
        CvxAllocator().allocate(replace(p, **{field: huge}))
    CvxAllocator().allocate(make(2, position_max=1e200, trade_max=1e300))


def test_infeasible_limits_are_not_the_checks_business(make: Make) -> None:
    check_problem(make(2, position_min=1.0, position_max=-1.0, gross_max=-1.0))


def test_good_covariance_comes_back_bit_for_bit() -> None:
    good = np.array([[2.0, 1.0], [1.0, 2.0]])
    same, mended = positive_semidefinite(good)
    assert same is good
    assert not mended


def test_singular_covariance_is_good() -> None:
    assert not positive_semidefinite(np.ones((3, 3)))[1]
    assert not positive_semidefinite(np.zeros((3, 3)))[1]
    assert not positive_semidefinite(np.zeros((0, 0)))[1]


def test_indefinite_covariance_loses_its_negative_eigenvalues() -> None:
    fixed, mended = positive_semidefinite(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert mended
    assert np.linalg.eigvalsh(fixed)[0] >= -1e-12

"""A published model as it is used, and how it is joined to the engine's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import Floats
from coordinator.core.published import Published, joined, published_of, read, written
from schemas.market import RiskModelPublished
from tests.journals import T0


def event(
    loadings: Floats, specific: Floats, factor_covariance: Floats | None = None
) -> RiskModelPublished:
    n, k = loadings.shape
    return RiskModelPublished(
        event_id="m", event_time=T0, name="m",
        instruments=tuple(f"N{i}" for i in range(n)), factors=tuple(f"f{i}" for i in range(k)),
        loadings=tuple(loadings.ravel().tolist()), specific=tuple(specific.tolist()),
        factor_covariance=None if factor_covariance is None
        else tuple(factor_covariance.ravel().tolist()),
    )  # fmt: skip


def names(n: int) -> tuple[str, ...]:
    return tuple(f"N{i}" for i in range(n))


def of(*args: Floats) -> Published:
    return published_of(event(*args), session=3.0)


def spd(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(n, n + 2)) * 0.01
    found: Floats = half @ half.T
    return found


def test_loadings_factors_and_specific_variances_make_the_covariance() -> None:
    rng = np.random.default_rng(0)
    B, F, d = 0.1 * rng.normal(size=(4, 2)), spd(2, 1), np.full(4, 1e-4)
    assert np.allclose(of(B, d, F).block(names(4)), B @ F @ B.T + np.diag(d), rtol=1e-12)
    assert np.allclose(of(B, d).block(names(4)), B @ B.T + np.diag(d), rtol=1e-12)


def test_a_whole_covariance_is_its_own_factors() -> None:
    V = spd(5, 2)
    found = of(np.eye(5), np.zeros(5), V).block(names(5))
    assert np.allclose(found, V + 1e-4 * np.diag(np.diag(V)), rtol=1e-9, atol=1e-15)
    some = of(np.eye(5), np.zeros(5), V).block(("N3", "N1"))
    assert np.array_equal(some, found[np.ix_([3, 1], [3, 1])])


def test_a_singular_model_becomes_positive_definite() -> None:
    found = of(np.full((30, 1), 0.01), np.zeros(30)).block(names(30))
    np.linalg.cholesky(found)
    assert np.allclose(np.diag(found), 1e-4, rtol=2e-4)


def test_what_is_published_stays_and_the_rest_follows_it() -> None:
    """Against the moments of the joint normal distribution, by its definition."""
    own, V = spd(6, 3), 4 * spd(3, 4)
    published = of(np.eye(3), np.zeros(3), V)
    covered = np.array([True, False, True, False, True, False])
    labels = ("N0", "x", "N1", "y", "N2", "z")
    found = joined(own, published, labels, covered)
    P, O = np.flatnonzero(covered), np.flatnonzero(~covered)  # noqa: E741 - as in the formula
    block = published.block(("N0", "N1", "N2"))
    slope = own[np.ix_(O, P)] @ np.linalg.inv(own[np.ix_(P, P)])
    rest = own[np.ix_(O, O)] - slope @ own[np.ix_(P, O)]
    assert np.array_equal(found[np.ix_(P, P)], block)
    assert np.allclose(found[np.ix_(O, P)], slope @ block)
    assert np.allclose(found[np.ix_(O, O)], rest + slope @ block @ slope.T)


def test_a_service_that_agrees_changes_nothing() -> None:
    own = spd(6, 5)
    covered = np.arange(6) < 4
    published = of(np.eye(4), np.zeros(4), own[:4, :4])
    labels = (*names(4), "x", "y")
    assert np.allclose(joined(own, published, labels, covered), own, rtol=2e-3, atol=1e-6)


@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(2, 9), k=st.integers(1, 3),
    scale=st.floats(1e-3, 1e3), share=st.floats(0.1, 0.9),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_whatever_is_joined_is_positive_definite(
    seed: int, n: int, k: int, scale: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    own = spd(n, seed)
    covered = np.arange(n) < max(1, min(n - 1, round(share * n)))
    count = int(covered.sum())
    published = of(0.01 * scale * rng.normal(size=(count, k)), np.zeros(count))
    labels = (*names(count), *(f"x{i}" for i in range(n - count)))
    found = joined(own, published, labels, covered)
    assert np.array_equal(found, found.T)
    deviation = np.sqrt(np.diag(found))
    np.linalg.cholesky(found / np.outer(deviation, deviation))


def test_a_model_is_read_back_as_it_was_written() -> None:
    model = of(np.random.default_rng(1).normal(size=(3, 2)), np.array([0.1, 0.0, 0.2]))
    again = read(written(model))
    assert again is not None
    assert written(again) == written(model)
    assert np.array_equal(again.block(names(3)), model.block(names(3)))
    assert read(written(None)) is None
    assert of(np.empty((2, 0)), np.ones(2)).block(names(2)).tolist() == np.eye(2).tolist()


@pytest.mark.parametrize("change", [("rest", '"rest":"AAAAAAAA8D8="'), ("at", '"at":"1"')])
def test_a_model_that_makes_no_sense_is_refused(change: tuple[str, str]) -> None:
    text = written(of(np.zeros((2, 1)), np.ones(2))).decode()
    head, _, tail = text.partition(f'"{change[0]}":')
    bad = head + change[1] + (tail[tail.index(",") :] if "," in tail else "}")
    with pytest.raises(ValueError, match=r"variances|valid"):
        read(bad.encode())

"""Whatever model is chosen: a covariance of any returns is symmetric, positive definite, the same.

The models' own formulas have files of their own beside this one.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.bootstrap import risk_model
from coordinator.core.ports import Floats, RiskKind, RiskModel, RiskSettings
from coordinator.learning import (
    ChosenRisk,
    FactorCovariance,
    FadingCovariance,
    PriorBlendedCovariance,
)

KINDS: tuple[RiskKind, ...] = ("blended", "ewma", "factor")
PRIOR = RiskSettings(volatility_prior=0.02, correlation_prior=0.3, weight_prior=60.0)
MODEL = ChosenRisk()
SCRIPT = """
import hashlib, numpy as np
from coordinator.bootstrap import identity, risk_model
from coordinator.core.ports import RiskSettings
identity()
returns = np.random.default_rng(5).normal(size=(250, 120)) * 0.01
returns[np.random.default_rng(6).random(returns.shape) < 0.1] = np.nan
found = hashlib.sha256()
for model in ("blended", "ewma", "factor"):
    settings = RiskSettings(0.02, 0.3, 60.0, model=model)
    found.update(risk_model().covariance(returns, settings).tobytes())
print(found.hexdigest())
"""


def market(t: int, n: int, *, seed: int = 0) -> Floats:
    """Returns with one common factor."""
    rng = np.random.default_rng(seed)
    found: Floats = 0.01 * (rng.normal(size=(t, 1)) * rng.uniform(0.5, 1.5, n))
    return found + 0.015 * rng.normal(size=(t, n))


@pytest.mark.parametrize("kind", KINDS)
def test_the_settings_choose_the_model(kind: RiskKind) -> None:
    own: dict[RiskKind, RiskModel] = {
        "blended": PriorBlendedCovariance(),
        "ewma": FadingCovariance(),
        "factor": FactorCovariance(),
    }
    returns, chosen = market(60, 5), replace(PRIOR, model=kind, factors=1)
    found = risk_model().covariance(returns, chosen)
    same = [name for name, model in own.items()
            if np.array_equal(model.covariance(returns, chosen), found)]  # fmt: skip
    assert same == [kind]


@pytest.mark.parametrize(
    ("kind", "factors"),
    [("blended", 20), ("ewma", 20), ("factor", 0), ("factor", 20), ("factor", 200)],
)
def test_more_names_than_sessions_with_holes_are_positive_definite(
    kind: RiskKind, factors: int
) -> None:
    returns = market(250, 476)
    returns[np.random.default_rng(1).random(returns.shape) < 0.3] = np.nan
    returns[:, 5], returns[:, 6], returns[17] = np.nan, 0.0, np.nan
    sigma = MODEL.covariance(returns, replace(PRIOR, model=kind, factors=factors))
    assert np.array_equal(sigma, sigma.T)
    np.linalg.cholesky(sigma)
    assert np.linalg.cond(sigma) < 1e6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("t", "n"), [(0, 1), (0, 3), (1, 1), (1, 4), (2, 1), (250, 1), (5, 0)])
def test_hardly_any_returns_are_enough(kind: RiskKind, t: int, n: int) -> None:
    for returns in (market(t, n), np.zeros((t, n)), np.full((t, n), np.nan)):
        sigma = MODEL.covariance(returns, replace(PRIOR, model=kind))
        assert sigma.shape == (n, n)
        np.linalg.cholesky(sigma)


@pytest.mark.parametrize("kind", KINDS)
def test_no_observation_gives_the_prior(kind: RiskKind) -> None:
    expected = 0.02**2 * (0.7 * np.eye(3) + 0.3)
    for returns in (np.zeros((0, 3)), np.full((50, 3), np.nan)):
        found = MODEL.covariance(returns, replace(PRIOR, model=kind, factors=1))
        assert np.allclose(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_many_observations_overrule_the_prior(kind: RiskKind) -> None:
    truth = 1e-4 * np.array([[1.0, 0.6, 0.6], [0.6, 1.0, 0.6], [0.6, 0.6, 1.0]])
    returns = np.random.default_rng(2).multivariate_normal(np.zeros(3), truth, size=20_000)
    patient = replace(
        PRIOR, model=kind, factors=1, volatility_half_life=1e5, correlation_half_life=1e5
    )
    found = MODEL.covariance(returns, patient)
    assert np.allclose(np.diag(found), np.diag(truth), rtol=0.03)
    # One factor leaves a name's correlation with itself to the principal component, too.
    assert np.allclose(found, truth, rtol=0.25 if kind == "factor" else 0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_a_variance_is_the_same_with_and_without_the_matrix(kind: RiskKind) -> None:
    returns = market(80, 30)
    returns[::5, 3] = np.nan
    estimate = MODEL.estimate(returns, replace(PRIOR, model=kind, factors=3))
    weights = np.random.default_rng(4).normal(size=30)
    whole = MODEL.covariance(returns, replace(PRIOR, model=kind, factors=3))
    assert estimate.variance(weights) == pytest.approx(weights @ whole @ weights, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(
    t=st.integers(0, 12), n=st.integers(1, 8), seed=st.integers(0, 2**32 - 1),
    holes=st.floats(0, 1), factors=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_holes_and_scales_give_a_finite_positive_definite_matrix(
    kind: RiskKind, t: int, n: int, seed: int, holes: float, factors: int
) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.standard_cauchy(size=(t, n)) * 10.0 ** rng.integers(-9, 9, n)
    returns[rng.random((t, n)) < holes] = np.nan
    sigma = MODEL.covariance(returns, replace(PRIOR, model=kind, factors=factors))
    deviation = np.sqrt(np.diag(sigma))
    np.linalg.cholesky(sigma / np.outer(deviation, deviation))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("returns", "prior"),
    [
        (np.zeros(3), PRIOR),
        (np.array([[np.inf]]), PRIOR),
        (np.zeros((1, 1)), replace(PRIOR, volatility_prior=0.0)),
        (np.zeros((1, 1)), replace(PRIOR, correlation_prior=1.0)),
        (np.zeros((1, 1)), replace(PRIOR, weight_prior=0.0)),
    ],
)
def test_wrong_input_is_refused(kind: RiskKind, returns: Floats, prior: RiskSettings) -> None:
    with pytest.raises(ValueError, match="give"):
        MODEL.covariance(returns, replace(prior, model=kind))


def test_another_process_gives_the_same_bits() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64

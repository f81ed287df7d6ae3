"""Risk: how old and how sound the covariance is that a portfolio is held against, and its bias.

Place in the flow: measured from a folded state when somebody asks; no decision reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coordinator.core.bias import Told, told
from coordinator.core.ports import Floats, RiskModel
from coordinator.core.published import covers
from coordinator.core.risk import published_now, risk_settings
from coordinator.core.state import Portfolio, State

__all__ = ["ModelFigures", "PublishedFigures", "model_figures"]


@dataclass(frozen=True, slots=True)
class PublishedFigures:
    """The published model that is kept. age: sessions since it came. at: the producer's time, ns.

    used: whether it counts now; covers: how many of the instruments held it then speaks of.
    """

    name: str
    at: int
    age: float
    used: bool
    covers: int


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The risk model behind a portfolio's figures, over what is held.

    sessions: kept in the window; observations: as many equally weighted ones tell as much. age:
    sessions since the newest return of what is held, None without any. known: share of the
    returns in the window that are known. shrinkage: share of what was assumed in the correlations.
    condition: largest over smallest eigenvalue of the covariance.
    """

    model: str
    sessions: int
    observations: float
    age: int | None
    known: float | None
    shrinkage: float
    factors: int | None
    condition: float | None
    published: PublishedFigures | None
    bias: Told | None
    forecasts: int


def model_figures(
    state: State,
    portfolio: Portfolio,
    instruments: tuple[str, ...],
    covariance: Floats,
    risk_model: RiskModel,
) -> ModelFigures:
    """Of what the portfolio holds; covariance: (k, k) of it over one session, as it is used."""
    returns = state.market.returns_in(portfolio.currency, instruments)
    settings = risk_settings(state.parameters)
    estimate = risk_model.estimate(returns, settings)
    seen = ~np.isnan(returns)
    rows = np.flatnonzero(seen.any(axis=1))
    kept = state.biases.get(portfolio.name)
    return ModelFigures(
        model=settings.model,
        sessions=len(returns),
        observations=estimate.observations,
        age=len(returns) - 1 - int(rows[-1]) if len(rows) else None,
        known=float(seen.mean()) if seen.size else None,
        shrinkage=estimate.shrinkage,
        factors=estimate.factors,
        condition=_condition(covariance),
        published=_published(state, portfolio, instruments),
        bias=told(kept),
        forecasts=0 if kept is None else kept.count,
    )


def _condition(covariance: Floats) -> float | None:
    if not len(covariance):
        return None
    values = np.linalg.eigvalsh(covariance)
    return float(values[-1] / values[0]) if values[0] > 0 else None


def _published(
    state: State, portfolio: Portfolio, instruments: tuple[str, ...]
) -> PublishedFigures | None:
    known = state.published
    if known is None:
        return None
    covered = covers(known, instruments, state.market.instruments, portfolio.currency)
    age = state.session_now() - known.session
    used = published_now(state) is known
    return PublishedFigures(known.name, known.at, age, used=used, covers=int(covered.sum()))

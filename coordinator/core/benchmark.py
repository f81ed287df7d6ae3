"""Benchmark: what is expected of returns where nobody says anything, and opinions beside it.

Place in the flow: part of `allocate`, before views are scored and combined. Reads, changes nothing.
With a risk aversion gamma_0 of the mandate the prior is pi = gamma_0 Sigma w_b, under which the
benchmark is the best portfolio of an investor of that risk aversion; a source's target weights then
say something only where they differ from the benchmark's. Source: Black and Litterman 1992.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.core.forms import RAW_MAX
from coordinator.core.ports import Floats
from coordinator.core.scales import volatility_of
from coordinator.core.state import State, View
from schemas.mandates import Mandate

__all__ = ["Weights", "prior_of", "prior_weights", "relative"]

STATED_LEAST = 1e-9
"""A smaller target weight is none."""
Weights = Mapping[str, float]
"""By instrument."""


def prior_weights(mandate: Mandate) -> Weights:
    """What the prior is made of; nothing where the benchmark is not believed in."""
    if not mandate.benchmark_aversion:
        return {}
    return {one.instrument: one.weight for one in mandate.benchmark if one.weight}


def prior_of(mandate: Mandate, names: Sequence[str], covariance: Floats) -> Floats:
    """(n,) pi = gamma_0 Sigma w_b; zeros without one.

    covariance: (n, n) over the horizon. Instruments of the benchmark that are not among the names
    count as cash.
    """
    weights = prior_weights(mandate)
    if not weights:
        return np.zeros(len(names))
    held = np.array([weights.get(name, 0.0) for name in names])
    prior: Floats = (mandate.benchmark_aversion or 0.0) * (covariance @ held)
    return prior


def relative(views: Sequence[View], weights: Weights, state: State) -> list[View]:
    """The views, those of target weights by what they differ from the benchmark's.

    What is divided by is still the source's own spread of its weights: it is known of the source,
    not of each benchmark.
    """
    return [_beside(view, weights, state) if _differs(view, weights) else view for view in views]


def _differs(view: View, weights: Weights) -> bool:
    return view.form == "target_weight" and view.instrument in weights


def _beside(view: View, weights: Weights, state: State) -> View:
    weight = weights[view.instrument]
    stated = view.stated or 0.0
    if abs(stated) >= STATED_LEAST:  # on the scale of its arrival: who says the benchmark's own
        raw = view.raw * (1.0 - weight / stated)  # weight says nothing
    else:
        parameters = state.parameters
        one = volatility_of(state.market, view.instrument, (), parameters)
        raw = -weight * parameters.target_risk_aversion * one * view.horizon**0.5
    return view._replace(raw=max(-RAW_MAX, min(RAW_MAX, raw)))

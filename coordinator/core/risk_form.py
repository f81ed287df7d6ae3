"""The form that risk is held in: a covariance over a horizon, and its factors where they are few.

Place in the flow: made by `market` once until a return changes, read by whoever asks `risk`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from coordinator.core.ports import Floats, RiskEstimate

__all__ = ["Risk", "risk_over"]

_SHARE_MAX = 0.25
"""Factors as a share of the instruments: more of them tell a solver nothing that is quicker."""


@dataclass(frozen=True, slots=True)
class Risk:
    """Over a horizon. covariance: (k, k), not to be written to. factors: the same, or None."""

    covariance: Floats
    factors: RiskEstimate | None


def risk_over(horizon: float, session: Floats, estimate: RiskEstimate | None) -> Risk:
    """Risk over so many sessions, of one session's covariance and the estimate it comes from.

    estimate: None where the covariance is not that alone.
    """
    covariance: Floats = horizon * session
    covariance.flags.writeable = False
    few = estimate is not None and estimate.factors is not None
    if estimate is None or not few or len(estimate.rows) > _SHARE_MAX * len(session):
        return Risk(covariance, None)
    rows, rest = np.sqrt(horizon) * estimate.rows, horizon * estimate.rest
    return Risk(covariance, replace(estimate, rows=rows, rest=rest))

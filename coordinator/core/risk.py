"""Risk: the covariance that counts for a portfolio now, and which published models do.

Place in the flow: asked by `allocate`, `bias` and whoever shows a portfolio; `published_fault` by
`intake`. Reads the state, changes nothing but by `take_published`, which `evolve` calls.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from coordinator.core.clock import MILLISECOND
from coordinator.core.ports import Floats, RiskModel, RiskSettings
from coordinator.core.published import Published, published_of
from coordinator.core.refuse import rejected_input
from coordinator.core.risk_form import Risk
from coordinator.core.state import State
from schemas.base import OutputEvent
from schemas.control import Parameters
from schemas.market import RiskModelPublished
from schemas.verdicts import InputRejection

__all__ = [
    "covariance_of",
    "published_fault",
    "published_now",
    "risk_of",
    "risk_settings",
    "take_published",
]

VOLATILITY_LEAST, VOLATILITY_MOST = 1e-6, 10.0
"""Of one session: what lies outside is a service's mistake in units, or no risk at all."""
ROUNDING = 1e-9
"""What may be missing to symmetric or to positive semidefinite, as a share."""
NAMES_SHOWN = 10


def risk_settings(parameters: Parameters) -> RiskSettings:
    """How the parameters have a covariance estimated."""
    return RiskSettings(
        parameters.risk_volatility_prior,
        parameters.risk_correlation_prior,
        parameters.risk_weight_prior,
        model=parameters.risk_model,
        volatility_half_life=parameters.risk_volatility_half_life_sessions,
        correlation_half_life=parameters.risk_correlation_half_life_sessions,
        shrinkage=parameters.risk_shrinkage,
        factors=parameters.risk_factors,
    )


def published_now(state: State) -> Published | None:
    """The published model that counts at the engine's clock; None where none does."""
    known, parameters = state.published, state.parameters
    if known is None or parameters.risk_published not in (None, known.name):
        return None
    age = state.session_now() - known.session
    return known if age < parameters.risk_published_sessions_max else None


def covariance_of(
    state: State,
    instruments: tuple[str, ...],
    *,
    currency: str,
    horizon: float,
    risk_model: RiskModel,
) -> Floats:
    """(k, k) covariance of listed instruments over `horizon` sessions; not to be written to."""
    return risk_of(
        state, instruments, currency=currency, horizon=horizon, risk_model=risk_model
    ).covariance


def risk_of(
    state: State,
    instruments: tuple[str, ...],
    *,
    currency: str,
    horizon: float,
    risk_model: RiskModel,
) -> Risk:
    """The same with its factors, where the model has few."""
    return state.market.risk(
        instruments,
        currency=currency,
        horizon=horizon,
        risk_model=risk_model,
        settings=risk_settings(state.parameters),
        published=published_now(state),
    )


def take_published(state: State, event: RiskModelPublished) -> None:
    """A sound published model takes the place of the one before."""
    state.published = published_of(event, session=state.session_now())


# -- which published models count ----------------------------------------------------------------


def published_fault(state: State, event: RiskModelPublished) -> OutputEvent | None:
    """Why a published model does not count, the first number that is wrong by its name."""
    fault = _unwanted(state, event) or _about(state, event) or _numbers(event)
    return None if fault is None else rejected_input(state, event, *fault)


Fault = tuple[InputRejection, str]


def _unwanted(state: State, event: RiskModelPublished) -> Fault | None:
    parameters, known = state.parameters, state.published
    if not parameters.risk_published_sessions_max:
        return InputRejection.UNSUPPORTED, "risk_published_sessions_max is 0: none is used"
    if parameters.risk_published not in (None, event.name):
        return InputRejection.UNSUPPORTED, f"risk_published says {parameters.risk_published}"
    if event.event_time > state.clock + parameters.clock_skew_ms_max * MILLISECOND:
        return InputRejection.FUTURE, ""
    if event.event_time < state.clock - parameters.lateness_ms_max * MILLISECOND:
        return InputRejection.STALE, "older than lateness_ms_max"
    if known is not None and known.name == event.name and known.at > event.event_time:
        return InputRejection.STALE, f"{event.name} is known of a later time"
    return None


def _about(state: State, event: RiskModelPublished) -> Fault | None:
    unknown = state.market.unknown(event.instruments)
    if unknown:
        beyond = len(unknown) - NAMES_SHOWN
        more = f" and {beyond} more" if beyond > 0 else ""
        return InputRejection.UNKNOWN_INSTRUMENT, ", ".join(unknown[:NAMES_SHOWN]) + more
    for what, names in (("instruments", event.instruments), ("factors", event.factors)):
        twice = _repeated(names)
        if twice is not None:
            return InputRejection.CONTRADICTORY, f"{what}: {twice} stands there twice"
    return None


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that stood there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _numbers(event: RiskModelPublished) -> Fault | None:
    fault = None if event.factor_covariance is None else _factor_fault(event)
    if fault is not None:
        return InputRejection.OUT_OF_RANGE, f"factor_covariance: {fault}"
    made = published_of(event, session=0.0)
    volatility = np.sqrt(np.einsum("ki,ki->i", made.rows, made.rows) + np.array(event.specific))
    wrong = np.flatnonzero(~((volatility >= VOLATILITY_LEAST) & (volatility <= VOLATILITY_MOST)))
    if not len(wrong):
        return None
    name, said = event.instruments[wrong[0]], float(volatility[wrong[0]])
    bounds = f"{VOLATILITY_LEAST:g} to {VOLATILITY_MOST:g}"
    detail = f"{name}: a volatility of {said:g} a session is not within {bounds}"
    return InputRejection.OUT_OF_RANGE, detail


def _factor_fault(event: RiskModelPublished) -> str | None:
    """Why the factors' covariance is none; ROUNDING is a share of the variances, or the largest."""
    size = len(event.factors)
    factors = np.array(event.factor_covariance).reshape(size, size)
    variances = np.diag(factors)
    if size and float(variances.min()) < 0.0:
        i = int(np.argmin(variances))
        return f"variance of {event.factors[i]} is {factors[i, i]:g}"
    uneven = np.abs(factors - factors.T) > ROUNDING * np.sqrt(np.outer(variances, variances))
    if uneven.any():
        i, j = (int(k) for k in np.argwhere(uneven)[0])
        one, other = event.factors[i], event.factors[j]
        return f"({one}, {other}) is {factors[i, j]:g}, ({other}, {one}) is {factors[j, i]:g}"
    values = np.linalg.eigvalsh((factors + factors.T) / 2)
    if size and float(values[0]) < -ROUNDING * max(float(values[-1]), 0.0):
        return f"not positive semidefinite, its smallest eigenvalue is {float(values[0]):g}"
    return None

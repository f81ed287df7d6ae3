"""Calibrations: what was learned of each source, as events.

Place in the flow: said at the end of a session in which outcomes became known, by each source's
home shard. Reads the state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.core.skill import BINS, Calibration, learned_skill, skill_interval
from coordinator.core.state import Source, State
from schemas.base import OutputEvent
from schemas.verdicts import ReliabilityBin, SourceCalibrated

__all__ = ["calibrations", "reliability"]


def calibrations(state: State) -> list[OutputEvent]:
    """One for each source and horizon that outcomes are known of."""
    return [
        event for name in sorted(state.sources) for event in _of(state, name, state.sources[name])
    ]


def _of(state: State, name: str, source: Source) -> Iterator[SourceCalibrated]:
    skill, parameters = source.skill, state.parameters
    known = skill.calibration
    for bucket in sorted(skill.by_horizon):
        horizon = 2.0**bucket
        low, high = skill_interval(skill, horizon, parameters)
        yield SourceCalibrated(
            decided_at=state.clock,
            source=name,
            horizon_sessions=horizon,
            skill=_within(learned_skill(skill, horizon, parameters), 1.0),
            observations=skill.by_horizon[bucket].weight,
            skill_low=_within(low, 2.0),
            skill_high=_within(high, 2.0),
            confident=known.outcomes,
            brier_stated=known.brier_stated / known.outcomes if known.outcomes else None,
            brier_calibrated=known.brier_calibrated / known.outcomes if known.outcomes else None,
            reliability=reliability(known),
        )


def reliability(known: Calibration) -> tuple[ReliabilityBin, ...]:
    """The reliability curve: by tenths of the stated confidence, those with outcomes."""
    return tuple(
        ReliabilityBin(
            confidence_from=place / BINS,
            outcomes=count,
            hits=hits,
            hit_rate=min(max(rates / count, 0.0), 1.0),
        )
        for place, (count, hits, rates) in enumerate(known.bins)
        if count
    )


def _within(number: float, most: float) -> float:
    return max(-most, min(most, number))

"""Normalise: forecasts of a source become scores by what it forecasts of other names now.

Place in the flow: asked by `views` for sources that are registered so; others are standardised by
their own spread through time. What is common to all names of a source's strategy goes out, and its
scale with it. Source: Grinold and Kahn 2000, chapter 11 (scores across names); Tukey 1962
(winsorising).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.core.forms import normal_score
from coordinator.core.ports import Floats
from coordinator.core.state import Source, View
from schemas.control import Parameters

__all__ = ["across", "ranks", "winsorised_scores"]

ROBUST = 1.4826
"""A normal variable's deviation over its median absolute one."""
ROUNDING = 1e-9
"""Numbers that differ by less, as a part of the largest, are the same."""


def across(
    views: Sequence[View], sources: Mapping[str, Source], parameters: Parameters
) -> dict[int, float]:
    """Scores, by place, of forecasts that are normalised across these views.

    Only those of strategies with enough names: of too few their mean says nothing.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for place, view in enumerate(views):
        if view.is_forecast and sources[view.source].terms.normalisation != "spread":
            groups.setdefault((view.source, view.strategy), []).append(place)
    found: dict[int, float] = {}
    for (source, _), places in groups.items():
        if len(places) < parameters.cross_section_min:
            continue
        raw = np.array([views[place].raw for place in places])
        if sources[source].terms.normalisation == "zscore":
            scores = winsorised_scores(raw, most=parameters.score_max)
        else:
            scores = ranks(raw)
        found.update(zip(places, scores.tolist(), strict=True))
    return found


def winsorised_scores(raw: Floats, *, most: float) -> Floats:
    """(n,) numbers less their mean, over their deviation, once those far out are drawn in.

    most: deviations from the median, by its absolute deviation, beyond which one is far out. Where
    all are the same, zeros.
    """
    middle = float(np.median(raw))
    apart = raw - middle
    rounding = ROUNDING * float(np.abs(raw).max(initial=0.0))
    spread = ROBUST * float(np.median(np.abs(apart)))
    # Where most are the same, who differs is not far out but all there is.
    drawn = np.clip(apart, -most * spread, most * spread) if spread > rounding else apart
    if np.ptp(drawn) <= rounding:
        return np.zeros(len(raw))
    scores: Floats = (drawn - drawn.mean()) / drawn.std()
    return scores


def ranks(raw: Floats) -> Floats:
    """(n,) normal scores of the numbers' order; equal ones share the mean of their places."""
    values, place, count = np.unique(raw, return_inverse=True, return_counts=True)
    if len(values) == 1:
        return np.zeros(len(raw))
    last = np.cumsum(count)
    middle = (last - (count - 1) / 2.0).tolist()
    scores = np.array([normal_score(rank, len(raw)) for rank in middle])
    found: Floats = scores[place]
    return found

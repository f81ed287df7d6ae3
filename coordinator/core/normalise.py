"""Normalise: forecasts of a source become scores by what it forecasts of other names now.

Place in the flow: asked when an opinion is formed, and by `learn` when a signal enters, for sources
that are registered so; others are standardised by their own spread through time. What is common to
all names of a source's strategy goes out, and its scale with it. Source: Grinold and Kahn 2000,
chapter 11 (scores across names); Tukey 1962 (winsorising).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from coordinator.core.forms import normal_score
from coordinator.core.ports import Floats
from coordinator.core.state import Source, View, ViewKey
from schemas.control import Normalisation, Parameters

__all__ = [
    "across",
    "crossed_scores",
    "forecasts_of",
    "is_crossed",
    "ranks",
    "winsorised_scores",
]

ROBUST = 1.4826
"""A normal variable's deviation over its median absolute one."""
RAW_LEAST = 1e-12
"""Forecasts that are all smaller say nothing."""
ROUNDING = 1e-9
"""Numbers that differ by less, as a part of the largest, are the same."""


Group = tuple[str, str]
"""Source and strategy."""


def is_crossed(view: View, source: Source) -> bool:
    """Whether the view's score is its place among what its strategy forecasts."""
    return view.is_forecast and source.terms.normalisation != "spread"


def forecasts_of(
    views: Mapping[ViewKey, View], sources: Mapping[str, Source], wanted: Iterable[str]
) -> dict[Group, list[View]]:
    """All live forecasts of these sources that are normalised across names, by strategy, in order.

    Whoever hears them: what is common to all names is the same for everybody.
    """
    crossed = {name for name in wanted if sources[name].terms.normalisation != "spread"}
    found: dict[Group, list[View]] = {}
    if not crossed:
        return found
    for key in sorted(views):
        view = views[key]
        if view.source in crossed and view.is_forecast:
            found.setdefault((view.source, view.strategy), []).append(view)
    return found


def across(raws: Floats, normalisation: Normalisation, parameters: Parameters) -> Floats:
    """(n,) scores of what one strategy forecasts; zeros of too few, whose mean says nothing."""
    if len(raws) < parameters.cross_section_min:
        return np.zeros(len(raws))
    if normalisation == "rank":
        return ranks(raws)
    return winsorised_scores(raws, most=parameters.score_max)


def crossed_scores(
    groups: Mapping[Group, Sequence[View]], sources: Mapping[str, Source], parameters: Parameters
) -> dict[str, float]:
    """Scores of the views of these groups, by reference."""
    found: dict[str, float] = {}
    for (source, _), views in groups.items():
        raws = np.array([view.raw for view in views])
        scores = across(raws, sources[source].terms.normalisation, parameters)
        found.update(zip((view.reference for view in views), scores.tolist(), strict=True))
    return found


def winsorised_scores(raw: Floats, *, most: float) -> Floats:
    """(n,) numbers less their mean, over their deviation, once those far out are drawn in.

    most: deviations from the median, by its absolute deviation, beyond which one is far out. Where
    all are the same, zeros.
    """
    largest = float(np.abs(raw).max(initial=0.0))
    if largest < RAW_LEAST:
        return np.zeros(len(raw))
    raw = raw / largest
    middle = float(np.median(raw))
    apart = raw - middle
    spread = ROBUST * float(np.median(np.abs(apart)))
    # Where most are the same, who differs is not far out but all there is.
    drawn = np.clip(apart, -most * spread, most * spread) if spread > ROUNDING else apart
    if np.ptp(drawn) <= ROUNDING:
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

"""Picks: what a view is about, as weights of instruments: one, a pair, a basket, a place in line.

Place in the flow: read by `views` when the rows of a round are laid out. The pick of a view is its
own instrument, less the legs that it is judged against; a rank is against the mean of all names
that its source and strategy rank now, itself among them, so that ranks say nothing of the market.
Two views are pooled only where their picks are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.state import View

__all__ = ["ALONE", "Legs", "Picks", "exposures", "is_plain", "picked"]

Legs = tuple[tuple[int, float], ...]
"""(instrument index, units of value sold against one of the view's own), rising."""
ALONE: Legs = ()
RANKED_MIN = 2
"""A name that is ranked alone has nobody to be compared with."""


@dataclass(frozen=True, slots=True)
class Picks:
    """What each row is about.

    own: per row the index of its instrument, -1 where something of the pick cannot be judged. kind:
    per row the index of its legs in `legs`, which holds each set of legs once.
    """

    own: Sequence[int]
    kind: Sequence[int]
    legs: Sequence[Legs]


def is_plain(views: Sequence[View]) -> bool:
    """Whether every view is about its instrument alone."""
    return not any(view.against or view.form == "rank" for view in views)


def picked(views: Sequence[View], picks: Mapping[str, int]) -> Picks:
    """The picks of these views. picks: index per instrument that can be judged."""
    ranked = _ranked(views, picks)
    known: dict[Legs, int] = {ALONE: 0}
    kinds = {group: known.setdefault(legs, len(known)) for group, legs in ranked.items()}
    own, kind = [], []
    for view in views:
        place = picks.get(view.instrument, -1)
        which = 0
        if view.form == "rank":
            which = kinds.get((view.source, view.strategy), -1)
        elif view.against:
            legs = _legs(view, picks)
            which = -1 if legs is None else known.setdefault(legs, len(known))
        own.append(place if which >= 0 else -1)
        kind.append(max(which, 0))
    return Picks(own, kind, tuple(known))


def _ranked(views: Sequence[View], picks: Mapping[str, int]) -> dict[tuple[str, str], Legs]:
    """By source and strategy, the mean of all names that it ranks and that can be judged."""
    members: dict[tuple[str, str], list[int]] = {}
    for view in views:
        if view.form == "rank" and view.instrument in picks:
            members.setdefault((view.source, view.strategy), []).append(picks[view.instrument])
    return {
        group: tuple((place, 1.0 / len(places)) for place in sorted(places))
        for group, places in members.items()
        if len(places) >= RANKED_MIN
    }


def _legs(view: View, picks: Mapping[str, int]) -> Legs | None:
    """The legs of a pair or basket; None where one of them cannot be judged."""
    if any(name not in picks for name, _ in view.against):
        return None
    return tuple(sorted((picks[name], weight) for name, weight in view.against))


def exposures(own: Sequence[int], legs: Sequence[Legs], *, width: int) -> Floats:
    """(m, width) each pick's weight in each instrument. own, legs: of m picks."""
    found = np.zeros((len(own), width))
    found[np.arange(len(own)), own] = 1.0
    for row, against in enumerate(legs):
        for column, weight in against:
            found[row, column] -= weight
    return found

"""Unused: why a live signal that a portfolio hears has no effect, in words.

Place in the flow: the one list of these words, for whoever tells of one signal or of several. The
rule itself is `coordinator.core.views.scored_views`; this must never decide anything.
"""

from __future__ import annotations

__all__ = ["ALONE", "FADED", "FEW", "HOLD", "REASONS", "UNPRICED", "UNRATED", "either"]

HOLD = "direction 0"
UNPRICED = "no price"
UNRATED = "no exchange rate to the portfolio's currency"
FADED = "skill below skill_min"
FEW = "fewer names forecast than cross_section_min"
ALONE = "nobody to be ranked with"
REASONS = (HOLD, UNPRICED, UNRATED, FADED, FEW, ALONE)
"""All of them."""


def either(*reasons: str) -> str:
    """Those that cannot be told apart, as one text."""
    *first, last = reasons
    return f"{', '.join(first)} or {last}" if first else last

"""What the words of a run mean, said once for the report and the terminal.

Place in the flow: beside the summary, whose names these are; the definitions are those of
`schemas.decisions` in plain words. It must never say anything that depends on a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "CONFLICTS",
    "FATES_MEANT",
    "RUNGS",
    "TERMS",
    "prose",
    "spelled",
    "unused_spelled",
    "with_meaning",
]

RUNGS = {
    "solved": "the best answer within every limit",
    "relaxed": "not every limit could be kept: one was already broken before trading, by prices, "
    "and is brought back as far as possible, or soft ones gave way",
    "rule": "no solver's answer could be trusted; a fixed rule mended limits and did no more",
    "hold": "nothing was traded, because nothing could be done safely",
}
"""Rungs of the ladder, each the fallback of the one before."""
RUNGS_SHORT = {
    "relaxed": "a limit was broken before, or soft ones gave way",
    "rule": "by a fixed rule",
}
CONFLICTS = {
    "opposite_direction": "two opinions on one instrument pull apart",
    "horizon": "they pull apart, but over such different times that both may be right",
    "correlated_instruments": "opinions on two instruments that move together pull apart",
    "mandate": "an opinion asks for what the portfolio may not hold",
    "capacity": "the wishes together need more room than the portfolio has",
    "stale": "two opinions pull apart, and of one of them much more is over than of the other",
    "budget": "a strategy's wishes need more capital, or risk, than it was given",
}
FATES_MEANT = {
    "followed": "the trade, or without one the position, went its way",
    "limited": "a limit or a cost kept its wish from being met",
    "outvoted": "other opinions prevailed",
    "closed": "it was neutral (hold) and ended its source's view",
    "dropped": "heard, but without weight: no price, no skill left, or another currency",
    "expired": "its time was over before any decision used it",
    "rejected": "not taken in, for the reason given",
    "waiting": "no verdict when the log ends",
}
UNUSED_SHORT = {
    "closed": "ended a view",
    "dropped": "heard, without weight",
    "waiting": "for a round, when the log ends",
}
TERMS = {
    "score": "an opinion in units of its instrument's usual moves: 1 is one standard deviation",
    "skill": "how well the opinion is believed to foretell the return over the decision's horizon, "
    "as a correlation; it comes from the stated confidence and fades with age",
    "severity": "0 to 1: for opinions, how surely they differ beyond their own uncertainty; for a "
    "mandate, how sure the forbidden opinion is; for capacity and budgets, the share of the "
    "wishes that finds no room",
    "rung": "which step of the ladder of fallbacks gave the answer: "
    + ", ".join(RUNGS)
    + ", in this order",
}

_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")


def prose(text: str) -> str:
    """An engine's sentence as a page prints it: arrows and minus signs, not their ASCII stand-ins.

    Hyphens inside names stay.
    """
    return _MINUS.sub("\u2212", text.replace(" -> ", " \u2192 "))


def spelled(counts: Iterable[tuple[str, int]]) -> str:
    """Counts with their names, in one line; empty for none."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts)


def with_meaning(counts: Iterable[tuple[str, int]]) -> str:
    """Counts of rungs, with what the less plain ones mean."""
    return "; ".join(_meant(counts, RUNGS_SHORT))


def unused_spelled(counts: Iterable[tuple[str, int]]) -> str:
    """Counts of the fates of signals that no round used, with what the less plain ones mean."""
    return "; ".join(_meant(counts, UNUSED_SHORT))


def _meant(counts: Iterable[tuple[str, int]], short: Mapping[str, str]) -> Iterator[str]:
    for name, count in counts:
        meaning = short.get(name)
        yield f"{count:,} {name}" + (f": {meaning}" if meaning else "")

from __future__ import annotations

from replay.report.summary import FATES
from replay.report.words import CONFLICTS, FATES_MEANT, RUNGS, prose, with_meaning
from schemas.decisions import ConflictKind, Rung


def test_every_word_of_a_run_has_a_meaning() -> None:
    assert tuple(CONFLICTS) == tuple(kind.value for kind in ConflictKind)
    assert tuple(RUNGS) == tuple(rung.value for rung in Rung)
    assert tuple(FATES_MEANT) == FATES


def test_arrows_and_minus_signs_are_printed_as_such_and_names_stay() -> None:
    told = "A-1: together -0.18%, held 0.00% -> -0.50%, claude-3.7, 2025-01-02, x--5"
    assert prose(told) == (
        "A-1: together \u22120.18%, held 0.00% \u2192 \u22120.50%, claude-3.7, 2025-01-02, x--5"
    )


def test_relaxed_is_never_said_without_its_meaning() -> None:
    told = with_meaning((("solved", 66), ("relaxed", 21)))
    assert told == "66 solved; 21 relaxed: a limit was broken before, or soft ones gave way"

"""Finding a decision in a log."""

from __future__ import annotations

import pytest

from coordinator.quality.reasons import DecisionNotFound, RoundWithoutDecision, explain_decision
from tests.unit.replay.planted import allocation, closed, conflict, conflicts, output_log


def test_a_decision_is_found_with_its_conflicts_and_books() -> None:
    log = output_log(
        conflicts(conflict(), conflict(severity=0.3)),
        allocation(round_number=1), closed(round_number=1),
        conflicts(conflict(), round_number=11),
        allocation(round_number=11), closed(round_number=11),
    )  # fmt: skip
    told = explain_decision(log, "p:1")
    assert (told.decision_id, len(told.conflicts), told.trigger) == ("p:1", 2, "signals")
    assert (told.place.seq, told.place.position) == (1, 1)


def test_an_unknown_decision_suggests_near_names() -> None:
    with pytest.raises(DecisionNotFound, match="did you mean p:12") as caught:
        explain_decision(output_log(allocation(round_number=12)), "p:123")
    assert caught.value.near == ("p:12",)


def test_a_round_that_decided_nothing_says_why() -> None:
    with pytest.raises(RoundWithoutDecision, match="nothing_to_do"):
        explain_decision(output_log(closed(outcome="nothing_to_do")), "p:1")


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ("nothing_to_do", "no instrument of theirs has a price in the portfolio's currency"),
        ("no_prices", "something that the portfolio holds has no price"),
        ("no_value", "value is not positive"),
    ],
)
def test_a_round_that_dropped_every_signal_names_them_and_says_why(outcome: str, why: str) -> None:
    dropped = tuple(f"a/{number}" for number in range(7))
    books = closed(outcome=outcome).model_copy(
        update={"signals_used": (), "signals_dropped": dropped}
    )
    with pytest.raises(RoundWithoutDecision) as caught:
        explain_decision(output_log(books), "p:1")
    told = str(caught.value)
    assert "0 signals used; 7 signals dropped: a/0, a/1, a/2, a/3, a/4 and 2 more: " in told
    assert why in told

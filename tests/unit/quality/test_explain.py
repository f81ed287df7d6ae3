"""The order and completeness of a decision's reasons."""

from __future__ import annotations

import pytest

from coordinator.quality.explain import Explanation, Place, explain
from schemas.decisions import LimitUse
from tests.unit.replay.planted import allocation, closed, conflict, target, trade, use

PLACE = Place(
    shard=0, position=7, ordinal=1, seq=3, journal_time=100, content="c" * 64, entry="e" * 64
)


def explained() -> Explanation:
    decision = allocation(
        signals=(use("a/1", "A", own=0.01), use("b/2", "A", "outvoted", own=-0.02)),
        targets=(target("A", weight=0.05), target("IDLE", weight=0.0), target("B", weight=-0.2)),
        trades=(trade("A", "10", trade_id="p:1:A"),),
        limits=(
            LimitUse(limit="gross_max", used=0.5, bound=1.0, shadow_price=0.0),
            LimitUse(limit="position_max", instrument="A", used=0.1, bound=0.1, shadow_price=0.02),
            LimitUse(limit="cash_floor", used=0.1, bound=0.1, shadow_price=-0.3),
        ),
    )
    mild, severe = conflict(severity=0.2), conflict(severity=0.9)
    return explain(decision, conflicts=(mild, severe), closed=closed(), place=PLACE)


def test_the_most_severe_conflict_and_the_dearest_limit_come_first() -> None:
    told = explained()
    assert [one.severity for one in told.conflicts] == [0.9, 0.2]
    assert [one.limit for one in told.binding] == ["cash_floor", "position_max"]
    assert [one.limit for one in told.watched] == ["gross_max"]


def test_every_instrument_that_matters_is_told_with_its_opinions_and_trade() -> None:
    told = explained()
    assert [one.instrument for one in told.changes] == ["B", "A"]
    about = told.changes[1]
    assert [one.signal for one in about.opinions] == ["b/2", "a/1"]
    assert about.trade_id == "p:1:A"
    assert told.changes[0].trade is None


def test_contributions_of_signals_and_prior_are_added_up() -> None:
    assert explained().contributions == pytest.approx(0.002)


def test_a_decision_without_its_rounds_books_is_still_explained() -> None:
    told = explain(allocation(), conflicts=(conflict(),), closed=None, place=PLACE)
    assert told.trigger is None
    assert told.conflicts_found == 1


def test_a_limit_that_gave_way_shaped_the_decision_whatever_its_price() -> None:
    gave = LimitUse(
        limit="sectors", about="Tech", used=0.4, bound=0.3, shadow_price=0.0, priority=2, given=0.1
    )
    told = explain(allocation(limits=(gave,)), conflicts=(), closed=None, place=PLACE)
    assert (told.binding, told.watched) == ((gave,), ())

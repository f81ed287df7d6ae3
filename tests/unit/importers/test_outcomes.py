"""Outcomes: rows of what came of signals, known at their time."""

from __future__ import annotations

import pytest

from coordinator.importers.outcomes import OUTCOME_COLUMNS, Outcomes, read_outcomes
from schemas.outcomes import OutcomeAttributed
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table, told

GOOD = {
    "time": "2025-01-06T21:00:00Z", "source": "s", "signal_id": "x", "realised_return": "-0.012",
}  # fmt: skip


def read(*rows: dict[str, str]) -> Outcomes:
    return read_outcomes(text_table(OUTCOME_COLUMNS, *rows), session=NEW_YORK)


def attributed(found: Outcomes) -> list[OutcomeAttributed]:
    return told(found.messages())


def test_a_row_becomes_an_outcome_that_counts_from_its_time() -> None:
    found = read(GOOD)
    (one,) = attributed(found)
    moment = at(GOOD["time"])
    assert (one.source, one.signal_id, one.realised_return) == ("s", "x", -0.012)
    assert one.known_at == one.event_time == moment
    assert [item.known_at for item in found.messages()] == [moment]


def test_a_bare_date_is_that_sessions_close() -> None:
    (one,) = attributed(read(GOOD | {"time": "2025-01-06"}))
    assert one.known_at == at("2025-01-06T21:00:00Z")


def test_the_same_row_twice_is_one_outcome_told_twice() -> None:
    ids = {one.event_id for one in attributed(read(GOOD, GOOD))}
    assert len(ids) == 1
    (one,) = attributed(read(GOOD | {"outcome_id": "o-1"}))
    assert one.event_id == "o-1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": ""}, "time is missing"),
        ({"source": ""}, "source is missing"),
        ({"signal_id": ""}, "signal_id is missing"),
        ({"realised_return": ""}, "realised_return is missing"),
        ({"realised_return": "much"}, "realised_return is not a number"),
        ({"realised_return": "101"}, "realised_return is not between -100 and 100"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    assert reasons(read(GOOD | changes).rejects.frame) == [reason]

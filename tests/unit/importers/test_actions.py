from __future__ import annotations

from decimal import Decimal

import pytest

from coordinator.importers.actions import ACTION_COLUMNS, Actions, read_actions
from coordinator.importers.sessions import Session
from schemas.market import CorporateActionAnnounced
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table, told

SPLIT = {"time": "2025-01-08T05:00:00Z", "instrument": "AAA", "kind": "split", "ratio": "2"}
DIVIDEND = SPLIT | {"kind": "dividend", "ratio": "", "amount": "0.25"}
SPIN_OFF = SPLIT | {"kind": "spin_off", "into": "NEW"}
REDEMPTION = DIVIDEND | {"kind": "redemption"}


def read(*rows: dict[str, str], session: Session = NEW_YORK) -> Actions:
    return read_actions(text_table(ACTION_COLUMNS, *rows), session=session)


def announced(found: Actions) -> list[CorporateActionAnnounced]:
    return told(found.messages())


def test_a_row_becomes_an_action_with_every_field() -> None:
    row = SPIN_OFF | {
        "ratio": "1.0", "per": "3", "pays_at": "2025-01-10T15:00:00Z", "basis_share": "0.2",
        "announced_at": "2025-01-02T12:00:00Z", "action_id": "x1", "kind": "Spin_Off",
    }  # fmt: skip
    found = read(row)
    assert announced(found) == [
        CorporateActionAnnounced(
            event_id="x1", event_time=at("2025-01-02T12:00:00Z"), instrument="AAA",
            kind="spin_off", effective_at=at("2025-01-08T05:00:00Z"), ratio=Decimal(1),
            per=Decimal(3), into="NEW", pays_at=at("2025-01-10T15:00:00Z"), basis_share=0.2,
        )
    ]  # fmt: skip
    assert [item.known_at for item in found.messages()] == [at("2025-01-02T12:00:00Z")]


@pytest.mark.parametrize("row", [SPLIT, DIVIDEND, SPIN_OFF, REDEMPTION])
def test_each_kind_needs_no_more_than_its_own_terms(row: dict[str, str]) -> None:
    (action,) = announced(read(row))
    assert action.kind == row["kind"]
    assert (action.per, action.pays_at, action.basis_share) == (None, None, 0.0)
    assert action.event_time == action.effective_at


def test_a_bare_date_is_the_beginning_of_that_day_before_its_session_opens() -> None:
    days = {"time": "2025-01-08", "pays_at": "2025-07-10"}
    (action,) = announced(read(DIVIDEND | days))
    assert action.effective_at == action.event_time == at("2025-01-08T00:00:00-05:00")
    assert action.pays_at == at("2025-07-10T00:00:00-04:00")
    overnight = Session.parse("18:00-17:00@America/Chicago")
    (action,) = announced(read(DIVIDEND | days, session=overnight))
    assert action.effective_at == at("2025-01-08T00:00:00-06:00")


def test_a_bare_announcement_is_known_at_that_sessions_close() -> None:
    (action,) = announced(read(SPLIT | {"announced_at": "2025-01-02"}))
    assert action.event_time == at("2025-01-02T21:00:00Z")


def test_an_action_that_is_announced_late_is_known_only_then() -> None:
    found = read(SPLIT | {"announced_at": "2025-02-01T12:00:00Z"}, DIVIDEND)
    assert [item.known_at for item in found.messages()] == [
        at("2025-01-08T05:00:00Z"), at("2025-02-01T12:00:00Z"),
    ]  # fmt: skip


def test_the_same_row_twice_is_one_action_told_twice() -> None:
    first, again, other = announced(read(SPLIT, SPLIT, SPLIT | {"ratio": "3"}))
    assert first.event_id == again.event_id != other.event_id


def test_what_is_received_is_heard_of_with_the_announcement() -> None:
    early = DIVIDEND | {"time": "2025-01-07T05:00:00Z", "instrument": "NEW"}
    assert read(SPIN_OFF, SPLIT | {"instrument": "BBB"}).first_heard() == dict.fromkeys(
        ("AAA", "BBB", "NEW"), at("2025-01-08T05:00:00Z")
    )
    assert read(SPIN_OFF, early).first_heard()["NEW"] == at("2025-01-07T05:00:00Z")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SPLIT | {"time": ""}, "time is missing"),
        (SPLIT | {"time": "2025-02-30"}, "time is no moment"),
        (SPLIT | {"instrument": ""}, "instrument is missing"),
        (SPLIT | {"kind": ""}, "kind is missing"),
        (SPLIT | {"kind": "merger"}, "kind is not split, dividend, spin_off or redemption"),
        (SPLIT | {"ratio": ""}, "a split needs a ratio above 0"),
        (SPLIT | {"ratio": "0.0"}, "a split needs a ratio above 0"),
        (SPLIT | {"ratio": "-2"}, "ratio is not between 0 and 1e15"),
        (SPLIT | {"ratio": "2:1"}, "ratio is no exact decimal"),
        (SPLIT | {"per": "0"}, "per is not above 0"),
        (SPLIT | {"per": "-1"}, "per is not between 0 and 1e15"),
        (DIVIDEND | {"amount": ""}, "a dividend needs an amount"),
        (DIVIDEND | {"amount": "-1"}, "amount is not between 0 and 1e18"),
        (REDEMPTION | {"amount": ""}, "a redemption needs an amount"),
        (SPIN_OFF | {"ratio": ""}, "a spin_off needs a ratio above 0"),
        (SPIN_OFF | {"into": ""}, "a spin_off needs into: what is received"),
        (SPIN_OFF | {"into": "AAA"}, "into is the instrument itself"),
        (SPIN_OFF | {"into": "\x00"}, "into is no name"),
        (SPIN_OFF | {"basis_share": "1.1"}, "basis_share is not between 0 and 1"),
        (SPIN_OFF | {"basis_share": "x"}, "basis_share is not a number"),
        (SPLIT | {"announced_at": "soon"}, "announced_at is no time"),
        (DIVIDEND | {"pays_at": "soon"}, "pays_at is no time"),
        (SPLIT | {"action_id": "x" * 129}, "action_id is no name"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_goes_on(
    row: dict[str, str], reason: str
) -> None:
    found = read(row, SPLIT | {"ratio": "5"})
    (said,) = reasons(found.rejects.frame)
    assert said.startswith(reason)
    assert found.rejects.topic == "market"
    assert len(announced(found)) == 1

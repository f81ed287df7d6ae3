from __future__ import annotations

import polars as pl
import pytest

from coordinator.core.forms import form_of
from coordinator.importers.errors import ImportFailed
from coordinator.importers.opinions import FIFTHS
from coordinator.importers.signals import SIGNAL_COLUMNS, DatesKnownAt, Signals, read_signals
from coordinator.importers.tables import table_from_frame
from schemas.signals import SignalIssued
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table

GOOD = {
    "event_time": "2025-01-06T20:00:00Z", "source": "s", "instrument": "AAA", "direction": "buy",
}  # fmt: skip


def read(*rows: dict[str, str], dates: DatesKnownAt | None = None) -> Signals:
    table = text_table(SIGNAL_COLUMNS, *rows)
    return read_signals(table, session=NEW_YORK, dates_known_at=dates)


def issued(found: Signals) -> list[SignalIssued]:
    return [SignalIssued.model_validate_json(item.payload) for item in found.messages()]


def test_a_row_becomes_a_signal_with_every_field() -> None:
    row = GOOD | {
        "strength": "0.5", "strategy": "fast", "confidence": "0.25", "horizon_days": "2.5",
        "price": "12.5",
        "expires_at": "2025-01-08T00:00:00Z", "known_at": "2025-01-06T20:00:05Z", "signal_id": "x1",
    }  # fmt: skip
    found = read(row)
    (signal,) = issued(found)
    assert signal == SignalIssued(
        event_id="x1", event_time=at("2025-01-06T20:00:00Z"), source="s", strategy="fast",
        instrument="AAA", direction=1, strength=0.5, confidence=0.25, horizon_sessions=2.5,
        price=12.5, expires_at=at("2025-01-08T00:00:00Z"),
    )  # fmt: skip
    assert [m.known_at for m in found.messages()] == [at("2025-01-06T20:00:05Z")]


def test_what_is_absent_stays_absent_and_the_strategy_is_the_source() -> None:
    (signal,) = issued(read(GOOD))
    assert signal.strategy == "s"
    assert (signal.strength, signal.confidence, signal.horizon_sessions) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "number"),
    [("-1", -1), ("sell", -1), ("SELL", -1), ("0", 0), (" Hold ", 0), ("1", 1), ("+1", 1),
     ("Buy", 1), ("1.0", 1), ("-1.0", -1)],
)  # fmt: skip
def test_directions_are_numbers_or_words_of_any_case(text: str, number: int) -> None:
    (signal,) = issued(read(GOOD | {"direction": text}))
    assert signal.direction == number


@pytest.mark.parametrize(
    ("fields", "form", "value"),
    [
        ({"expected_return": "-0.02"}, "expected_return", -0.02),
        ({"target_weight": "0.1"}, "target_weight", 0.1),
        ({"rank": "3", "rank_of": "10"}, "rank", 3),
        ({"probability_up": "0.55"}, "probability_up", 0.55),
        (dict.fromkeys(FIFTHS, "0.2"), "quintiles", (0.2, 0.2, 0.2, 0.2, 0.2)),
    ],
)
def test_every_form_is_read(fields: dict[str, str], form: str, value: object) -> None:
    (signal,) = issued(read(GOOD | {"direction": ""} | fields))
    assert form_of(signal) == form
    assert getattr(signal, form) == value


def test_a_basket_is_names_with_weights_in_any_order() -> None:
    found = read(GOOD | {"against": " CCC = 0.25;BBB"}, GOOD | {"against": "DDD", "source": "t"})
    one, other = issued(found)
    assert [(leg.instrument, leg.weight) for leg in one.against] == [("BBB", 1.0), ("CCC", 0.25)]
    assert [(leg.instrument, leg.weight) for leg in other.against] == [("DDD", 1.0)]
    assert found.instruments == ("AAA", "BBB", "CCC", "DDD")


@pytest.mark.parametrize("values", [[1, -1], [1.0, -1.0], ["buy", "SELL"]])
def test_direction_columns_of_any_type_mean_the_same(values: list[object]) -> None:
    frame = pl.DataFrame([GOOD, GOOD]).with_columns(pl.Series("direction", values))
    table = table_from_frame(frame, name="signals", columns=SIGNAL_COLUMNS)
    found = read_signals(table, session=NEW_YORK, dates_known_at=None)
    assert [signal.direction for signal in issued(found)] == [1, -1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"direction": "long"}, "direction is not"),
        ({"direction": "2"}, "direction is not"),
        ({"direction": "0.5"}, "direction is not"),
        ({"direction": ""}, "none of direction, expected_return"),
        ({"expected_return": "0.01"}, "more than one of direction, expected_return"),
        ({"target_weight": "0.01"}, "more than one of"),
        ({"direction": "", "target_weight": "101"}, "target_weight is not between"),
        ({"direction": "", "rank": "3"}, "rank and rank_of go together"),
        ({"rank_of": "3"}, "rank and rank_of go together"),
        ({"direction": "", "rank": "4", "rank_of": "3"}, "rank is above rank_of"),
        ({"direction": "", "rank": "1.5", "rank_of": "3"}, "rank is no whole number"),
        ({"direction": "", "probability_up": "55"}, "probability_up is not between"),
        ({"direction": "", "quintile_1": "0.5", "quintile_5": "0.5"}, "not all of quintile_1"),
        ({"direction": "", **dict.fromkeys(FIFTHS, "0.3")}, "do not add up to 1"),
        ({"against": "AAA"}, "against names the instrument itself"),
        ({"against": "BBB;"}, "against is not like BIRCH"),
        ({"against": "BBB;BBB=2"}, "against is not like BIRCH"),
        ({"against": "B\u2028B"}, "against is not like BIRCH"),
        ({"against": "BBB=0"}, "a weight that is not above 0"),
        ({"against": "BBB=nan"}, "a weight that is not above 0"),
        ({"against": "BBB=half"}, "a weight that is not above 0"),
        ({"against": ";".join(f"N{i}" for i in range(101))}, "more than 100 legs"),
        ({"direction": "", "target_weight": "0.1", "against": "BBB"}, "against goes with no rank"),
        ({"direction": "", "expected_return": "0.1", "strength": "1"}, "strength is given wi"),
        ({"direction": "", "expected_return": "11"}, "expected_return is not between"),
        ({"strength": "1.5"}, "strength is not between"),
        ({"confidence": "1.5"}, "confidence is not between"),
        ({"price": "0"}, "price is not above 0"),
        ({"price": "1e13"}, "price is not above 0 and at most 1e12"),
        ({"confidence": "-0.1"}, "confidence is not between"),
        ({"confidence": "80%"}, "confidence is not a number"),
        ({"confidence": "nan"}, "confidence is not a number"),
        ({"horizon_days": "0"}, "horizon_days is 0"),
        ({"horizon_days": "-3"}, "horizon_days is not between"),
        ({"horizon_days": "1e9"}, "horizon_days is not between"),
        ({"source": ""}, "source is missing"),
        ({"source": "a\u2028b"}, "source is no name"),
        ({"instrument": " "}, "instrument is missing"),
        ({"signal_id": "y" * 200}, "signal_id is no name"),
        ({"event_time": ""}, "event_time is missing"),
        ({"event_time": "2025-01-06"}, "event_time is a bare date"),
        ({"known_at": "2025-01-07"}, "known_at is a bare date"),
        ({"known_at": "2025-01-06T19:59:59Z"}, "known_at is before event_time"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    found = read(GOOD, GOOD | changes)
    (told,) = reasons(found.rejects.frame)
    assert reason in told
    assert len(issued(found)) == 1


@pytest.mark.parametrize(
    ("meaning", "moment"), [("open", "2025-01-06T14:30:00Z"), ("close", "2025-01-06T21:00:00Z")]
)
def test_a_bare_date_means_what_was_said(meaning: DatesKnownAt, moment: str) -> None:
    (signal,) = issued(read(GOOD | {"event_time": "2025-01-06"}, dates=meaning))
    assert signal.event_time == at(moment)


def test_a_bare_expiry_is_that_sessions_close() -> None:
    (signal,) = issued(read(GOOD | {"expires_at": "2025-01-08"}))
    assert signal.expires_at == at("2025-01-08T21:00:00Z")


def test_an_expired_signal_is_left_to_the_engine() -> None:
    (signal,) = issued(read(GOOD | {"expires_at": "2025-01-01"}))
    assert signal.expires_at is not None
    assert signal.expires_at < signal.event_time


def test_an_id_is_made_of_the_whole_row_so_that_the_same_row_is_a_duplicate() -> None:
    rows = [GOOD, GOOD, GOOD | {"strength": "0.5"}, GOOD | {"known_at": "2025-01-06T20:00:01Z"}]
    first, again, stronger, later = (signal.event_id for signal in issued(read(*rows)))
    assert first == again
    assert len({first, stronger, later}) == 3
    (alone,) = issued(read(GOOD | {"direction": "1", "note": "x"}))
    assert alone.event_id == first


def test_signals_come_in_the_order_they_were_known() -> None:
    early = GOOD | {"source": "early", "event_time": "2025-01-05T20:00:00Z"}
    late = GOOD | {"source": "late", "event_time": "2025-01-05T19:00:00Z",
                   "known_at": "2025-01-07T20:00:00Z"}  # fmt: skip
    assert [s.source for s in issued(read(late, GOOD, early))] == ["early", "s", "late"]


def test_a_file_without_any_form_of_opinion_is_refused() -> None:
    row = {key: value for key, value in GOOD.items() if key != "direction"}
    with pytest.raises(ImportFailed, match="no column that states an opinion; give one of dir"):
        read(row)


def test_a_file_without_one_usable_row_is_refused() -> None:
    with pytest.raises(ImportFailed, match="no row is usable"):
        read(GOOD | {"direction": "long"})

"""Canonical bytes: one event, one spelling; and every spelling that means it gives those bytes."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PlainSerializer
from pydantic_core import PydanticSerializationError

from schemas.base import Model
from schemas.canonical import canonical_bytes
from schemas.examples import EXAMPLES
from schemas.export import Document, event_schema
from schemas.market import PricesObserved, RatesObserved, RiskModelPublished
from schemas.orders import OrderFilled
from schemas.registry import EVENTS, parse_event
from schemas.signals import SignalIssued
from tests.unit.schemas.strategies import inputs
from tests.unit.schemas.validator import violations


def _event(name: str, fields: Document) -> Any:
    return parse_event(name, EVENTS[name].version, json.dumps(fields).encode())


@given(inputs())
def test_what_is_written_is_read_back_equal_and_written_the_same(
    given: tuple[str, Document],
) -> None:
    name, fields = given
    event = _event(name, fields)
    raw = canonical_bytes(event)
    again = parse_event(name, event.version, raw)
    assert again == event
    assert canonical_bytes(again) == raw


@given(inputs(), st.randoms(use_true_random=False))
def test_the_order_of_fields_and_unknown_ones_change_no_byte(
    given: tuple[str, Document], shuffler: random.Random
) -> None:
    name, fields = given
    mixed = [*fields.items(), ("unheard_of", {"deep": [1, None]})]
    shuffler.shuffle(mixed)
    assert canonical_bytes(_event(name, dict(mixed))) == canonical_bytes(_event(name, fields))


@given(inputs())
def test_what_is_written_fits_the_published_schema(given: tuple[str, Document]) -> None:
    name, fields = given
    schema = event_schema(EVENTS[name])
    written = json.loads(canonical_bytes(_event(name, fields)))
    assert violations(written, schema, schema) == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_examples_survive_a_round_trip_and_fit_their_schema(name: str) -> None:
    event = EXAMPLES[name]
    raw = canonical_bytes(event)
    schema = event_schema(type(event))
    assert parse_event(name, event.version, raw) == event
    assert violations(json.loads(raw), schema, schema) == []


def _rate(rate: float) -> RatesObserved:
    return RatesObserved(event_id="r", event_time=1, name="cash", rate=rate)


def test_negative_zero_is_spelled_as_zero_beside_any_other_number() -> None:
    def model(first: float) -> RiskModelPublished:
        return RiskModelPublished(
            event_id="m",
            event_time=1,
            name="m",
            instruments=("A",),
            factors=("x", "y", "z"),
            loadings=(first, 1e-7, -0.05),
            specific=(0.1,),
        )

    assert model(-0.0) == model(0.0)
    assert canonical_bytes(model(-0.0)) == canonical_bytes(model(0.0))


def test_a_text_that_looks_like_a_number_stays_as_it_is() -> None:
    for name in ("a:-0.0,", "NaN", "-Infinity", "x[-0.0]"):
        event = RatesObserved(event_id="r", event_time=1, name=name, rate=-0.0)
        assert json.loads(canonical_bytes(event)) == {
            "event_id": "r",
            "event_time": 1,
            "name": name,
            "rate": 0.0,
        }


def test_an_unvalidated_number_that_is_not_finite_is_refused_at_the_write() -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        event = RatesObserved.model_construct(event_id="r", event_time=1, name="n", rate=value)
        with pytest.raises(ValueError, match="not finite"):
            canonical_bytes(event)


def test_an_unvalidated_lone_surrogate_is_refused_at_the_write() -> None:
    event = RatesObserved.model_construct(event_id="r", event_time=1, name="\ud800", rate=1.0)
    with pytest.raises(ValueError, match="surrogate"):
        canonical_bytes(event)


@given(st.integers(-(10**30), 10**30), st.integers(0, 12))
def test_money_keeps_every_digit_and_loses_every_trailing_zero(
    trillionths: int, zeros: int
) -> None:
    whole, part = divmod(abs(trillionths), 10**12)
    text = f"{'-' if trillionths < 0 else ''}{whole}.{part:012d}"
    fields = {
        "event_id": "f",
        "event_time": 1,
        "portfolio": "p",
        "instrument": "i",
        "quantity": "1" + (f".{'0' * zeros}" if zeros else ""),
        "price": "1",
        "fee": text,
    }
    event = _event("OrderFilled", fields)
    spelled = json.loads(canonical_bytes(event))
    assert spelled["quantity"] == "1"
    assert spelled["fee"] == (text.rstrip("0").rstrip(".") if trillionths else "0")
    assert event.fee == Decimal(text)


def test_equal_prices_spelled_as_integer_and_as_float_give_the_same_bytes() -> None:
    assert canonical_bytes(_rate(1.0)) == canonical_bytes(
        _event("RatesObserved", {"event_id": "r", "event_time": 1, "name": "cash", "rate": 1})
    )


def test_absent_and_null_are_the_same_but_a_hole_in_a_column_stays() -> None:
    event = PricesObserved(
        event_id="p", event_time=1, kind="quote", instruments=("A", "B"), price=(None, 2.0)
    )
    raw = canonical_bytes(event)
    assert json.loads(raw)["price"] == [None, 2.0]
    assert parse_event("PricesObserved", 1, raw) == event
    fields = {**json.loads(raw), "open": None}
    assert canonical_bytes(_event("PricesObserved", fields)) == raw


def test_frozen_events_cannot_be_changed_after_they_are_made() -> None:
    for event in (EXAMPLES["SignalIssued"], EXAMPLES["OrderFilled"]):
        assert isinstance(event, SignalIssued | OrderFilled)
        with pytest.raises(ValueError, match="frozen"):
            event.event_id = "other"  # type: ignore[misc] # this is what must fail


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_what_ends_a_process_is_no_fault_of_the_event(end: type[BaseException]) -> None:
    """An interrupt in a serialiser came out as its error, and the round was quarantined for it."""

    def interrupted(_: int) -> str:
        raise end

    class Spelled(Model):
        units: Annotated[int, PlainSerializer(interrupted, return_type=str)]

    with pytest.raises(end):
        canonical_bytes(Spelled(units=1))


def test_a_fault_of_the_event_stays_one() -> None:
    def wrong(_: int) -> str:
        raise LookupError("KeyboardInterrupt: not really")

    class Spelled(Model):
        units: Annotated[int, PlainSerializer(wrong, return_type=str)]

    with pytest.raises(PydanticSerializationError):
        canonical_bytes(Spelled(units=1))

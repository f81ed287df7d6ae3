"""Conflation: fewer quotes, the same prices; nothing moves, and no offset is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.conflate import Arrived, conflated
from coordinator.core.market import Market
from coordinator.core.route import DeadLetter, Raw, enter, read_event
from schemas.entries import decode_journal
from schemas.market import InstrumentListed, PricesObserved
from tests.journals import T0, law

NAMES = ("A", "B", "C", "D")


def arrived(offset: int, at: int, prices: dict[str, float | None], **fields: Any) -> Arrived:
    body = {
        "type": "PricesObserved", "event_id": f"e{offset}", "event_time": T0 + at, "kind": "quote",
        "instruments": list(prices), "price": list(prices.values()),
    }  # fmt: skip
    appended = T0 + fields.pop("appended", 1_000)
    raw = Raw("market", "t", 0, offset, appended, json.dumps(body | fields).encode())
    event = read_event(raw)
    assert not isinstance(event, DeadLetter), event.reason
    return Arrived(raw, event)


def market(known: Sequence[tuple[str, float, int]] = ()) -> Market:
    made = Market(window=4)
    for name in NAMES:
        made.list(
            InstrumentListed(
                event_id=name,
                event_time=T0,
                instrument=name,
                lot=Decimal(1),
                tick=Decimal("0.01"),
                currency="USD",
            )
        )
    for number, (name, price, at) in enumerate(known):
        made.observe(
            PricesObserved(
                event_id=f"k{number}", event_time=T0 + at, kind="quote",
                instruments=(name,), price=(price,),
            )
        )  # fmt: skip
    return made


def folded(found: Sequence[Arrived], into: Market) -> Market:
    for one in found:
        assert isinstance(one.event, PricesObserved)
        into.observe(one.event)
    return into


def same(one: Market, other: Market) -> None:
    for name in ("price", "price_time", "price_session", "close", "close_session", "returns"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.session, one.closed_at) == (other.session, other.closed_at)


def covered(found: Sequence[Arrived]) -> list[tuple[int, int]]:
    return [
        (one.raw.offset if one.first_offset is None else one.first_offset, one.raw.offset)
        for one in found
    ]


_prices = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from([None, 10.0, 11.0, 12.0]), min_size=1
)
_messages = st.lists(
    st.tuples(_prices, st.integers(0, 12), st.sampled_from(["quote"] * 6 + ["bar", "close"])),
    max_size=20,
)
_known = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([1.0, 2.0]), st.integers(0, 12)), max_size=4
)


def messages(given_ones: Sequence[tuple[dict[str, float | None], int, str]]) -> list[Arrived]:
    fields: dict[str, dict[str, Any]] = {
        "quote": {}, "bar": {"kind": "bar"}, "close": {"kind": "bar", "session_close": True}
    }  # fmt: skip
    return [
        arrived(offset, at, prices, **fields[kind])
        for offset, (prices, at, kind) in enumerate(given_ones)
    ]


@law(200)
@given(_messages, _known)
def test_the_market_ends_with_the_same_prices_times_and_returns(
    given_ones: list[tuple[dict[str, float | None], int, str]],
    known: list[tuple[str, float, int]],
) -> None:
    whole = messages(given_ones)
    found = list(conflated(whole))
    same(folded(found, market(known)), folded(whole, market(known)))


@law(200)
@given(_messages)
def test_offsets_are_covered_once_each_in_order_and_events_are_the_producers_own(
    given_ones: list[tuple[dict[str, float | None], int, str]],
) -> None:
    whole = messages(given_ones)
    found = list(conflated(whole))
    ranges = covered(found)
    assert [n for first, last in ranges for n in range(first, last + 1)] == list(range(len(whole)))
    assert all(one.event == whole[one.raw.offset].event for one in found)


@law(200)
@given(_messages, _known, st.data())
def test_taking_up_again_anywhere_with_other_borders_ends_with_the_same_prices(
    given_ones: list[tuple[dict[str, float | None], int, str]],
    known: list[tuple[str, float, int]],
    data: st.DataObject,
) -> None:
    whole = messages(given_ones)
    cut = data.draw(st.integers(0, len(whole)))
    again = data.draw(st.integers(0, cut))
    heard, mark = [], -1
    for one in [*conflated(whole[:cut]), *conflated(whole[again:])]:
        if one.raw.offset > mark:  # as the engine judges repeats
            mark = one.raw.offset
            heard.append(one)
    same(folded(heard, market(known)), folded(whole, market(known)))


def test_snapshots_of_all_names_become_the_last_one() -> None:
    whole = [arrived(n, n, dict.fromkeys(NAMES, 10.0 + n)) for n in range(50)]
    found = list(conflated(whole))
    assert covered(found) == [(0, 49)]
    routed = enter(found[0].raw, found[0].event, shards=1, first_offset=found[0].first_offset)
    assert not isinstance(routed, DeadLetter)
    stamp = decode_journal(routed.entry).stamp
    assert (stamp.first_offset, stamp.offset) == (0, 49)


def test_a_price_never_becomes_newer_than_it_is() -> None:
    whole = [arrived(0, 1, {"A": 10.0}), arrived(1, 9, {"B": 5.0})]
    assert list(conflated(whole)) == whole
    # Another partition's price of A, from between: a restamped A would have hidden it.
    between = market([("A", 11.0, 5)])
    assert folded(list(conflated(whole)), between).price_of("A") == 11.0


def test_of_two_prices_at_one_moment_both_are_heard() -> None:
    whole = [arrived(0, 1, {"A": 10.0}), arrived(1, 1, {"A": 11.0})]
    assert list(conflated(whole)) == whole


def test_runs_end_at_what_is_no_plain_quote() -> None:
    for fields in ({"kind": "bar"}, {"volume": [1.0]}, {"appended": 0}, {"event_id": "e0"}):
        whole = [
            arrived(0, 1, {"A": 10.0}), arrived(1, 2, {"A": 11.0}, **fields),
            arrived(2, 3, {"A": 12.0}),
        ]  # fmt: skip
        assert covered(list(conflated(whole)))[0] == (0, 0), fields


def test_runs_end_where_an_offset_is_somebody_elses() -> None:
    whole = [arrived(0, 1, {"A": 10.0}), arrived(2, 2, {"A": 11.0})]
    assert list(conflated(whole)) == whole


def test_runs_end_where_time_goes_back() -> None:
    whole = [arrived(0, 5, {"A": 10.0}), arrived(1, 2, {"A": 11.0}), arrived(2, 3, {"A": 12.0})]
    assert covered(list(conflated(whole))) == [(0, 0), (1, 2)]

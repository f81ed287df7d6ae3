from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from projections.redis.values import ActiveSignals, Change, latest
from projections.rows import (
    AsOf,
    HoldingRow,
    IncidentRow,
    PortfolioViewRow,
    Row,
    SignalRow,
    SignalVerdictRow,
)
from tests.journals import law
from tests.support.projected import batches, busy_log, everything


def issued(position: int, name: str = "s", *, shard: int = 0) -> SignalRow:
    return SignalRow(AsOf(shard, position), "a", name, "x", "ABC", 1, 1, 0.5, None, 0.5, None, None)


def ended(position: int, seq: int, name: str = "s", verdict: str = "expired") -> SignalVerdictRow:
    return SignalVerdictRow(AsOf(0, seq), position, "a", name, "ABC", verdict, "time", "", 1)


def kinds(changes: list[Change]) -> list[tuple[str, str]]:
    return [(one.kind, one.field) for one in changes]


def test_an_issued_signal_is_active_until_a_later_record_closes_it() -> None:
    active = ActiveSignals()
    assert kinds(active.changes([issued(5)])) == [("add", "a/s@0:5")]
    assert kinds(active.changes([ended(9, 1)])) == [("remove", "a/s@0:5")]
    assert active.changes([ended(9, 1)]) == []


def test_a_signal_refused_at_its_own_record_goes_and_the_one_it_repeats_stays() -> None:
    active = ActiveSignals()
    active.changes([issued(5), issued(8)])
    assert kinds(active.changes([ended(8, 1, verdict="rejected")])) == [("remove", "a/s@0:8")]
    assert kinds(active.changes([ended(20, 2)])) == [("remove", "a/s@0:5")]


def test_a_signal_whose_id_is_used_again_supersedes_itself_and_stays() -> None:
    active = ActiveSignals()
    active.changes([issued(5)])
    changes = active.changes([issued(8), ended(8, 1)])
    assert kinds(changes) == [("add", "a/s@0:8"), ("remove", "a/s@0:5")]


def test_a_refusal_of_something_else_closes_nothing() -> None:
    active = ActiveSignals()
    active.changes([issued(5)])
    assert active.changes([ended(6, 1, verdict="rejected")]) == []


def test_a_quarantined_signal_is_not_active() -> None:
    active = ActiveSignals()
    active.changes([issued(5), issued(6, "t")])
    row = IncidentRow(AsOf(0, 3), 5, "quarantined", "SignalIssued", "s", None, "boom", 1)
    assert kinds(active.changes([row])) == [("remove", "a/s@0:5")]


def test_what_a_batch_adds_and_removes_is_left_out() -> None:
    assert ActiveSignals().changes([issued(5), ended(6, 1)]) == []


def test_what_was_loaded_can_be_closed() -> None:
    active = ActiveSignals()
    active.load("a", "s", "ABC", AsOf(0, 5))
    assert kinds(active.changes([ended(9, 1)])) == [("remove", "a/s@0:5")]


@law(20)
@given(st.integers(1, 300))
def test_active_signals_do_not_depend_on_the_batches(rows_max: int) -> None:
    log = busy_log()
    whole, parts = ActiveSignals(), ActiveSignals()
    whole.changes(everything(batches(log))[0])
    held: dict[str, Change] = {}
    for batch in batches(log, rows_max=rows_max):
        for change in parts.changes(batch.rows):
            if change.kind == "add":
                held[change.field] = change
            else:
                del held[change.field]
    assert parts._places == whole._places
    assert {one.field for one in whole._places.values()} == set(held)


def view(seq: int, name: str = "p", nav: str = "10.50") -> PortfolioViewRow:
    zero = Decimal(0)
    return PortfolioViewRow(AsOf(0, seq), name, seq, Decimal(nav), zero, 0.0, 0.0, 0, zero, zero, 0)


def held(seq: int, instrument: str) -> HoldingRow:
    return HoldingRow(AsOf(0, seq), "p", instrument, seq, Decimal("1.25"), None, 0.5)


def test_the_newest_view_has_its_own_holdings_and_exact_money() -> None:
    rows: list[Row] = [view(7), held(7, "B"), view(3), held(3, "A")]
    [change] = latest(rows)
    assert (change.kind, change.name, change.field, change.as_of) == (
        "latest", "portfolio_views", "p", AsOf(0, 7),
    )  # fmt: skip
    value = from_json(change.value)
    assert value["nav"] == "10.50"
    assert value["as_of"] == [0, 7]
    assert value["holdings"] == [
        {
            "instrument": "B", "quantity": "1.25", "price": None, "weight": 0.5, "cost": None,
            "unrealised": None,
        }
    ]  # fmt: skip


def test_the_newest_decision_of_each_portfolio_has_its_trades() -> None:
    rows, _ = everything(batches(busy_log()))
    found = {one.field: from_json(one.value) for one in latest(rows) if one.name == "decisions"}
    assert len(found) > 1
    for name, value in found.items():
        assert value["portfolio"] == name
        assert "trade_id" in (value["trades"] or [{"trade_id": ""}])[0]

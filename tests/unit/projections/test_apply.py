from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

from projections import VIEWS, AsOf, apply, frames, rows
from projections.rows import (
    ConflictRow,
    DecisionRow,
    FillRow,
    RoundRow,
    SignalRow,
    TradeEndRow,
    TradeRow,
)
from schemas.entries import GENESIS, decode_journal, decode_output, encode_output
from tests.support.planted_run import HOSTILE, planted_run
from tests.unit.replay.planted import allocation, closed

LOG = planted_run()


def test_every_row_is_stamped_with_its_own_shard_and_seq() -> None:
    for record in LOG.read("decisions", 1):
        entry = decode_output(record.payload)
        made = apply(entry, AsOf(1, entry.seq))
        assert made
        assert {row.as_of for row in made} == {AsOf(1, entry.seq)}


def test_same_entry_gives_the_same_rows() -> None:
    for record in LOG.read("decisions", 0):
        entry = decode_output(record.payload)
        assert apply(entry, AsOf(0, 1)) == apply(entry, AsOf(0, 1))


def test_prices_give_no_row() -> None:
    for record in LOG.read("journal", 0):
        entry = decode_journal(record.payload)
        if type(entry.event).__name__ == "PricesObserved":
            assert apply(entry, AsOf(0, record.position)) == []


def test_signal_that_stands_in_every_shard_gives_one_row() -> None:
    signals = [row for row in rows(LOG) if isinstance(row, SignalRow)]
    assert sorted(f"{row.source}/{row.signal_id}" for row in signals) == sorted(
        ["alice/s1", "bob/s1", f"{HOSTILE}/s1", "bob/s2", "alice/s3"]
    )


def test_key_columns_identify_each_row_of_the_planted_run() -> None:
    seen = set()
    for row in rows(LOG):
        assert {field.name for field in fields(row)} >= set(row.key)
        mark = (row.view, *(getattr(row, column) for column in row.key))
        assert mark not in seen
        seen.add(mark)


def test_decision_becomes_its_trades_and_the_use_of_its_signals() -> None:
    made = [row for row in rows(LOG) if isinstance(row, DecisionRow | TradeRow)]
    decision, trade = made
    assert isinstance(decision, DecisionRow)
    assert isinstance(trade, TradeRow)
    assert (decision.rung, decision.trades, decision.signals) == ("solved", 1, 3)
    assert (trade.decision_id, trade.quantity) == ("main:1", Decimal(50))
    assert (decision.priority, decision.valid_until, trade.urgency) == (0.75, None, 0.25)


def test_each_conflict_of_a_round_is_a_row_with_its_place_among_them() -> None:
    found = [row for row in rows(LOG) if isinstance(row, ConflictRow)]
    assert [(row.decision_id, row.ordinal, row.kind, row.severity) for row in found] == [
        ("main:1", 0, "mandate", 0.95),
        ("main:1", 1, "opposite_direction", 0.9),
    ]
    assert len({row.as_of for row in found}) == 1


def test_round_without_value_is_told_as_one() -> None:
    entry = decode_output(encode_output(0, 0, 0, GENESIS, closed(outcome="no_value")))
    [row] = apply(entry, AsOf(0, 0))
    assert isinstance(row, RoundRow)
    assert row.outcome == "no_value"


def test_end_of_validity_is_a_time_where_sessions_are_counted_by_the_clock() -> None:
    until = allocation().model_copy(update={"valid_until": 1_700_000_000_000_000_000})
    [row] = apply(decode_output(encode_output(0, 0, 0, GENESIS, until)), AsOf(0, 0))
    assert isinstance(row, DecisionRow)
    assert row.valid_until == 1_700_000_000_000_000_000


def test_parts_of_a_fill_stay_apart_and_money_stays_exact() -> None:
    fills = [row for row in rows(LOG) if isinstance(row, FillRow)]
    assert [row.complete for row in fills] == [False, True]
    assert {row.fee for row in fills} == {Decimal("0.1")}


def test_trades_end_by_cancelling_or_by_expiring() -> None:
    ends = {row.trade_id: row.outcome for row in rows(LOG) if isinstance(row, TradeEndRow)}
    assert ends == {"main:1:OLD": "cancelled", "main:1:ABC": "expired"}


def test_frames_have_one_frame_per_view_even_when_empty() -> None:
    made = frames(LOG)
    assert list(made) == [kind.view for kind in VIEWS]
    assert made["withdrawals"].is_empty()
    assert made["withdrawals"].columns[:2] == ["as_of_shard", "as_of_seq"]
    assert made["signal_uses"]["verdict"].to_list() == ["followed", "outvoted", "limited"]
    assert made["fills"]["price"].to_list() == [11.01, 11.01]

from __future__ import annotations

from decimal import Decimal

from projections.rows import AsOf, FillRow, TradeEndRow, TradeRow
from replay.report.trades import Trades, Unfilled

HERE = AsOf(0, 0)


def decided(trade_id: str, portfolio: str = "p") -> TradeRow:
    return TradeRow(
        as_of=HERE, trade_id=trade_id, decision_id=f"{portfolio}:1", portfolio=portfolio,
        instrument="A", decided_at=1, quantity=Decimal(10), price=1.0, weight=0.1, cost=0.0,
        urgency=0.0,
    )  # fmt: skip


def fill(trade_id: str, *, complete: bool) -> FillRow:
    return FillRow(
        as_of=HERE, event_id=f"f-{trade_id}", portfolio="p", instrument="A", trade_id=trade_id,
        event_time=2, quantity=Decimal(5), price=Decimal(1), fee=Decimal(0), complete=complete,
    )  # fmt: skip


def end(trade_id: str, outcome: str) -> TradeEndRow:
    return TradeEndRow(HERE, trade_id, "p", outcome, "", 3)


def counted(*rows: TradeRow | FillRow | TradeEndRow) -> Trades:
    trades = Trades()
    for row in rows:
        trades.add(row)
    return trades


def test_every_trade_has_one_fate_whichever_row_comes_first() -> None:
    trades = counted(
        fill("a", complete=False), fill("a", complete=True), decided("a"),
        decided("b"), fill("b", complete=False), end("b", "expired"),
        decided("c"), end("c", "expired"), decided("d"), end("d", "cancelled"), decided("e"),
    )  # fmt: skip
    assert trades.fates() == (
        ("filled", 1), ("filled in part", 1), ("cancelled", 1), ("expired", 1), ("open", 1),
    )  # fmt: skip
    assert trades.decided == 5


def test_trade_that_expired_and_was_filled_after_all_is_filled() -> None:
    trades = counted(decided("a"), end("a", "expired"), fill("a", complete=True))
    assert trades.fates() == (("filled", 1),)


def test_answers_to_trades_that_nobody_decided_are_not_counted() -> None:
    assert counted(fill("x", complete=True), end("y", "cancelled")).fates() == ()


def test_portfolio_without_any_fill_is_named_with_what_became_of_its_trades() -> None:
    trades = counted(
        decided("a", "filled"), fill("a", complete=False),
        decided("b", "never"), end("b", "expired"), decided("c", "never"),
    )  # fmt: skip
    assert trades.unfilled() == (Unfilled("never", 2, (("expired", 1), ("open", 1))),)

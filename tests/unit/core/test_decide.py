"""A decision and what follows: open trades count, expire, and fills that come late count too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from schemas.decisions import (
    AllocationDecided,
    PortfolioViewUpdated,
    RoundClosed,
    TradesExpired,
)
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run

AT = T0 + HOUR


def days(make: Inputs, **mandate: Any) -> list[Input]:
    terms = {"position_max": 0.5, **mandate}
    made = [make.listed("A"), make.registered("s"), make.registered("u")]
    made.append(make.opened("p", mandate=terms, mode="aggressive"))
    return [*made, make.close({"A": 10.0}, T0 + SECOND)]


def strong(make: Inputs, at: int, source: str = "s", **fields: Any) -> Input:
    return make.signal(source, "A", at, strength=0.9, confidence=1.0, **fields)


def decided(inputs: list[Input], end: int = T0 + 9 * DAY) -> list[AllocationDecided]:
    return events_of(run(inputs, end=end), AllocationDecided)


def test_a_second_round_before_the_fills_does_not_trade_twice() -> None:
    make = Inputs()
    base = days(make)
    first, second = decided([*base, strong(make, AT), strong(make, AT + SECOND)])
    assert first.trades[0].quantity > 100
    assert second.trades == ()
    assert second.targets[0].quantity == first.targets[0].quantity
    assert second.before.gross == pytest.approx(first.after.gross)


def test_a_filled_trade_is_a_position_and_no_open_trade_any_more() -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, strong(make, AT)]
    (trade,) = decided(inputs)[0].trades
    fill = make.fill("p", "A", str(trade.quantity), "10", AT + SECOND, trade_id=trade.trade_id)
    log = run([*inputs, fill, strong(make, AT + 2 * SECOND)], end=AT + HOUR)
    _, second = events_of(log, AllocationDecided)
    assert second.targets[0].quantity == trade.quantity
    views = events_of(log, PortfolioViewUpdated)
    assert [(v.open_trades, len(v.holdings)) for v in views] == [(1, 0), (0, 1)]
    assert abs(sum(float(t.quantity) for t in second.trades)) <= 1


def test_a_part_filled_trade_counts_with_what_is_left_of_it() -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, strong(make, AT)]
    (trade,) = decided(inputs)[0].trades
    half = str((trade.quantity / 2).to_integral_value())
    part = make.fill("p", "A", half, "10", AT + SECOND, partly=True, trade_id=trade.trade_id)
    second = decided([*inputs, part, strong(make, AT + 2 * SECOND)])[1]
    assert second.targets[0].quantity - sum(t.quantity for t in second.trades) == trade.quantity


@pytest.mark.parametrize("sessions", [1, 2])
def test_trades_expire_at_the_close_of_their_last_session_and_are_decided_anew(
    sessions: int,
) -> None:
    make = Inputs()
    base = days(make, valid_sessions=sessions)
    inputs = [*base, strong(make, AT)]
    inputs += [make.close({"A": 10.0}, T0 + n * DAY) for n in (1, 2, 3)]
    later = strong(make, T0 + 4 * DAY)
    log = run([*inputs, later], end=T0 + 5 * DAY)
    (expired, *_) = events_of(log, TradesExpired)
    first, second = events_of(log, AllocationDecided)
    assert expired.decided_at == T0 + sessions * DAY
    assert expired.trade_ids == (first.trades[0].trade_id,)
    assert second.trades[0].quantity > 100


def test_trades_expire_by_the_clock_where_sessions_are_the_clocks() -> None:
    make = Inputs()
    clock = {"sessions": "clock", "session_ms": 3_600_000}
    change = make.make("control", "ParametersChanged", T0, parameters=clock)
    log = run([change, *days(make), strong(make, AT)], end=T0 + DAY)
    (decision,) = events_of(log, AllocationDecided)
    (expired,) = events_of(log, TradesExpired)
    assert expired.decided_at == decision.valid_until == decision.decided_at + HOUR


def test_a_fill_after_the_expiry_still_counts() -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, strong(make, AT), make.close({"A": 10.0}, T0 + DAY)]
    (trade,) = decided(inputs)[0].trades
    late = T0 + 2 * DAY
    fill = make.fill("p", "A", str(trade.quantity), "10", late, trade_id=trade.trade_id)
    log = run([*inputs, fill], end=T0 + 4 * DAY)
    last = events_of(log, PortfolioViewUpdated)[-1]
    assert last.holdings[0].quantity == trade.quantity
    assert last.open_trades == 0


@pytest.mark.parametrize("what", ["OrderCancelled", "OrderRejected"])
def test_a_trade_that_comes_to_nothing_is_decided_anew(what: str) -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, strong(make, AT)]
    (trade,) = decided(inputs)[0].trades
    about = {"portfolio": "p", "instrument": "A", "trade_id": trade.trade_id}
    over = make.make("orders", what, AT + SECOND, **about)
    second = decided([*inputs, over, strong(make, AT + 2 * SECOND)])[1]
    assert second.trades[0].quantity == trade.quantity


def test_a_round_without_prices_or_without_anything_says_so() -> None:
    make = Inputs()
    bare = [make.listed("A"), make.registered("s"), make.opened("p")]
    log = run([*bare, make.signal("s", "A", AT)], end=AT + DAY)
    (nothing,) = events_of(log, RoundClosed)
    assert (nothing.outcome, nothing.signals_dropped) == ("nothing_to_do", ("s/signals-1-0",))
    make = Inputs()
    bare = [make.listed("A"), make.registered("s"), make.opened("p")]
    held = make.fill("p", "A", "5", "10", AT)
    (blind,) = events_of(run([*bare, held, make.signal("s", "A", AT)], end=AT + DAY), RoundClosed)
    assert blind.outcome == "no_prices"


def test_a_position_whose_view_ended_is_still_judged_and_can_be_sold_whole() -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, make.fill("p", "A", "123.5", "10", AT)]
    sell = make.signal("s", "A", AT + SECOND, direction=-1, confidence=1.0)
    (decision,) = decided([*inputs, sell])
    assert decision.trades[0].quantity == Decimal("-123.5")
    assert decision.targets[0].quantity == 0


def test_a_closed_view_counts_no_more() -> None:
    for end in ({"direction": 0}, {"expires_at": AT + HOUR}):
        make = Inputs()
        base = days(make)
        opened = make.signal("s", "A", AT)
        closed = make.signal("s", "A", AT + SECOND, **({"direction": 1} | end))
        other = make.signal("u", "A", AT + 2 * HOUR)
        last = decided([*base, opened, closed, other])[-1]
        assert [use.signal for use in last.signals] == ["u/signals-2-0"]


def test_verdicts_follow_what_the_decision_did() -> None:
    make = Inputs()
    base = days(make)
    against = make.signal("u", "A", AT + 1, direction=-1, strength=0.1, confidence=0.1)
    (decision,) = decided([*base, strong(make, AT), against])
    found = {use.signal.partition("/")[0]: use.verdict for use in decision.signals}
    assert found == {"s": "followed", "u": "outvoted"}

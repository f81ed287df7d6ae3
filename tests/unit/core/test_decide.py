"""A decision and what follows: open trades count, expire, and fills that come late count too."""

from __future__ import annotations

from decimal import ROUND_UP, Context, Decimal, localcontext
from typing import Any

import pytest

from schemas.books import PortfolioViewUpdated
from schemas.decisions import (
    AllocationDecided,
    ConflictsDetected,
    RoundClosed,
    TradesExpired,
)
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, outputs, run

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
    fill = make.fill("p", "A", f"{trade.quantity:f}", "10", AT + SECOND, trade_id=trade.trade_id)
    log = run([*inputs, fill, strong(make, AT + 2 * SECOND)], end=AT + HOUR)
    _, second = events_of(log, AllocationDecided)
    assert second.targets[0].quantity == trade.quantity
    views = events_of(log, PortfolioViewUpdated)
    after_fill = (0, 1)
    assert [(v.open_trades, len(v.holdings)) for v in views] == [(1, 0), after_fill, after_fill]
    assert abs(sum(float(t.quantity) for t in second.trades)) <= 1


def test_a_part_filled_trade_counts_with_what_is_left_of_it() -> None:
    make = Inputs()
    base = days(make)
    inputs = [*base, strong(make, AT)]
    (trade,) = decided(inputs)[0].trades
    half = f"{(trade.quantity / 2).to_integral_value():f}"
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
    fill = make.fill("p", "A", f"{trade.quantity:f}", "10", late, trade_id=trade.trade_id)
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


def test_a_decision_within_a_session_is_filled_at_its_close_before_it_expires() -> None:
    make = Inputs()
    inputs = [*days(make), strong(make, AT), make.close({"A": 10.0}, T0 + DAY)]
    (trade,) = decided(inputs)[0].trades
    fill = make.fill("p", "A", f"{trade.quantity:f}", "10", T0 + DAY, trade_id=trade.trade_id)
    log = run([*inputs, fill], end=T0 + 2 * DAY)
    assert events_of(log, TradesExpired) == []
    last = events_of(log, PortfolioViewUpdated)[-1]
    assert (last.holdings[0].quantity, last.open_trades) == (trade.quantity, 0)


def test_a_part_filled_at_the_close_expires_with_the_rest_of_it() -> None:
    make = Inputs()
    inputs = [*days(make), strong(make, AT), make.close({"A": 10.0}, T0 + DAY)]
    (trade,) = decided(inputs)[0].trades
    fill = make.fill("p", "A", "1", "10", T0 + DAY, trade_id=trade.trade_id, partly=True)
    (expired,) = events_of(run([*inputs, fill], end=T0 + 2 * DAY), TradesExpired)
    assert (expired.decided_at, expired.trade_ids) == (T0 + DAY, (trade.trade_id,))


def test_a_decision_at_a_close_begins_without_the_trades_that_ended_there() -> None:
    make = Inputs()
    inputs = [*days(make), strong(make, AT, horizon_sessions=9.0)]
    daily = make.opened("d", T0, mode="aggressive", schedule={"kind": "session_close"})
    closes = [make.close({"A": 10.0}, T0 + n * DAY) for n in (1, 2)]
    found = [e for e in decided([*inputs, daily, *closes]) if e.portfolio == "d"]
    assert [e.before.gross for e in found] == [0.0, 0.0]
    assert all(e.trades for e in found)


def test_another_currency_is_left_out_and_its_signals_are_named() -> None:
    make = Inputs()
    inputs = [*days(make), make.listed("E", currency="EUR"), make.prices({"E": 9.0}, T0 + SECOND)]
    inputs += [make.signal("s", "E", AT, confidence=1.0, horizon_sessions=40.0), strong(make, AT)]
    log = run(inputs, end=T0 + DAY)
    (closed,) = events_of(log, RoundClosed)
    assert closed.signals_dropped == ("s/signals-1-0",)
    (decision,) = events_of(log, AllocationDecided)
    assert [target.instrument for target in decision.targets] == ["A"]
    assert decision.horizon_sessions == 5.0


def test_neither_no_opinion_nor_an_unpriced_name_moves_the_horizon() -> None:
    make = Inputs()
    inputs = [*days(make), make.listed("X"), make.registered("v"), make.registered("w")]
    inputs += [make.signal("u", "X", AT, horizon_sessions=90.0)]
    inputs += [make.signal("v", "A", AT, direction=0, horizon_sessions=90.0)]
    inputs += [strong(make, AT, "w", horizon_sessions=7.0)]
    (decision,) = decided(inputs)
    assert decision.horizon_sessions == 7.0


@pytest.mark.parametrize(
    ("held", "price", "outcome"),
    [(False, 10.0, "no_value"), (True, 7.0, "no_value"), (True, None, "no_prices")],
)
def test_a_round_without_value_is_told_from_one_without_prices(
    held: bool, price: float | None, outcome: str
) -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.opened("p", cash="0")]
    inputs += [make.fill("p", "A", "5", "8", T0)] if held else []
    inputs += [make.prices({"A": price}, T0)] if price else []
    (closed,) = events_of(run([*inputs, make.signal("s", "A", AT)], end=T0 + DAY), RoundClosed)
    assert (closed.outcome, closed.signals_dropped) == (outcome, ("s/signals-1-0",))


@pytest.mark.parametrize(("least", "verdict"), [(0.0, "followed"), (-0.0001, "limited")])
def test_a_sale_of_nothing_is_followed_only_where_nothing_may_be_short(
    least: float, verdict: str
) -> None:
    make = Inputs()
    inputs = days(make, position_min=least, trade_min=0.01)
    (decision,) = decided([*inputs, make.signal("s", "A", AT, direction=-1, confidence=1.0)])
    assert decision.trades == ()
    assert [use.verdict for use in decision.signals] == [verdict]


def test_a_trade_is_the_more_urgent_the_sooner_its_opinions_come_true() -> None:
    found = []
    for horizon in (1.0, 5.0, 20.0):
        make = Inputs()
        (decision,) = decided([*days(make), strong(make, AT, horizon_sessions=horizon)])
        found.append(decision.trades[0].urgency)
        assert 0.0 < decision.priority < 1.0
        assert decision.valid_until is None
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[2] > 0.0


def test_what_ends_a_breach_is_most_urgent() -> None:
    make = Inputs()
    inputs = days(make, position_max=0.1)
    inputs += [make.fill("p", "A", "9500", "10", AT), make.close({"A": 14.0}, T0 + DAY)]
    (decision,) = decided(inputs)
    assert (decision.priority, [t.urgency for t in decision.trades]) == (1.0, [1.0])


@pytest.mark.parametrize("context", [Context(prec=8), Context(rounding=ROUND_UP, prec=3)])
def test_the_ambient_decimal_context_changes_nothing(context: Context) -> None:
    make = Inputs()
    base = [*days(make), make.listed("F", lot="0"), make.prices({"F": 3.3333}, T0 + SECOND)]
    base.append(make.fill("p", "A", "1234.12345678", "10.12345678", AT))
    base += [make.signal("s", "F", AT, confidence=1.0), strong(make, AT, direction=-1)]
    usual = run(base, end=T0 + DAY)
    trade = events_of(usual, AllocationDecided)[0].trades[-1]
    against = make.fill(
        "p", "F", "-0.00000001", "3.3333", AT + SECOND, trade_id=trade.trade_id, partly=True
    )
    inputs = [*base, against, make.signal("u", "F", AT + HOUR, confidence=1.0)]
    usual = run(inputs, end=T0 + DAY)
    with localcontext(context):
        strange = run(inputs, end=T0 + DAY)
    assert trade.instrument == "F"
    assert [e.hash for e in outputs(strange)] == [e.hash for e in outputs(usual)]


def disputed(make: Inputs, *, conflicts_max: int) -> list[Input]:
    """Two names, each bought by one source and sold by the other, one of them more surely."""
    made = [make.listed("A"), make.listed("B"), make.registered("s"), make.registered("u")]
    parameters = {"conflicts_max": conflicts_max, "conflict_severity_min": 0.0}
    made.append(make.make("control", "ParametersChanged", T0, parameters=parameters))
    made.append(make.opened("p", mandate={"position_max": 0.5}, mode="aggressive"))
    made.append(make.close({"A": 10.0, "B": 10.0}, T0 + SECOND))
    for name, strength in (("A", 0.2), ("B", 0.9)):
        for source, direction in (("s", 1), ("u", -1)):
            wish = {"direction": direction, "strength": strength, "confidence": 1.0}
            made.append(make.signal(source, name, AT, **wish))
    return made


@pytest.mark.parametrize("conflicts_max", [1, 200])
def test_a_round_tells_its_conflicts_in_one_event_the_most_severe_first(conflicts_max: int) -> None:
    log = run(disputed(Inputs(), conflicts_max=conflicts_max), end=AT + HOUR)
    (told,) = events_of(log, ConflictsDetected)
    (books,) = events_of(log, RoundClosed)
    assert books.conflicts >= 2
    assert books.conflicts_reported == len(told.conflicts) == min(conflicts_max, books.conflicts)
    assert told.decision_id == books.decision_id
    assert told.conflicts[0].instruments == ("B",)
    severities = [line.severity for line in told.conflicts]
    assert severities == sorted(severities, reverse=True)


@pytest.mark.parametrize("opposed", [False, True])
def test_a_round_without_a_reported_conflict_says_nothing_of_conflicts(*, opposed: bool) -> None:
    make = Inputs()
    inputs = disputed(make, conflicts_max=0) if opposed else [*days(make), strong(make, AT)]
    log = run(inputs, end=AT + HOUR)
    (books,) = events_of(log, RoundClosed)
    assert (books.conflicts > 0, books.conflicts_reported) == (opposed, 0)
    assert events_of(log, ConflictsDetected) == []

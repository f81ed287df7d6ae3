"""Intake: every reason for which an input does not count, and what still does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.core.ports import Append
from coordinator.core.route import Router
from coordinator.log.memory import MemoryLog
from schemas.entries import Stamp, encode_journal
from schemas.journal import SignalsShed
from schemas.verdicts import InputRejected, InputRejection, SignalRejected, SignalRejection
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    events_of,
    lay,
    owners,
    run,
    zero_clock,
)

NOON = T0 + 12 * HOUR
S, R = SignalRejection, InputRejection


def usual(make: Inputs) -> list[Input]:
    made = [make.listed("A"), make.registered("s", strategies=["s"]), make.opened("p")]
    return [*made, make.close({"A": 10.0}, T0 + SECOND)]


def after(*makes: Callable[[Inputs], Input]) -> list[Input]:
    make = Inputs()
    return usual(make) + [one(make) for one in makes]


def signal(**fields: Any) -> Callable[[Inputs], Input]:
    terms: dict[str, Any] = {"source": "s", "instrument": "A", "at": NOON} | fields
    return lambda make: make.signal(**terms)


def other(topic: str, event: str, /, **fields: Any) -> Callable[[Inputs], Input]:
    terms = {"at": NOON} | fields
    at = terms.pop("at")
    return lambda make: make.make(topic, event, at, **terms)


MUTE = other("control", "StrategyMuted", source="s")
SIGNAL_CASES: dict[SignalRejection, tuple[Callable[[Inputs], Input], ...]] = {
    S.UNKNOWN_SOURCE: (signal(source="ghost"),),
    S.UNKNOWN_STRATEGY: (signal(strategy="x"),),
    S.UNKNOWN_INSTRUMENT: (signal(instrument="X"),),
    S.DUPLICATE: (signal(event_id="1"), signal(event_id="1", direction=-1)),
    S.STALE: (signal(event_time=NOON - 8 * DAY),),
    S.FUTURE: (signal(event_time=NOON + 6 * SECOND),),
    S.EXPIRED: (signal(expires_at=NOON),),
    S.MUTED: (MUTE, signal()),
    S.SUPERSEDED: (signal(), signal(event_time=NOON - SECOND)),
    S.OUT_OF_RANGE: (signal(horizon_sessions=2_001.0),),
    S.PRICE_AWAY: (signal(price=12.1),),
    S.CONTRADICTORY: (signal(), signal(direction=-1)),
    S.UNKNOWN_SIGNAL: (other("signals", "SignalWithdrawn", source="s", signal_id="x"),),
}


@pytest.mark.parametrize("reason", SIGNAL_CASES, ids=str)
def test_a_signal_that_does_not_count_says_why(reason: SignalRejection) -> None:
    log = run(after(*SIGNAL_CASES[reason]), end=NOON + HOUR)
    assert [event.reason for event in events_of(log, SignalRejected)] == [reason]


def test_an_unknown_source_is_told_what_to_do() -> None:
    (event,) = events_of(run(after(signal(source="ghost"))), SignalRejected)
    assert event.detail == "register it on control first: SourceRegistered"


@pytest.mark.parametrize(
    "fields",
    [
        {"event_time": NOON - 6 * DAY},
        {"event_time": NOON + 4 * SECOND},
        {"expires_at": NOON + 1},
        {"direction": 0},
        {"horizon_sessions": 2_000.0},
        {"price": 11.9},
    ],
)
def test_a_signal_just_inside_every_bound_counts(fields: dict[str, Any]) -> None:
    assert events_of(run(after(signal(**fields))), SignalRejected) == []


CASH = {"portfolio": "p", "amount": "1", "currency": "USD"}
OPENED = {"portfolio": "p", "currency": "USD", "cash": "1"}
FILL = {"portfolio": "p", "instrument": "A", "quantity": "1", "price": "1"}
PAIR = "EUR/USD"
OLD = {
    "instrument": "A", "kind": "dividend", "amount": "1", "effective_at": NOON,
    "event_time": NOON - 8 * DAY,
}  # fmt: skip
TWICE = {
    "portfolio": "p", "as_of": NOON, "positions": [{"instrument": "A", "quantity": "1"}] * 2,
}  # fmt: skip
CASH_TWICE = {
    "portfolio": "p", "as_of": NOON, "positions": [], "cash": "1",
    "balances": [{"currency": "USD", "amount": "1"}],
}  # fmt: skip


def RATE(make: Inputs) -> Input:
    return make.rate(PAIR, 1.1, NOON)


CLOSED = other("portfolios", "PortfolioClosed", portfolio="p")
INPUT_CASES: list[tuple[InputRejection, tuple[Callable[[Inputs], Input], ...]]] = [
    (R.UNKNOWN_PORTFOLIO, (other("portfolios", "CashMoved", **CASH | {"portfolio": "x"}),)),
    (R.UNKNOWN_PORTFOLIO, (other("orders", "OrderFilled", **FILL | {"portfolio": "x"}),)),
    (R.UNKNOWN_PORTFOLIO, (other("control", "CoordinationPaused", portfolio="x"),)),
    (R.PORTFOLIO_EXISTS, (other("portfolios", "PortfolioOpened", **OPENED),)),
    (R.PORTFOLIO_CLOSED, (CLOSED, other("portfolios", "CashMoved", **CASH))),
    (R.PORTFOLIO_CLOSED, (CLOSED, other("portfolios", "PortfolioClosed", portfolio="p"))),
    (R.UNKNOWN_INSTRUMENT, (other("orders", "OrderFilled", **FILL | {"instrument": "X"}),)),
    (R.UNKNOWN_INSTRUMENT, (other("market", "InstrumentHalted", instrument="X"),)),
    (R.UNKNOWN_INSTRUMENT, (lambda make: make.prices({"X": 1.0}, NOON),)),
    (R.UNKNOWN_SOURCE, (other("control", "StrategyMuted", source="x"),)),
    (R.UNKNOWN_MODE, (lambda make: make.opened("q", NOON, mode="wild"),)),
    (R.UNKNOWN_MODE, (other("portfolios", "MandateChanged", portfolio="p", mandate={}, mode="w"),)),
    (R.UNKNOWN_TRADE, (other("orders", "OrderCancelled", portfolio="p", instrument="A"),)),
    (R.WRONG_CURRENCY, (other("portfolios", "CashMoved", **CASH | {"currency": "EUR"}),)),
    (
        R.WRONG_CURRENCY,
        (other("orders", "OrderFilled", **FILL | {"currency": "EUR"}),),
    ),
    (R.DUPLICATE, (other("portfolios", "CashMoved", event_id="1", **CASH),) * 2),
    (R.STALE, (lambda make: make.prices({"A": 9.0}, NOON, event_time=T0),)),
    (R.FUTURE, (lambda make: make.prices({"A": 9.0}, NOON, event_time=NOON + 6 * SECOND),)),
    (R.TOO_LATE, (other("control", "ParametersChanged", parameters={"sessions": "clock"}),)),
    (R.UNSUPPORTED, (other("market", "RatesObserved", name="r", rate=0.1),)),
    (R.FUTURE, (other("market", "RegimeDeclared", regime="r", event_time=NOON + DAY),)),
    (R.STALE, (other("market", "RegimeDeclared", regime="r", event_time=NOON - 8 * DAY),)),
    (R.OUT_OF_RANGE, (lambda make: make.rate("EUR/USD", -1.0, NOON),)),
    (R.UNKNOWN_INSTRUMENT, (RATE, other("orders", "OrderFilled", **FILL | {"instrument": PAIR}))),
    (R.STALE, (RATE, other("market", "RatesObserved", name=PAIR, rate=1.0, event_time=T0))),
    (R.FUTURE, (other("market", "RatesObserved", name=PAIR, rate=1.0, event_time=NOON + DAY),)),
    (R.UNKNOWN_INSTRUMENT, (lambda make: make.action("X", "dividend", NOON, amount="1"),)),
    (R.UNKNOWN_INSTRUMENT, (lambda make: make.action("A", "spin_off", NOON, ratio="1", into="X"),)),
    (R.INCOMPLETE, (lambda make: make.action("A", "split", NOON),)),
    (R.INCOMPLETE, (lambda make: make.action("A", "spin_off", NOON, ratio="1"),)),
    (R.INCOMPLETE, (lambda make: make.action("A", "redemption", NOON),)),
    (R.CONTRADICTORY, (lambda make: make.action("A", "spin_off", NOON, ratio="1", into="A"),)),
    (R.OUT_OF_RANGE, (lambda make: make.action("A", "split", NOON, ratio="0"),)),
    (R.OUT_OF_RANGE, (lambda make: make.action("A", "split", NOON, ratio="1", per="0"),)),
    (R.OUT_OF_RANGE, (lambda make: make.action("A", "split", NOON, ratio="2", per="5000000"),)),
    (R.CONTRADICTORY, (RATE, lambda make: make.listed(PAIR, NOON, currency="GBP"))),
    (
        R.CONTRADICTORY,
        (
            lambda make: make.listed("A1B/USD", NOON, currency="EUR"),
            lambda make: make.rate("A1B/USD", 2.0, NOON),
        ),
    ),
    (R.WRONG_CURRENCY, (lambda make: make.listed("C", NOON, currency=" US"),)),
    (R.WRONG_CURRENCY, (lambda make: make.opened("q", NOON, currency="U\u202eS"),)),
    (R.STALE, (other("orders", "OrderFilled", **FILL | {"event_time": NOON - 8 * DAY}),)),
    (R.STALE, (other("portfolios", "CashMoved", **CASH | {"event_time": NOON - 8 * DAY}),)),
    (R.STALE, (other("market", "CorporateActionAnnounced", **OLD),)),
    (R.UNKNOWN_PORTFOLIO, (lambda make: make.report("x", {}, NOON),)),
    (R.UNKNOWN_INSTRUMENT, (lambda make: make.report("p", {"X": "1"}, NOON),)),
    (R.FUTURE, (lambda make: make.report("p", {}, NOON, as_of=NOON + 6 * SECOND),)),
    (R.CONTRADICTORY, (other("portfolios", "PositionsReported", **TWICE),)),
    (R.CONTRADICTORY, (other("portfolios", "PositionsReported", **CASH_TWICE),)),
]


@pytest.mark.parametrize(("reason", "makes"), INPUT_CASES)
def test_another_input_that_does_not_count_says_why(
    reason: InputRejection, makes: tuple[Callable[[Inputs], Input], ...]
) -> None:
    log = run(after(*makes))
    assert [event.reason for event in events_of(log, InputRejected)] == [reason]


def test_a_snapshot_with_some_unlisted_names_counts_for_the_others() -> None:
    many = {"A": 11.0} | {f"X{n:02d}": 1.0 for n in range(12)}
    log = run(after(lambda make: make.prices(many, NOON), signal(at=NOON + 1)), end=NOON + HOUR)
    (rejected,) = events_of(log, InputRejected)
    assert rejected.detail.endswith("X09 and 2 more")
    assert rejected.reason is R.UNKNOWN_INSTRUMENT


def test_ids_are_unique_per_producer_not_among_all() -> None:
    same: dict[str, Any] = {"event_id": "1"}
    makes: tuple[Callable[[Inputs], Input], ...] = (
        lambda make: make.registered("u", T0 + SECOND),
        signal(**same),
        lambda make: make.signal("u", "A", NOON, **same),
        lambda make: make.opened("p/q", NOON, **same),
        lambda make: make.opened("p/q/1", NOON, event_id="x"),
        other("portfolios", "CashMoved", **CASH, **same),
        other("portfolios", "CashMoved", **CASH | {"portfolio": "p/q/1"}, **same),
        other("portfolios", "CashMoved", **CASH | {"portfolio": "p"}, event_id="q/1/1"),
        other("signals", "SignalWithdrawn", source="s", signal_id="1", event_id="w"),
        other("signals", "SignalWithdrawn", source="u", signal_id="1", event_id="w"),
    )
    log = run(after(*makes), end=NOON + HOUR)
    assert events_of(log, InputRejected) == []
    assert events_of(log, SignalRejected) == []


def test_an_id_is_forgotten_after_the_lateness_window() -> None:
    parameters = {"lateness_ms_max": 3_600_000}
    makes: tuple[Callable[[Inputs], Input], ...] = (
        other("control", "ParametersChanged", parameters=parameters),
        other("portfolios", "CashMoved", event_id="1", **CASH),
        other("portfolios", "CashMoved", at=NOON + 2 * HOUR, event_id="2", **CASH),
        other("portfolios", "CashMoved", at=NOON + 2 * HOUR, event_id="1", **CASH),
    )
    assert events_of(run(after(*makes)), InputRejected) == []


def test_a_late_fill_of_a_closed_portfolio_still_counts() -> None:
    assert (
        events_of(run(after(CLOSED, other("orders", "OrderFilled", **FILL))), InputRejected) == []
    )


CLOCK = {"sessions": "clock", "session_ms": 3_600_000}


@pytest.mark.parametrize(
    ("first", "then", "reasons"),
    [
        ({}, CLOCK, [R.TOO_LATE]),
        (CLOCK, {}, [R.TOO_LATE]),
        (CLOCK, CLOCK | {"session_ms": 1_000}, [R.TOO_LATE]),
        (CLOCK, CLOCK | {"skill_prior": 0.1}, []),
        ({}, {"session_ms": 1_000}, []),
    ],
)
def test_what_a_session_is_can_not_change_once_something_was_counted_in_it(
    first: dict[str, Any], then: dict[str, Any], reasons: list[InputRejection]
) -> None:
    make = Inputs()
    changes = [make.make("control", "ParametersChanged", T0, parameters=p) for p in (CLOCK, first)]
    inputs = [*changes, make.listed("A"), make.registered("s"), make.signal("s", "A", NOON)]
    later = make.make("control", "ParametersChanged", NOON, parameters=then)
    found = events_of(run([*inputs, later]), InputRejected)
    assert [event.reason for event in found] == reasons


def test_a_price_from_the_future_does_not_shut_out_the_true_ones() -> None:
    makes: tuple[Callable[[Inputs], Input], ...] = (
        lambda make: make.prices({"A": 99.0}, NOON, event_time=NOON + 900 * DAY),
        lambda make: make.close({"A": 11.0}, NOON + SECOND),
    )
    assert [e.reason for e in events_of(run(after(*makes)), InputRejected)] == [R.FUTURE]


def test_an_id_of_a_portfolio_and_the_same_of_a_source_are_two() -> None:
    make = Inputs()
    inputs = [*usual(make), make.registered("p", T0 + SECOND), make.opened("s", T0 + SECOND)]
    inputs.append(make.signal("p", "A", NOON, event_id="1"))
    inputs += [
        make.make("portfolios", "CashMoved", NOON, **CASH | {"portfolio": name}, event_id="1")
        for name in ("p", "s")
    ]
    inputs.append(make.fill("p", "A", "1", "1", NOON, event_id="1"))
    for shards in (1, 3):
        log = run(inputs, shards=shards)
        assert events_of(log, InputRejected, shards=shards) == []
        assert events_of(log, SignalRejected, shards=shards) == []


@pytest.mark.parametrize(
    ("heard", "shed"),
    [(0, ["1", "2", "3", "4"]), (1, ["1", "2", "3", "4"]), (3, ["3", "4"]), (5, [])],
)
def test_of_signals_shed_again_only_those_without_an_answer_are(heard: int, shed: str) -> None:
    """Another router entered `heard` of them before this one shed offsets 1 to 4."""
    make = Inputs()
    log = lay([make.registered("s"), make.listed("A")], MemoryLog(clock=zero_clock), shards=1)
    for number in range(heard):
        signal = make.make(
            "signals", "SignalIssued", T0, source="s", strategy="s", instrument="A", direction=1,
            strength=0.5, event_id=str(number),
        )  # fmt: skip
        Router(log, shards=1).accept([signal.raw], journal_times=[T0])
    partition = make.signal("s", "A", T0).raw.partition
    event = SignalsShed(event_id="x", event_time=T0, source="s", signal_ids=("1", "2", "3", "4"))
    entry = encode_journal(Stamp("signals", "t", partition, 4, T0, 1), event)
    log.append([Append("journal", 0, entry, T0)] * 2)
    owners(log, shards=1)[0].recover()
    found = events_of(log, SignalRejected)
    assert [one.signal_id for one in found if one.reason == "shed"] == list(shed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("calibration_count_prior", 5e-324), ("risk_weight_prior", 5e-324),
        ("risk_volatility_prior", 1e-300), ("risk_volatility_prior", 100.0),
        ("risk_correlation_prior", 0.9999999999999999), ("horizon_sessions_min", 1e6),
    ],
)  # fmt: skip
def test_parameters_that_nothing_can_be_reckoned_with_are_refused(name: str, value: float) -> None:
    make = Inputs()
    changed = make.make("control", "ParametersChanged", T0, parameters={name: value})
    (refused,) = events_of(run([changed], end=T0 + 1), InputRejected)
    assert refused.reason is InputRejection.OUT_OF_RANGE
    assert name in refused.detail

"""Reconciliation: a report against the books of its own moment, and what each policy does."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.log.memory import MemoryLog
from schemas.books import PortfolioReconciled, PortfolioViewUpdated, ReconciliationDiffered
from schemas.decisions import RoundClosed
from schemas.verdicts import AlertRaised, InputRejected, InputRejection
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run
from tests.unit.core.books import D

NOON = T0 + 12 * HOUR


def book(make: Inputs, **fields: Any) -> list[Input]:
    """One thousand less fifty for five A at ten, bought at one o'clock."""
    return [
        make.listed("A"),
        make.listed("B"),
        make.registered("s"),
        make.prices({"A": 10.0, "B": 4.0}, T0),
        make.opened("p", cash="1000", **fields),
        make.fill("p", "A", "5", "10", T0 + HOUR),
    ]


def lines(log: MemoryLog) -> list[tuple[str | None, str | None, Any, Any, str]]:
    return [
        (one.instrument, one.currency, one.folded, one.reported, one.policy)
        for one in events_of(log, ReconciliationDiffered)
    ]


def last(log: MemoryLog) -> PortfolioViewUpdated:
    return events_of(log, PortfolioViewUpdated)[-1]


def test_a_report_that_agrees_says_so_and_nothing_else() -> None:
    make = Inputs()
    log = run([*book(make), make.report("p", {"A": "5"}, NOON, cash="950.004")], end=NOON + DAY)
    (told,) = events_of(log, PortfolioReconciled)
    assert (told.agreed, told.differed, lines(log)) == (2, 0, [])


def test_by_default_a_difference_stops_the_portfolio_and_changes_nothing() -> None:
    make = Inputs()
    inputs = [*book(make), make.report("p", {"A": "4", "B": "1"}, NOON, cash="960")]
    inputs.append(make.signal("s", "A", NOON + SECOND))
    log = run(inputs, end=NOON + HOUR)
    assert lines(log) == [
        ("A", None, D(5), D(4), "stop"),
        ("B", None, D(0), D(1), "stop"),
        (None, "USD", D(950), D(960), "stop"),
    ]
    (alert,) = events_of(log, AlertRaised)
    assert (alert.severity, alert.portfolio) == ("critical", "p")
    assert events_of(log, RoundClosed) == []
    assert (last(log).cash, [one.quantity for one in last(log).holdings]) == (D(950), [D(5)])


def test_who_resumes_a_stopped_portfolio_lets_it_decide_again() -> None:
    make = Inputs()
    inputs = [*book(make), make.report("p", {}, NOON)]
    inputs.append(make.make("control", "CoordinationResumed", NOON + SECOND, portfolio="p"))
    assert len(events_of(run(inputs, end=NOON + HOUR), RoundClosed)) == 1


def test_who_trusts_fills_is_told_and_goes_on() -> None:
    make = Inputs()
    inputs = [*book(make, reports="trust_fills"), make.report("p", {"A": "4"}, NOON)]
    inputs.append(make.signal("s", "A", NOON + SECOND))
    log = run(inputs, end=NOON + HOUR)
    assert lines(log) == [("A", None, D(5), D(4), "trust_fills")]
    assert len(events_of(log, RoundClosed)) == 1
    assert last(log).holdings[0].quantity == D(5)


def test_who_trusts_the_report_books_the_difference_and_shows_it_as_corrected() -> None:
    make = Inputs()
    inputs = book(make, reports="trust_report")
    inputs.append(make.report("p", {"A": "4", "B": "10"}, NOON, cash="960"))
    log = run(inputs, end=NOON + HOUR)
    view = last(log)
    held = [(one.instrument, one.quantity) for one in view.holdings]
    assert held == [("A", D(4)), ("B", D(10))]
    (account,) = view.accounts
    assert (account.cash, account.corrected) == (D(960), D(40))  # -10, and 40, and 10 of money
    assert account.cash + account.cost == account.paid_in + account.realised + account.corrected
    assert view.gain == D(40)


@pytest.mark.parametrize("reports", ["stop", "trust_fills", "trust_report"])
def test_a_report_is_held_against_the_books_of_its_own_moment(reports: str) -> None:
    make = Inputs()
    inputs = book(make, reports=reports)
    inputs += [
        make.fill("p", "A", "3", "11", NOON + HOUR),
        make.moved("p", "-100", NOON + HOUR),
        make.report("p", {"A": "5"}, NOON + 2 * HOUR, cash="950", as_of=NOON),
    ]
    log = run(inputs, end=NOON + DAY)
    assert lines(log) == []
    (told,) = events_of(log, PortfolioReconciled)
    assert told.as_of == NOON
    assert (last(log).cash, last(log).holdings[0].quantity) == (D(817), D(8))


def test_an_older_report_that_is_believed_leaves_what_came_since() -> None:
    make = Inputs()
    inputs = book(make, reports="trust_report")
    inputs += [
        make.fill("p", "A", "3", "11", NOON + HOUR),
        make.report("p", {"A": "6"}, NOON + 2 * HOUR, as_of=NOON),
        make.report("p", {"A": "9"}, NOON + 3 * HOUR),
    ]
    log = run(inputs, end=NOON + DAY)
    assert lines(log) == [("A", None, D(5), D(6), "trust_report")]
    assert last(log).holdings[0].quantity == D(9)


def test_units_counted_before_a_split_are_refused_and_those_after_it_agree() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "split", NOON + HOUR, ratio="2")]
    inputs += [
        make.report("p", {"A": "5"}, NOON + 3 * HOUR, as_of=NOON),
        make.report("p", {"A": "10"}, NOON + 3 * HOUR),
    ]
    log = run(inputs, end=NOON + DAY)
    assert lines(log) == []
    assert [one.reason for one in events_of(log, InputRejected)] == [InputRejection.STALE]
    assert len(events_of(log, PortfolioReconciled)) == 1


def test_what_opens_a_book_must_have_a_price() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", cash="0"), make.report("p", {"A": "20"}, NOON)]
    (told,) = events_of(run(inputs, end=NOON + DAY), InputRejected)
    assert told.reason == InputRejection.INCOMPLETE


def test_a_late_action_is_dated_by_its_own_time() -> None:
    make = Inputs()
    inputs = book(make)
    inputs.append(make.action("A", "split", NOON + 2 * HOUR, ratio="2", effective_at=NOON))
    inputs.append(make.report("p", {"A": "10"}, NOON + 3 * HOUR, as_of=NOON + HOUR))
    log = run(inputs, end=NOON + DAY)
    assert events_of(log, InputRejected) == []
    assert [one.agreed for one in events_of(log, PortfolioReconciled)] == [1]


def test_the_first_report_of_an_empty_book_opens_it_and_is_no_gain() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.prices({"A": 10.0}, T0), make.opened("p", cash="0")]
    report = make.report(
        "p", {}, NOON, cash="500",
        positions=[{"instrument": "A", "quantity": "20", "price": "8"}],
    )  # fmt: skip
    log = run([*inputs, report, make.report("p", {"A": "1"}, NOON + HOUR)], end=NOON + DAY)
    assert [one[-1] for one in lines(log)] == ["opened", "opened", "stop"]
    view = last(log)
    assert (view.cash, view.holdings[0].cost, view.unrealised) == (D(500), D(160), D(40))
    assert view.gain == D(40)


def test_a_report_from_before_all_that_is_remembered_is_stale() -> None:
    make = Inputs()
    few = make.make("control", "ParametersChanged", T0, parameters={"movements_max": 1})
    inputs = [few, *book(make), make.fill("p", "A", "1", "10", NOON)]
    inputs.append(make.report("p", {"A": "5"}, NOON + HOUR, as_of=T0))
    (told,) = events_of(run(inputs, end=NOON + DAY), InputRejected)
    assert told.reason == InputRejection.STALE


def test_a_fill_that_is_dated_ahead_happened_when_it_was_told() -> None:
    make = Inputs()
    inputs = book(make)
    inputs.append(make.fill("p", "A", "5", "30", NOON, event_time=NOON + 9 * DAY))
    inputs.append(make.report("p", {"A": "10"}, NOON + HOUR))
    log = run(inputs, end=NOON + DAY)
    assert lines(log) == []
    assert [one.agreed for one in events_of(log, PortfolioReconciled)] == [1]

"""Panes: what is counted where, what is late, and what a portfolio came to at a pane's end."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from coordinator.core.evolve import evolve_output
from coordinator.core.panes import count_accepted
from coordinator.core.shards import shard_of
from coordinator.log.memory import MemoryLog
from schemas.control import Parameters
from schemas.panes import PortfolioPaneClosed, SignalCounts, SourcePaneClosed
from schemas.verdicts import SignalRejected, SignalRejection
from tests.journals import DAY, SECOND, T0, Input, Inputs, events_of, outputs, run
from tests.unit.core.planted import feed, state_of

MINUTE = 60 * SECOND


def opening(make: Inputs, **fields: object) -> list[Input]:
    inputs = [make.listed("A"), make.registered("s"), make.registered("u")]
    inputs += [make.opened("p", T0, cash="1000", **fields)]
    return [*inputs, make.prices({"A": 10.0}, T0)]


def panes_of(log: MemoryLog) -> list[PortfolioPaneClosed]:
    return events_of(log, PortfolioPaneClosed)


def test_a_pane_opens_with_money_and_closes_at_the_prices_of_its_end() -> None:
    make = Inputs()
    inputs = [*opening(make), make.fill("p", "A", "50", "10", T0 + SECOND, fee="1")]
    inputs += [make.prices({"A": 11.0}, T0 + 30 * SECOND), make.prices({"A": 12.0}, T0 + MINUTE)]
    inputs += [make.fill("p", "A", "-50", "12", T0 + 5 * MINUTE)]
    first, second = panes_of(run(inputs, end=T0 + DAY // 2))
    assert (first.begins_at, first.ends_at, first.decided_at) == (
        T0, T0 + MINUTE, T0 + MINUTE - 1,
    )  # fmt: skip
    assert (first.opening.nav, first.opening.gross) == (Decimal(1000), 0.0)
    # 12.00 is the price of the moment in which the next pane begins.
    assert (first.closing.nav, first.pnl) == (Decimal(1049), Decimal(49))
    assert first.closing.gross == first.closing.net == pytest.approx(550 / 1049)
    # Nothing happened for minutes: what prices did then is in the pane that follows.
    assert second.begins_at == T0 + 5 * MINUTE
    assert second.opening == first.closing
    assert (second.pnl, second.closing.gain) == (Decimal(50), Decimal(99))
    assert (second.closing.gross, second.gross_max) == (0.0, first.closing.gross)
    assert (second.counts.fills, second.counts.traded) == (1, Decimal(600))
    assert (second.totals.fills, second.totals.traded, second.totals.fees) == (
        2, Decimal(1100), Decimal(1),
    )  # fmt: skip


def test_the_largest_exposure_of_a_pane_is_that_of_any_view_in_it() -> None:
    make = Inputs()
    inputs = [*opening(make), make.fill("p", "A", "-90", "10", T0 + SECOND)]
    inputs += [make.fill("p", "A", "100", "10", T0 + 20 * SECOND)]
    (pane,) = panes_of(run(inputs, end=T0 + 3 * MINUTE))
    assert pane.gross_max == pytest.approx(0.9)
    assert pane.net_min == pytest.approx(-0.9)
    assert pane.net_max == pytest.approx(0.1)


def test_a_fill_counts_when_it_is_booked_and_is_late_when_it_happened_before_the_pane() -> None:
    make = Inputs()
    at, happened = T0 + 2 * MINUTE, T0 + SECOND
    inputs = [*opening(make), make.fill("p", "A", "1", "10", at, event_time=happened)]
    inputs += [make.fill("p", "A", "1", "10", T0 + 2 * MINUTE)]
    (pane,) = panes_of(run(inputs, end=T0 + 5 * MINUTE))
    assert (pane.begins_at, pane.counts.fills, pane.counts.fills_late) == (T0 + 2 * MINUTE, 2, 1)


def test_a_quiet_portfolio_says_nothing() -> None:
    make = Inputs()
    log = run([*opening(make), make.prices({"A": 20.0}, T0 + 3 * MINUTE)], end=T0 + 5 * MINUTE)
    assert panes_of(log) == []
    assert events_of(log, SourcePaneClosed) == []


def test_the_first_pane_begins_where_the_portfolio_was_opened() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", T0 + 10 * SECOND)]
    inputs += [make.fill("p", "A", "1", "10", T0 + 20 * SECOND)]
    (pane,) = panes_of(run(inputs, end=T0 + 5 * MINUTE))
    assert (pane.begins_at, pane.ends_at) == (T0 + 10 * SECOND, T0 + MINUTE)


def test_what_has_no_price_is_counted_beside_the_figures_that_lack_it() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p"), make.fill("p", "A", "1", "10", T0 + SECOND)]
    (pane,) = panes_of(run(inputs, end=T0 + 5 * MINUTE))
    assert (pane.unpriced, pane.pnl) == (1, Decimal(-10))


def test_a_signal_counts_in_the_pane_of_its_own_time_while_that_waits() -> None:
    make = Inputs()
    before, after = T0 + MINUTE - SECOND, T0 + MINUTE + 4 * SECOND
    inputs = [*opening(make), make.signal("s", "A", after, event_time=before)]
    inputs += [make.signal("s", "A", T0 + MINUTE + 5 * SECOND, event_time=before + 1)]  # over
    inputs += [make.signal("s", "NONE", T0 + MINUTE + 6 * SECOND)]
    early, late = events_of(run(inputs, end=T0 + DAY), SourcePaneClosed)
    assert (early.begins_at, early.decided_at) == (T0, T0 + MINUTE + 5 * SECOND - 1)
    assert early.counts == early.totals == SignalCounts(accepted=1)
    rejected = (("unknown_instrument", 1),)
    assert late.begins_at == T0 + MINUTE
    assert late.counts == SignalCounts(accepted=1, rejected=rejected, late=1)
    assert late.totals == SignalCounts(accepted=2, rejected=rejected, late=1)


def test_a_clock_that_is_ahead_opens_no_pane_of_the_future() -> None:
    make = Inputs()
    at = T0 + MINUTE - SECOND
    inputs = [*opening(make), make.signal("s", "A", at, event_time=at + 4 * SECOND)]
    inputs += [make.signal("s", "A", at, event_time=2**62 - 1)]
    (pane,) = events_of(run(inputs, end=T0 + DAY), SourcePaneClosed)
    assert (pane.begins_at, pane.counts.accepted, pane.counts.late) == (T0, 1, 0)
    assert pane.counts.rejected == (("future", 1),)


def test_signals_of_any_order_find_their_pane_among_many_open_ones() -> None:
    state = state_of()
    state.clock = T0 + 60 * MINUTE
    state.parameters = Parameters(pane_grace_ms=3_600_000)
    minutes = [40, 3, 59, 3, 0, 21, 40, 58, 4, 40]
    for minute in minutes:
        count_accepted(state, "s", T0 + minute * MINUTE + 7)
    panes = state.source_panes["s"]
    assert list(panes.opened) == sorted(panes.opened)
    counts = {(begin - T0) // MINUTE: one.accepted for begin, one in panes.opened.items()}
    assert counts == Counter(minutes)
    for minute in range(-1, 61):
        pane = panes.at(T0 + (minute + 1) * MINUTE - 1)
        assert (pane is not None) == (minute in minutes)


def test_panes_of_another_length_never_overlap_those_that_are_open() -> None:
    state = state_of()
    state.clock = T0 + 10 * MINUTE
    state.parameters = Parameters(pane_grace_ms=3_600_000)
    for minute in (2, 6):
        count_accepted(state, "s", T0 + minute * MINUTE)
    state.parameters = Parameters(pane_ms=300_000, pane_grace_ms=3_600_000)
    for minute in (4, 0, 2, 9, 5):
        count_accepted(state, "s", T0 + minute * MINUTE + 7)
    panes = state.source_panes["s"].opened
    spans = [((a - T0) // MINUTE, (b.ends_at - T0) // MINUTE) for a, b in panes.items()]
    assert spans == [(0, 2), (2, 3), (3, 5), (5, 6), (6, 7), (7, 10)]
    assert [one.accepted for one in panes.values()] == [1, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(("length", "grace"), [(1_000, 60_001), (1_000, 3_600_000)])
def test_more_open_panes_than_can_be_looked_through_are_refused(length: int, grace: int) -> None:
    with pytest.raises(ValueError, match="pane_grace_ms is at most 60 times pane_ms"):
        Parameters(pane_ms=length, pane_grace_ms=grace)
    Parameters(pane_ms=length, pane_grace_ms=60 * length)
    Parameters(pane_ms=60_000, pane_grace_ms=3_600_000)


def test_what_was_shed_has_no_time_of_its_own_and_counts_now() -> None:
    state = state_of()
    shed = SignalRejected(decided_at=T0 + 5, source="s", signal_id="1", reason=SignalRejection.SHED)
    state.clock = T0 + 5
    evolve_output(state, shed)
    pane = state.source_panes["s"].opened[T0]
    assert (pane.rejected, pane.late) == ({"shed": 1}, 0)


def test_only_the_home_shard_of_a_source_counts_its_signals() -> None:
    make = Inputs()
    inputs = [
        *opening(make),
        make.signal("s", "A", T0 + SECOND),
        make.signal("u", "A", T0 + SECOND),
    ]
    log = run(inputs, shards=3, end=T0 + DAY)
    for shard in range(3):
        events = [entry.event for entry in outputs(log, shard)]
        said = {one.source for one in events if isinstance(one, SourcePaneClosed)}
        assert said == {name for name in ("s", "u") if shard_of(name, 3) == shard}


def test_a_source_that_nobody_registered_has_no_panes() -> None:
    make = Inputs()
    inputs = [*opening(make), *(make.signal(f"ghost{n}", "A", T0 + SECOND) for n in range(5))]
    assert events_of(run(inputs, end=T0 + DAY), SourcePaneClosed) == []


def test_sources_with_slashes_in_their_names_are_told_apart() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.opened("p")]
    names = ("a", "a/b", "c")
    inputs += [make.registered(name) for name in names]
    inputs += [make.prices({"A": 10.0, "B": 10.0}, T0)]
    inputs += [make.signal("a", "A", T0 + SECOND, event_id="b/1")]
    inputs += [make.signal("a/b", "B", T0 + SECOND, event_id="2")]
    inputs += [make.signal("c", "A", T0 + SECOND, event_id="x/y/z", direction=-1)]
    (pane, *_) = panes_of(run(inputs, end=T0 + MINUTE + SECOND))
    assert [(one.source, one.used) for one in pane.heard] == [("a", 1), ("a/b", 1), ("c", 1)]


def test_an_open_pane_whose_timer_was_lost_is_still_said() -> None:
    state = state_of()
    make = Inputs()
    feed(state, make.fill("p", "A", "1", "10", T0 + SECOND))
    timer = "window\tp"
    assert state.timers.deadline(timer) == T0 + MINUTE - 1
    state.timers.disarm(timer)  # as a quarantine does
    feed(state, make.fill("p", "A", "1", "10", T0 + 3 * MINUTE))
    assert state.timers.deadline(timer) == T0 + 3 * MINUTE
    assert state.portfolio_panes["p"].begins_at == T0


def test_a_pane_waits_longer_when_it_is_told_to() -> None:
    make = Inputs()
    grace = {"parameters": {"pane_grace_ms": 120_000}}
    inputs = [*opening(make), make.signal("s", "A", T0 + SECOND)]
    inputs += [make.make("control", "ParametersChanged", T0 + 2 * SECOND, **grace)]
    at = T0 + 2 * MINUTE + 30 * SECOND
    inputs += [make.signal("s", "A", at, event_time=T0 + 30 * SECOND)]
    first, *others = events_of(run(inputs, end=T0 + DAY), SourcePaneClosed)
    assert (first.begins_at, first.counts.accepted, first.counts.late) == (T0, 2, 0)
    assert first.decided_at == T0 + 3 * MINUTE - 1
    assert others == []

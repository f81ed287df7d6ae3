"""Timers that belong to portfolios and views: whose they are, and what repeats."""

from __future__ import annotations

import pytest

from coordinator.core.clock import Timers
from coordinator.core.panes import PORTFOLIO_PANE, SOURCE_PANE
from coordinator.core.timers import KINDS, owner_of
from schemas.books import PortfolioViewUpdated
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, events_of, run
from tests.recorded import end_of, recorded


def test_a_timer_belongs_to_its_portfolio_and_a_views_to_nobody() -> None:
    names = ["round\tp", "interval\tp", "view\tp", "end-trades\tp\tp:1"]
    assert {owner_of(name) for name in names} == {"p"}
    assert owner_of("end-view\tA\ts\ts") is None
    assert owner_of("action\ta-1") is None


def test_panes_come_after_all_other_timers_of_a_moment() -> None:
    panes = {PORTFOLIO_PANE, SOURCE_PANE}
    timers = Timers([(f"{kind}\tp", 5) for kind in KINDS])
    fired = []
    while (name := timers.first()) is not None:
        fired.append(name.split("\t")[0])
        timers.disarm(name)
    assert set(fired[-2:]) == panes
    assert fired == list(KINDS)


def test_every_timer_that_is_armed_is_of_a_known_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    armed, arm = set(), Timers.arm

    def noted(timers: Timers, name: str, deadline: int) -> None:
        if "\t" in name or name in KINDS:  # others are bare names of idle portfolios
            armed.add(name.split("\t", maxsplit=1)[0])
        arm(timers, name, deadline)

    monkeypatch.setattr(Timers, "arm", noted)
    inputs = recorded(1)
    run(inputs, shards=1, end=end_of(inputs))
    make = Inputs()
    schedule = {"kind": "interval", "every": 60}
    rules: dict[str, dict[str, object]] = {"adaptation": {"drawdown": {}}}
    more = [make.listed("A"), make.registered("s")]
    more += [make.make("control", "ParametersChanged", T0, parameters=rules)]
    more += [make.opened("p", schedule=schedule)]
    more += [make.close({"A": 10.0}, T0), make.signal("s", "A", T0 + HOUR, horizon_sessions=1.0)]
    more += [make.action("A", "split", T0 + 2 * HOUR, ratio="2", effective_at=T0 + 9 * DAY)]
    more += [make.close({"A": 10.0 + n}, T0 + n * DAY) for n in range(1, 5)]
    run(more, end=T0 + 5 * DAY)
    assert armed == set(KINDS)


def test_a_view_is_shown_on_its_grid_only_when_something_changed() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p"), make.fill("p", "A", "5", "10", T0 + HOUR)]
    inputs += [make.prices({"A": 10.0}, T0 + 2 * HOUR), make.prices({"A": 11.0}, T0 + 3 * DAY - 1)]
    at = [e.decided_at - T0 for e in events_of(run(inputs, end=T0 + 9 * DAY), PortfolioViewUpdated)]
    assert at == [HOUR + SECOND, DAY, 3 * DAY]


def test_fills_that_come_together_are_shown_together_soon() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p")]
    inputs += [make.fill("p", "A", "5", "10", T0 + HOUR + n) for n in range(9)]
    views = events_of(run(inputs, end=T0 + 2 * HOUR), PortfolioViewUpdated)
    assert [(one.decided_at - T0, one.fills) for one in views] == [(HOUR + SECOND, 9)]


def test_a_closed_portfolio_is_shown_no_more() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p"), make.fill("p", "A", "5", "10", T0 + HOUR)]
    inputs.append(make.make("portfolios", "PortfolioClosed", T0 + HOUR, portfolio="p"))
    assert events_of(run(inputs, end=T0 + 9 * DAY), PortfolioViewUpdated) == []

"""Timers that belong to portfolios and views: whose they are, and what repeats."""

from __future__ import annotations

from coordinator.core.timers import owner_of
from schemas.books import PortfolioViewUpdated
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, events_of, run


def test_a_timer_belongs_to_its_portfolio_and_a_views_to_nobody() -> None:
    names = ["round\tp", "interval\tp", "view\tp", "end-trades\tp\tp:1"]
    assert {owner_of(name) for name in names} == {"p"}
    assert owner_of("end-view\tA\ts\ts") is None
    assert owner_of("action\ta-1") is None


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

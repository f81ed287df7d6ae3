"""Two books of one backtest, the engine's exact ones and the report's own, come to the same."""

from __future__ import annotations

import random

import pytest

from coordinator.core.book import growth_now, value
from coordinator.log.memory import MemoryLog
from replay.backtest import run_backtest
from replay.report.accounts import curves
from replay.standing import Moment, standing
from schemas.books import HoldingChanged
from schemas.decisions import AllocationDecided
from schemas.verdicts import InputRejected, InputRejection
from tests.journals import (
    DAY,
    HOUR,
    T0,
    Input,
    Inputs,
    engine,
    events_of,
    lay,
    run,
    zero_clock,
)

NAMES = {"A": "USD", "B": "USD", "E": "EUR", "F": "EUR"}
DAYS = 12


def world(seed: int) -> list[Input]:
    """Opens and closes of two currencies, a rate a day, signals, money and corporate actions."""
    rng, make = random.Random(seed), Inputs()
    prices, rate = dict.fromkeys(NAMES, 50.0), 1.1
    inputs = [make.listed(name, currency=currency) for name, currency in NAMES.items()]
    inputs += [make.registered("s"), make.rate("EUR/USD", rate, T0)]
    terms = {"position_max": 0.4, "valid_sessions": 2}
    inputs.append(make.opened("p", cash="100000", mandate=terms))
    for day in range(DAYS):
        at = T0 + day * DAY
        rate *= 1 + rng.gauss(0, 0.01)
        prices = {name: price * (1 + rng.gauss(0, 0.02)) for name, price in prices.items()}
        if day == DAYS // 2:
            inputs.append(make.action("A", "split", at + 1, ratio="3"))
            prices["A"] /= 3
            inputs.append(make.action("E", "dividend", at + 1, amount="0.75"))
            inputs.append(make.action("F", "spin_off", at + 1, ratio="1", per="4", into="B"))
        inputs.append(make.rate("EUR/USD", rate, at + HOUR))
        inputs.append(make.prices(prices, at + HOUR, kind="open"))
        for name in NAMES:
            strength = {"direction": rng.choice((-1, 1, 1)), "strength": 0.95}
            inputs.append(make.signal("s", name, at + 2 * HOUR, **strength))
        inputs.append(make.moved("p", "250.5", at + 3 * HOUR, currency=rng.choice(("USD", "EUR"))))
        inputs.append(make.close(prices, at + 4 * HOUR))
    return inputs


@pytest.mark.parametrize("seed", [3, 7, 8])
def test_the_reports_own_book_comes_to_the_engines_nav_and_growth(seed: int) -> None:
    inputs = lay(world(seed), MemoryLog(clock=zero_clock), shards=1)
    out = MemoryLog(clock=zero_clock)
    run_backtest(inputs, out, engines=engine)
    bought = {t.instrument for d in events_of(out, AllocationDecided) for t in d.trades}
    assert bought == set(NAMES)
    kinds = {one.kind for one in events_of(out, HoldingChanged)}
    assert kinds == {"split", "dividend", "spin_off"}
    (curve,) = curves(out)
    last = curve.marks[-1]
    state = standing(out, 0, Moment(time=last.at)).state  # fills at the close are in it
    portfolio = state.portfolios["p"]
    worth = value(portfolio, state.market)
    assert last.nav == pytest.approx(worth.nav, rel=1e-9)
    assert last.growth == pytest.approx(growth_now(portfolio, worth), rel=1e-3)
    assert curve.traded == pytest.approx(float(portfolio.traded), rel=1e-9)


def test_what_the_engine_refused_is_not_in_the_reports_book_either() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.rate("EUR/USD", 1.1, T0)]
    inputs += [make.prices({"A": 10.0}, T0), make.opened("p", cash="0")]
    inputs += [make.opened("q", cash="1000", reports="trust_report")]
    inputs.append(make.report("p", {"A": "100"}, T0 + HOUR, cash="500"))
    inputs.append(make.fill("q", "A", "10", "10", T0 + HOUR))
    inputs.append(make.report("q", {"A": "20"}, T0 + 2 * HOUR))
    inputs.append(make.action("A", "split", T0 + 3 * HOUR, event_id="no-ratio"))
    for _ in range(2):
        inputs.append(make.action("A", "split", T0 + 4 * HOUR, ratio="2", event_id="twice"))
    inputs.append(make.rate("EUR/USD", 0.0, T0 + 5 * HOUR))
    inputs.append(make.moved("p", "5", T0 + 5 * HOUR, currency="JPY"))
    inputs.append(make.close({"A": 5.0, "X": 1.0}, T0 + 6 * HOUR))
    log = run(inputs, end=T0 + DAY)
    navs = {curve.name: curve.marks[-1].nav for curve in curves(log)}
    assert navs == {"p": pytest.approx(1500.0), "q": pytest.approx(1100.0)}
    assert [curve.marks[-1].growth for curve in curves(log)] == pytest.approx([1.0, 1.1])


def test_a_split_told_late_leaves_prices_in_new_units_alone() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", cash="1000")]
    inputs += [make.close({"A": 10.0}, T0), make.fill("p", "A", "10", "10", T0 + 1)]
    inputs.append(make.close({"A": 5.0}, T0 + DAY))
    late = {"ratio": "2", "effective_at": T0 + HOUR}
    inputs.append(make.action("A", "split", T0 + DAY + HOUR, **late))
    inputs.append(make.close({"A": 5.0}, T0 + 2 * DAY))
    (curve,) = curves(run(inputs, end=T0 + 3 * DAY))
    assert curve.marks[-1].nav == pytest.approx(1000.0)


def test_prices_of_the_future_which_the_engine_refuses_stop_no_marks() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.opened("p", cash="1000")]
    inputs += [make.close({"A": 10.0}, T0), make.fill("p", "A", "10", "10", T0 + 1)]
    inputs.append(make.prices({"A": 99.0}, T0 + HOUR, event_time=T0 + 9 * DAY))
    inputs.append(make.close({"A": 20.0}, T0 + DAY))
    log = run(inputs, end=T0 + 2 * DAY)
    assert [one.reason for one in events_of(log, InputRejected)] == [InputRejection.FUTURE]
    (curve,) = curves(log)
    assert curve.marks[-1].nav == pytest.approx(1100.0)

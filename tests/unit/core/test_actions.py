"""Corporate actions: when they take effect, on whom, and what the market remembers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from coordinator.log.memory import MemoryLog
from schemas.books import CorporateActionTaken, HoldingChanged, PortfolioViewUpdated
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.verdicts import InputRejected, InputRejection, RecordQuarantined
from tests.journals import (
    DAY,
    HOUR,
    MS,
    SECOND,
    T0,
    Input,
    Inputs,
    events_of,
    run,
    state_after,
)
from tests.unit.core.books import D

NOON = T0 + 12 * HOUR


def book(make: Inputs, units: str = "10") -> list[Input]:
    return [
        make.listed("A"), make.listed("B"), make.registered("s"), make.opened("p"),
        make.close({"A": 30.0, "B": 5.0}, T0 + SECOND),
        make.fill("p", "A", units, "30", T0 + HOUR),
    ]  # fmt: skip


def held(log: MemoryLog) -> dict[str, Decimal]:
    view = events_of(log, PortfolioViewUpdated)[-1]
    return {one.instrument: one.quantity for one in view.holdings}


def test_an_action_waits_for_its_time_and_takes_what_is_held_then() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "split", NOON, ratio="3", effective_at=T0 + DAY)]
    inputs += [make.fill("p", "A", "-4", "30", T0 + DAY - 1)]
    log = run(inputs, end=T0 + 2 * DAY)
    (changed,) = events_of(log, HoldingChanged)
    assert changed.decided_at == T0 + DAY - 1  # before all else of that moment
    assert (changed.quantity_before, changed.quantity) == (D(6), D(18))
    assert [one.action_id for one in events_of(log, CorporateActionTaken)] == [changed.action_id]


def test_a_fill_of_the_moment_a_split_takes_effect_is_in_new_units() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "split", NOON, ratio="3", effective_at=T0 + DAY)]
    inputs += [make.prices({"A": 10.0}, T0 + DAY), make.fill("p", "A", "30", "10", T0 + DAY)]
    log = run(inputs, end=T0 + 2 * DAY)
    view = events_of(log, PortfolioViewUpdated)[-1]
    assert held(log) == {"A": D(60)}
    assert view.nav == D(1_000_000)


def test_one_that_is_announced_at_its_own_moment_comes_before_what_follows() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "split", NOON, ratio="3")]
    inputs.append(make.fill("p", "A", "30", "10", NOON))
    assert held(run(inputs, end=NOON + DAY)) == {"A": D(60)}


def test_a_holding_beyond_any_event_concerns_its_own_portfolio_alone() -> None:
    make = Inputs()
    inputs = [*book(make), make.opened("rich")]
    inputs.append(make.fill("rich", "A", "1" + "0" * 15, "0.000001", T0 + HOUR))
    inputs += [make.action("A", "split", NOON + n * HOUR, ratio="1000000") for n in range(3)]
    log = run(inputs, end=NOON + DAY)
    (gone,) = events_of(log, RecordQuarantined)
    assert (gone.portfolio, gone.event) == ("rich", "CorporateActionAnnounced")
    assert len(events_of(log, CorporateActionTaken)) == 3
    changed = [one for one in events_of(log, HoldingChanged) if one.portfolio == "p"]
    assert changed[-1].quantity == D(10) * D(10) ** 18


def test_an_id_that_waits_is_not_replaced() -> None:
    make = Inputs()
    later = {"amount": "1", "event_id": "Q", "effective_at": NOON + 20 * DAY}
    inputs = [*book(make), make.action("A", "dividend", NOON, **later)]
    inputs.append(make.action("B", "dividend", NOON + 9 * DAY, **later))
    log = run(inputs, end=NOON + 21 * DAY)
    assert [one.instrument for one in events_of(log, HoldingChanged)] == ["A"]
    assert [one.reason for one in events_of(log, InputRejected)] == [InputRejection.DUPLICATE]


def test_one_that_is_announced_too_late_takes_effect_at_once() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "dividend", NOON, amount="1.5", effective_at=T0 + 1)]
    log = run(inputs, end=NOON + DAY)
    (changed,) = events_of(log, HoldingChanged)
    assert (changed.decided_at, changed.cash) == (NOON, D(15))


def test_announced_twice_it_takes_effect_once() -> None:
    make = Inputs()
    one = {"ratio": "2", "event_id": "split-1"}
    inputs = [*book(make), *(make.action("A", "split", NOON, **one) for _ in range(2))]
    assert held(run(inputs, end=NOON + DAY)) == {"A": D(20)}


@pytest.mark.parametrize(("units", "ratio", "per", "after"), [
    ("10", "1", "3", "3.333333333333"), ("9", "1", "3", "3"), ("-10", "3", "2", "-15"),
    ("0.000000000001", "1", "3", None),
])  # fmt: skip
def test_units_are_multiplied_before_they_are_divided_and_cut(
    units: str, ratio: str, per: str, after: str | None
) -> None:
    make = Inputs()
    log = run([*book(make, units), make.action("A", "split", NOON, ratio=ratio, per=per)],
              end=NOON + DAY)  # fmt: skip
    assert held(log) == ({} if after is None else {"A": D(after)})


def test_a_spin_off_gives_units_and_a_share_of_the_cost() -> None:
    make = Inputs()
    terms: dict[str, Any] = {"ratio": "1", "per": "4", "into": "B", "basis_share": 0.25}
    log = run([*book(make), make.action("A", "spin_off", NOON, **terms)], end=NOON + DAY)
    view = events_of(log, PortfolioViewUpdated)[-1]
    assert [(one.instrument, one.quantity, one.cost) for one in view.holdings] == [
        ("A", D(10), D(225)), ("B", D("2.5"), D(75)),
    ]  # fmt: skip


def test_a_redemption_pays_everybody_and_ends_the_trading() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "redemption", NOON, amount="33")]
    inputs.append(make.signal("s", "A", NOON + HOUR))
    log = run(inputs, end=NOON + DAY)
    assert held(log) == {}
    assert [len(one.trades) for one in events_of(log, AllocationDecided)] == [0]
    view = events_of(log, PortfolioViewUpdated)[-1]
    assert view.accounts[0].realised == D(30)


def test_owed_money_counts_and_is_not_settled_before_it_arrives() -> None:
    make = Inputs()
    terms = {"amount": "2", "pays_at": NOON + 3 * DAY}
    log = run([*book(make), make.action("A", "dividend", NOON, **terms)], end=NOON + DAY)
    view = events_of(log, PortfolioViewUpdated)[-1]
    assert view.cash == D(1_000_000 - 300 + 20)
    assert view.settled == D(1_000_000 - 300)


def test_open_trades_of_a_name_that_is_split_count_no_more() -> None:
    make = Inputs()
    inputs = [*book(make), make.signal("s", "A", NOON)]
    inputs.append(make.action("A", "split", NOON + HOUR, ratio="2"))
    log = run(inputs, end=NOON + 2 * HOUR)
    (trade,) = events_of(log, AllocationDecided)[0].trades
    (ended,) = events_of(log, TradesExpired)
    assert (ended.trade_ids, ended.decided_at) == ((trade.trade_id,), NOON + HOUR)


def test_a_split_is_no_return_and_volumes_are_in_new_units() -> None:
    make = Inputs()
    inputs = [*book(make), make.action("A", "split", T0 + DAY, ratio="3")]
    inputs.append(make.close({"A": 11.0, "B": 5.0}, T0 + DAY + HOUR))
    market = state_after(inputs, end=T0 + 2 * DAY).market
    returns = market.window(market.columns(("A", "B")))
    assert returns[-1].tolist() == pytest.approx([0.1, 0.0])
    assert market.average_volume(("A",))[0] == pytest.approx((3e6 + 1e6) / 2)


def test_prices_already_in_new_units_are_left_alone() -> None:
    make = Inputs()
    inputs = [*book(make), make.close({"A": 10.0}, T0 + DAY)]
    inputs.append(make.action("A", "split", T0 + DAY + HOUR, ratio="3", effective_at=T0 + 2 * HOUR))
    market = state_after(inputs, end=T0 + 2 * DAY).market
    assert market.price_of("A") == 10.0
    assert np.isfinite(market.close[0])


def test_every_shard_counts_a_split_and_one_says_it() -> None:
    make = Inputs()
    names = [f"p{n}" for n in range(6)]
    inputs = [make.listed("A"), make.prices({"A": 30.0}, T0)]
    inputs += [make.opened(name) for name in names]
    inputs += [make.fill(name, "A", "10", "30", T0 + HOUR) for name in names]
    inputs.append(make.action("A", "split", NOON, ratio="2"))
    log = run(inputs, shards=3, end=NOON + MS)
    assert len(events_of(log, CorporateActionTaken, shards=3)) == 1
    changed = events_of(log, HoldingChanged, shards=3)
    assert sorted(one.portfolio for one in changed) == names

"""What mandates do to decisions, through the engine and its real allocator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from schemas.decisions import AllocationDecided, RoundClosed
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run

AT = T0 + HOUR
ROUNDING = 1e-7


def days(make: Inputs, **mandate: Any) -> list[Input]:
    made = [make.listed("A", lot="10"), make.listed("B"), make.registered("s")]
    made.append(make.opened("p", mandate={"position_max": 0.3} | mandate, mode="aggressive"))
    return [*made, make.close({"A": 10.0, "B": 10.0}, T0 + SECOND)]


def strong(make: Inputs, name: str, at: int = AT, **fields: Any) -> Input:
    return make.signal("s", name, at, strength=0.9, confidence=1.0, **fields)


def decided(inputs: list[Input], end: int = AT + HOUR) -> list[AllocationDecided]:
    return events_of(run(inputs, end=end), AllocationDecided)


def test_trades_are_whole_multiples_and_a_holding_may_leave_whole() -> None:
    make = Inputs()
    inputs = [*days(make, lot_multiple=70), strong(make, "A")]
    (first,) = decided(inputs)
    (trade,) = first.trades
    assert trade.quantity > 0
    assert trade.quantity % 700 == 0
    make = Inputs()
    inputs = [*days(make, lot_multiple=70), make.fill("p", "A", "1230", "10", AT)]
    inputs.append(strong(make, "A", AT + SECOND, direction=-1))
    (away,) = decided(inputs)
    assert [trade.quantity for trade in away.trades] == [-1230]


def test_a_restricted_name_is_not_bought_and_may_be_sold() -> None:
    make = Inputs()
    (none,) = decided([*days(make, restricted=["A"]), strong(make, "A")])
    assert none.trades == ()
    use = next(one for one in none.limits if one.instrument == "A" and one.bound == one.used == 0.0)
    assert use.limit in ("restricted", "position_min")
    make = Inputs()
    held = [*days(make, restricted=["A"]), make.fill("p", "A", "1000", "10", AT)]
    (sold,) = decided([*held, strong(make, "A", AT + SECOND, direction=-1)])
    assert [trade.quantity for trade in sold.trades] == [-1000]


def test_what_must_be_held_is_bought_at_the_first_close_without_any_signal() -> None:
    make = Inputs()
    wish = [{"instrument": "B", "min": 0.1}, {"instrument": "Z", "min": 0.1}]
    inputs = days(make, must_hold=wish)
    log = run(inputs, end=T0 + HOUR)
    (bought,) = events_of(log, AllocationDecided)
    assert [one.trigger for one in events_of(log, RoundClosed)] == ["breach"]
    (trade,) = bought.trades
    assert trade.instrument == "B"
    assert trade.weight == pytest.approx(0.1, abs=2e-5)
    assert trade.weight >= 0.1 - 1e-9


def test_what_must_be_held_is_not_ordered_again_while_it_is_on_its_way() -> None:
    make = Inputs()
    inputs = days(make, must_hold=[{"instrument": "A", "min": 0.2}], position_max=0.3)
    first, second = decided([*inputs, make.signal("s", "B", AT, direction=-1, confidence=0.01)])
    assert [trade.quantity for trade in first.trades] == [20_000]
    assert [trade.quantity for trade in second.trades if trade.instrument == "A"] == []
    assert second.targets[0].quantity == 20_000


def test_a_trade_stays_within_its_share_of_the_volume() -> None:
    """A million units were traded in the only session."""
    make = Inputs()
    inputs = [*days(make, volume_share_max=0.005), strong(make, "A")]
    (one,) = decided(inputs, end=T0 + DAY)
    assert [trade.quantity for trade in one.trades] == [5000]
    assert ("volume_share_max", "A") in {(use.limit, use.instrument) for use in one.limits}


def of_two(**mandate: Any) -> AllocationDecided:
    """Both names are wished for as much as anybody likes; A is of Tech and has value 1.5."""
    make = Inputs()
    exposures = [{"factor": "value", "exposure": 1.5}]
    inputs = [make.listed("A", sector="Tech", factors=exposures), make.listed("B")]
    inputs += [make.registered("s")]
    inputs += [make.opened("p", mandate={"position_max": 0.3} | mandate, mode="aggressive")]
    inputs += [make.close({"A": 10.0, "B": 10.0}, T0 + SECOND)]
    first, *_ = decided([*inputs, strong(make, "A"), strong(make, "B")])
    return first


def weight(decision: AllocationDecided, name: str) -> float:
    return next(target.weight for target in decision.targets if target.instrument == name)


def test_without_a_further_limit_both_names_are_bought_to_their_own() -> None:
    free = of_two()
    assert (weight(free, "A"), weight(free, "B")) == pytest.approx((0.3, 0.3), abs=1e-4)


@pytest.mark.parametrize(
    ("mandate", "used", "bound"),
    [
        ({"sectors": [{"sector": "Tech", "max": 0.1}]}, lambda d: weight(d, "A"), 0.1),
        (
            {"factors": [{"factor": "value", "max": 0.3}]},
            lambda d: 1.5 * weight(d, "A"),
            0.3,
        ),
        (
            {"factors": [{"factor": "market", "max": 0.25}]},
            lambda d: weight(d, "A") + weight(d, "B"),  # no return is known: every beta is 1
            0.25,
        ),
        ({"net_max": 0.35}, lambda d: d.after.net, 0.35),
        ({"leverage_max": 0.35}, lambda d: d.after.gross, 0.35),
        (
            {"volatility_max": 0.05},
            lambda d: d.after.volatility * math.sqrt(252 / d.horizon_sessions),
            0.05,
        ),
        (
            {"positions": [{"instrument": "B", "max": 0.05}]},
            lambda d: weight(d, "B"),
            0.05,
        ),
        (
            {"days_to_liquidate_max": 1.0, "participation": 0.01},
            lambda d: weight(d, "A"),
            0.1,
        ),
    ],
)
def test_a_hard_limit_of_every_kind_binds_and_holds(
    mandate: dict[str, Any], used: Callable[[AllocationDecided], float], bound: float
) -> None:
    decision = of_two(**mandate)
    assert used(decision) <= bound + ROUNDING
    assert used(decision) == pytest.approx(bound, rel=2e-3)
    (limit,) = mandate.keys() - {"participation"}
    told = [use for use in decision.limits if use.limit == limit]
    assert any(use.shadow_price > 0 for use in told)
    assert all(use.given == 0.0 for use in told)


def test_of_soft_limits_the_last_priority_gives_way_first() -> None:
    """Two fifths are to be held, and a tenth may be."""
    terms: dict[str, Any] = {
        "position_max": 0.5, "must_hold": [{"instrument": "A", "min": 0.4}], "net_max": 0.1,
    }  # fmt: skip
    held = of_two(**terms, soft=[{"limit": "net_max", "priority": 1}])
    assert weight(held, "A") >= 0.4 - 1e-4
    for first, second, least in (("must_hold", "net_max", 0.4), ("net_max", "must_hold", 0.0)):
        soft = [{"limit": first, "priority": 1}, {"limit": second, "priority": 2}]
        decision = of_two(**terms, soft=sorted(soft, key=lambda one: str(one["limit"])))
        uses = {use.limit: use for use in decision.limits if use.limit in (first, second)}
        assert uses[first].given == pytest.approx(0.0, abs=1e-4)
        assert uses[second].given == pytest.approx(0.3, abs=1e-3)
        assert (uses[first].priority, uses[second].priority) == (1, 2)
        assert weight(decision, "A") >= least - 1e-4

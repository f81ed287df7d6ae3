"""Mandates as they arrive: refused with the limits that cannot hold together, or a version more."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core.checkpoint import decode_state, encode_state
from coordinator.core.mandates import contradiction, contradictions, mandate_fault, strangers
from coordinator.core.market import Market
from coordinator.log.memory import MemoryLog
from schemas.books import PortfolioViewUpdated
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output
from schemas.mandates import (
    BenchmarkWeight,
    FactorBound,
    Mandate,
    MustHold,
    PositionBound,
    SectorBound,
    SoftLimit,
)
from schemas.verdicts import InputRejected, InputRejection
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    engine,
    events_of,
    lay,
    run,
    state_after,
    zero_clock,
)
from tests.unit.core.planted import state_of

AT = T0 + HOUR


def hold(name: str, least: float) -> MustHold:
    return MustHold(instrument=name, min=least)


def tech(n: int) -> Market:
    make = Inputs()
    return state_of(*(make.listed(f"T{i}", sector="Tech") for i in range(n))).market


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"must_hold": (hold("A", 0.2),)}, ("position_max 0.1", "must_hold A min 0.2")),
        (
            {"must_hold": (hold("A", 0.05),), "restricted": ("A",)},
            ("must_hold A min 0.05", "restricted A"),
        ),
        (
            {"must_hold": (hold("A", 0.05),), "universe": ("B",)},
            ("must_hold A min 0.05", "universe"),
        ),
        (
            {"positions": (PositionBound(instrument="A", min=0.3, max=0.2),)},
            ("positions A min 0.3", "positions A max 0.2"),
        ),
        ({"net_min": 0.4, "net_max": 0.3}, ("net_min 0.4", "net_max 0.3")),
        ({"net_min": 0.5, "cash_floor": 0.6}, ("net_min 0.5", "cash_floor 0.6")),
        ({"net_min": 0.5, "leverage_max": 0.4}, ("net_min 0.5", "leverage_max 0.4")),
        (
            {
                "sectors": (SectorBound(sector="S", min=0.6), SectorBound(sector="T", min=0.5)),
                "restricted": ("A",),
            },
            ("sectors S min 0.6", "sectors T min 0.5", "gross_max 1.0"),
        ),
        (
            {"factors": (FactorBound(factor="market", min=1.0),), "gross_max": 0.005},
            ("factors market min 1.0", "gross_max 0.005"),
        ),
        (
            {
                "must_hold": (hold("A", 0.1), hold("B", 0.1), hold("C", 0.1)),
                "net_max": 0.25,
            },
            # Without the last one, shorts in others would make room.
            (
                "must_hold A min 0.1",
                "must_hold B min 0.1",
                "must_hold C min 0.1",
                "net_max 0.25",
                "position_min 0.0",
            ),
        ),
    ],
)
def test_the_least_set_that_cannot_hold_together_is_named(
    fields: dict[str, Any], named: tuple[str, ...]
) -> None:
    assert set(contradiction(Mandate(**fields), Market(window=2))) == set(named)


def test_limits_that_meet_exactly_hold_together() -> None:
    wishes = (hold("A", 0.1), hold("B", 0.2))
    assert contradiction(Mandate(must_hold=wishes, position_max=0.2, net_max=0.3), tech(1)) == ()


def test_a_sector_may_want_more_than_is_listed_only_while_more_may_come() -> None:
    want = (SectorBound(sector="Tech", min=0.35),)
    assert contradiction(Mandate(sectors=want), tech(3)) == ()  # anything may be listed later
    closed = Mandate(sectors=want, universe=("T0", "T1", "T2"))
    assert contradiction(closed, tech(3)) == (
        "position_max 0.1",
        "universe",
        "sectors Tech min 0.35",
    )
    coming = Mandate(sectors=want, universe=("T0", "T1", "T2", "T9"))
    assert contradiction(coming, tech(3)) == ()  # nobody knows yet what T9 is


def test_a_soft_limit_contradicts_nothing_unless_one_asks() -> None:
    wish = (hold("A", 0.2),)
    for limit in ("must_hold", "position_max"):
        soft = SoftLimit.model_validate({"limit": limit, "priority": 1})
        mandate = Mandate(must_hold=wish, soft=(soft,))
        assert contradiction(mandate, tech(1)) == ()
        found = contradiction(mandate, tech(1), soft=True)
        assert found == ("position_max 0.1", "must_hold A min 0.2")


def test_every_set_of_soft_limits_that_cannot_hold_is_found_and_each_soft_one_once() -> None:
    mandate = Mandate(
        gross_max=0.2, net_min=0.3, position_max=0.05,
        must_hold=(hold("A", 0.1), hold("B", 0.08), hold("C", 0.01)),
        soft=(
            SoftLimit(limit="must_hold", about="A", priority=2),
            SoftLimit(limit="must_hold", about="B", priority=3),
            SoftLimit(limit="net_min", priority=1),
        ),
    )  # fmt: skip
    found = contradictions(mandate, Market(window=2))
    assert sorted(found) == [
        ("net_min 0.3", "gross_max 0.2"),
        ("position_max 0.05", "must_hold A min 0.1"),
        ("position_max 0.05", "must_hold B min 0.08"),
    ]
    assert found[0] == contradiction(mandate, Market(window=2), soft=True)
    assert contradictions(Mandate(), Market(window=2)) == ()


def test_a_long_list_is_told_as_one_and_the_detail_fits_its_event() -> None:
    names = tuple(f"N{i:03d}" for i in range(300))
    bounds = tuple(PositionBound(instrument=name, max=0.001) for name in names)
    mandate = Mandate(universe=names, positions=bounds, net_min=0.5)
    found = contradiction(mandate, Market(window=2))
    assert found == ("positions (300 bounds together)", "universe", "net_min 0.5")
    wishes = tuple(hold(name * 20, 0.1) for name in names[:40])
    owing: dict[str, Any] = {"net_max": 3.95, "gross_max": 9.0, "cash_floor": -9.0}
    fault = mandate_fault(Mandate(must_hold=wishes, **owing), Market(window=2))
    assert fault is not None
    assert fault[0] is InputRejection.CONTRADICTORY_MANDATE
    assert len(fault[1]) <= 2_000
    told, more = fault[1].rsplit(", and ", 1)
    named = told.count("must_hold ")
    assert told.endswith(f"must_hold {names[named - 1] * 20} min 0.1"), "no name is cut"
    assert more == f"{41 - named} more"


def test_names_that_nobody_listed_are_accepted_and_can_be_asked_for() -> None:
    mandate = Mandate(
        universe=("T0", "Z"), must_hold=(hold("Z", 0.05),),
        sectors=(SectorBound(sector="Steel", max=0.1), SectorBound(sector="Tech", max=0.1)),
        factors=(FactorBound(factor="market", max=1.0), FactorBound(factor="value", max=1.0)),
        benchmark=(BenchmarkWeight(instrument="Y", weight=0.5),),
    )  # fmt: skip
    assert contradiction(mandate, tech(1)) == ()
    assert strangers(mandate, tech(1)) == (
        "sectors Steel", "factors value", "universe Z", "must_hold Z", "benchmark Y",
    )  # fmt: skip


# -- through the engine ----------------------------------------------------------------------------


def changed(make: Inputs, at: int, **mandate: Any) -> Input:
    return make.make("portfolios", "MandateChanged", at, portfolio="p", mandate=mandate)


def days(make: Inputs) -> list[Input]:
    made = [make.listed("A"), make.registered("s"), make.opened("p", mandate={"gross_max": 0.9})]
    made.append(make.close({"A": 10.0}, T0 + SECOND))
    made.append(changed(make, T0 + 2 * SECOND, net_min=0.5, net_max=0.4))
    made.append(make.signal("s", "A", AT))
    made.append(changed(make, AT + SECOND, gross_max=0.7, net_max=0.6))
    return [*made, make.signal("s", "A", AT + HOUR)]


def test_a_refused_mandate_leaves_the_old_one_in_force() -> None:
    make = Inputs()
    log = run(days(make), end=AT + 2 * HOUR)
    (refused,) = events_of(log, InputRejected)
    assert (refused.event, refused.portfolio) == ("MandateChanged", "p")
    assert refused.reason is InputRejection.CONTRADICTORY_MANDATE
    assert refused.detail == "cannot hold together: net_min 0.5, net_max 0.4"
    first, *_, last = events_of(log, AllocationDecided)
    bounds = [
        next(use.bound for use in one.limits if use.limit == "gross_max") for one in (first, last)
    ]
    assert bounds == [0.9, 0.7]


def test_every_decision_and_view_names_the_version_it_was_made_under() -> None:
    make = Inputs()
    log = run(days(make), end=AT + 2 * HOUR)
    decided = events_of(log, AllocationDecided)
    assert [one.mandate_version for one in decided] == [
        1 if one.decided_at < AT + SECOND else 2 for one in decided
    ]
    assert {one.mandate_version for one in decided} == {1, 2}
    views = events_of(log, PortfolioViewUpdated)
    assert {one.mandate_version for one in views} == {1, 2}
    assert views[-1].mandate_version == 2


def test_a_portfolio_that_could_keep_nothing_is_not_opened() -> None:
    make = Inputs()
    inputs = [make.opened("p", mandate={"net_min": 0.5, "gross_max": 0.4}), make.opened("q")]
    state = state_after(inputs, end=AT)
    assert sorted(state.portfolios) == ["q"]


def test_the_version_and_all_limits_survive_a_checkpoint() -> None:
    make = Inputs()
    soft = [{"limit": "sectors", "priority": 3}]
    bound = {"sectors": [{"sector": "Tech", "max": 0.3}], "soft": soft, "lot_multiple": 5}
    exposures = [{"factor": "value", "exposure": -0.5}]
    inputs = [make.listed("A", sector="Tech", factors=exposures), make.opened("p")]
    inputs += [changed(make, AT, **bound), changed(make, AT + SECOND, **bound)]
    state = state_after(inputs, end=AT + HOUR)
    again = decode_state(encode_state(state))
    portfolio = again.portfolios["p"]
    assert portfolio.mandate_version == 3
    assert portfolio.mandate == state.portfolios["p"].mandate
    assert again.market.instruments["A"].factors == (("value", -0.5),)
    assert encode_state(again) == encode_state(state)


FULL: dict[str, Any] = {
    "position_max": 0.3, "position_min": -0.1, "net_max": 0.8, "leverage_max": 1.2,
    "volatility_max": 0.3, "drawdown_max": 0.2, "days_to_liquidate_max": 2.0,
    "volume_share_max": 0.5, "lot_multiple": 3, "restricted": ["C"],
    "must_hold": [{"instrument": "B", "min": 0.02}],
    "sectors": [{"sector": "Tech", "max": 0.25}],
    "factors": [{"factor": "market", "max": 1.5}, {"factor": "value", "min": -0.5}],
    "soft": [{"limit": "net_max", "priority": 2}, {"limit": "sectors", "priority": 1}],
}  # fmt: skip


def busy(make: Inputs) -> list[Input]:
    exposures = [{"factor": "value", "exposure": -0.5}]
    made = [make.listed("A", sector="Tech", factors=exposures), make.listed("B"), make.listed("C")]
    made += [make.registered("s"), make.opened("p", mandate=FULL)]
    for day in range(6):
        prices = {"A": 10.0 + day, "B": 20.0 - day, "C": 5.0 + day % 2}
        made.append(make.close(prices, T0 + day * DAY + SECOND))
        made.append(make.signal("s", "ABC"[day % 3], T0 + day * DAY + HOUR, confidence=0.9))
        made.append(make.fill("p", "A", "30", "10", T0 + day * DAY + 2 * HOUR))
    made.insert(12, changed(make, made[11].at + 1, **(FULL | {"gross_max": 0.6})))
    return made


def test_a_restart_at_any_record_decides_the_same_under_every_kind_of_limit() -> None:
    log = lay(busy(Inputs()), MemoryLog(clock=zero_clock), shards=1, end=T0 + 7 * DAY)
    whole = engine(0, 1)
    records = list(log.read("journal", 0))
    said = [whole.step(record) for record in records]
    decided = [e for one in said for e in map(decode_output, one)]
    assert {e.event.mandate_version for e in decided if isinstance(e.event, AllocationDecided)} == {
        1, 2,
    }  # fmt: skip
    once = engine(0, 1)
    for record, then in zip(records, said, strict=True):
        assert once.step(record) == then
        again = engine(0, 1)
        again.restore(once.checkpoint())
        once = again

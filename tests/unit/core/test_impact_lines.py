"""What decisions say of their impact: consistent with the rest of them, bounded, and true."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from coordinator.core.allocate import situation
from coordinator.core.impact import effective_names, trading
from coordinator.core.impact_lines import RISKS_MAX, impacts, setting_of
from coordinator.core.ports import Allocation
from coordinator.learning import ChosenRisk
from replay.problems import situation_at
from schemas.canonical import canonical_bytes
from schemas.decisions import AllocationDecided
from schemas.impact import Impact
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run, state_after
from tests.recorded import end_of, recorded

INPUTS = recorded(3)
DECISIONS = events_of(run(INPUTS, end=end_of(INPUTS)), AllocationDecided)


def sides(one: AllocationDecided) -> tuple[Impact, Impact]:
    assert one.impact_before is not None
    assert one.impact_after is not None
    return one.impact_before, one.impact_after


def test_every_decision_tells_its_impact_in_line_with_its_profile() -> None:
    assert len(DECISIONS) > 30
    for one in DECISIONS:
        year = math.sqrt(252.0 / one.horizon_sessions)
        for told, profile in zip(sides(one), (one.before, one.after), strict=True):
            assert told.volatility_year == pytest.approx(profile.volatility * year, abs=1e-12)
            assert told.var_99 >= told.var_95
            assert told.shortfall_95 >= told.var_95
            long, short = (
                sum(getattr(s, side) for s in told.sectors) for side in ("long", "short")
            )
            assert long - short == pytest.approx(profile.gross, abs=1e-12)
            assert long + short == pytest.approx(profile.net, abs=1e-12)
            if profile.positions:
                assert told.effective_names is not None
                assert 1.0 - 1e-9 <= told.effective_names <= profile.positions + 1e-9
            if 0 < profile.positions <= RISKS_MAX:
                assert sum(line.share for line in told.risks) == pytest.approx(1.0)


def test_factors_are_those_of_the_weights_that_the_decision_tells() -> None:
    exposure = {f"N{i}": i - 2.5 for i in range(6)}
    told = 0
    for one in DECISIONS:
        for side, impact in zip(("weight_before", "weight"), sides(one), strict=True):
            value = sum(exposure[t.instrument] * getattr(t, side) for t in one.targets)
            (found,) = (line.exposure for line in impact.factors if line.factor == "value")
            assert found == pytest.approx(value, abs=1e-12)
            told += value != 0.0
    assert told > 30


def test_a_decision_that_trades_nothing_changes_nothing() -> None:
    still = [one for one in DECISIONS if not one.trades and one.turnover == 0.0]
    assert still
    for one in still:
        before, after = sides(one)
        assert before == after


def test_a_decision_is_written_and_read_with_its_impact() -> None:
    for one in DECISIONS:
        assert AllocationDecided.model_validate_json(canonical_bytes(one)) == one


def world(make: Inputs, count: int, *, volume: float = 1e6, **costs: Any) -> list[Input]:
    names = [f"N{i:02d}" for i in range(count)]
    inputs = [make.listed(name, sector="old") for name in names]
    terms: dict[str, Any] = {"mandate": {"position_max": 0.5}, "mode": "aggressive", "costs": costs}
    inputs += [make.registered("s"), make.opened("p", cash="100000", **terms)]
    for n in range(2):
        units = [volume] * count
        prices = dict.fromkeys(names, 10.0 + n)
        at = T0 + n * DAY + HOUR
        inputs.append(make.prices(prices, at, kind="bar", volume=units, session_close=True))
    said = {"strength": 0.9, "confidence": 0.9}
    return inputs + [make.signal("s", name, T0 + 2 * DAY, **said) for name in names]


def last(inputs: list[Input]) -> Impact:
    return sides(events_of(run(inputs, end=inputs[-1].at + HOUR), AllocationDecided)[-1])[1]


def test_so_many_instruments_have_a_line_the_largest_shares_first() -> None:
    found = last(world(Inputs(), 14))
    assert len(found.risks) == RISKS_MAX
    shares = [abs(line.share) for line in found.risks]
    assert shares == sorted(shares, reverse=True)


def test_a_trade_is_measured_against_the_volume_and_an_unknown_one_by_nothing() -> None:
    found = last(world(Inputs(), 1, volume=1000.0))
    assert found.volume_share_max is not None
    assert found.volume_share_max == pytest.approx(found.sectors[0].long * 100_000 / 11.0 / 1000.0)
    assert found.days_to_sell_max == pytest.approx(found.volume_share_max / 0.1)
    idle = last(world(Inputs(), 1, volume=0.0))
    assert (idle.volume_share_max, idle.days_to_sell, idle.days_to_sell_max) == (None, None, None)
    assert idle.sectors[0].long > 0.1


@pytest.mark.parametrize("volume", [1e-300, 5e-308])
def test_a_volume_next_to_nothing_takes_as_long_as_can_be_told(volume: float) -> None:
    found = last(world(Inputs(), 1, volume=volume))
    assert found.days_to_sell_max == 1e18
    assert found.volume_share_max == 1e18


def test_weights_too_small_to_be_squared_are_no_names() -> None:
    assert effective_names(np.array([1e-200, 1e-220])) is None


def test_an_instrument_that_is_listed_anew_is_in_its_new_sector_from_then_on() -> None:
    make = Inputs()
    inputs = world(make, 2)
    at = inputs[-1].at + SECOND
    assert [line.sector for line in last(inputs).sectors] == ["old"]
    inputs += [make.listed("N00", at, sector="new"), make.signal("s", "N00", at + SECOND)]
    inputs.append(make.signal("s", "N01", at + HOUR))
    assert [line.sector for line in last(inputs).sectors] == ["new", "old"]


@pytest.mark.parametrize("prior", [None, 1e6])
def test_a_decision_tells_one_cost_of_impact_whatever_is_known_of_volumes(
    prior: float | None,
) -> None:
    """A close of today tells a volume of A, and nothing one of B."""
    make = Inputs()
    inputs = [make.listed("A"), make.listed("B"), make.registered("s")]
    inputs.append(make.make("control", "ParametersChanged", T0, parameters={"volume_prior": prior}))
    inputs.append(make.opened("p", costs={"impact": 1.0}))
    inputs.append(make.close({"A": 10.0}, T0))
    inputs.append(make.prices({"B": 10.0}, T0 + 1, kind="bar", session_close=True))
    inputs += [make.signal("s", name, T0 + HOUR) for name in ("A", "B")]
    decided = events_of(run(inputs, end=T0 + DAY), AllocationDecided)[-1]
    _, after = sides(decided)
    assert {trade.instrument for trade in decided.trades} == {"A", "B"}
    assert decided.cost_impact > 0.0
    assert after.impact_cost == decided.cost_impact
    state, portfolio, found = situation_at(run(inputs, end=T0 + DAY), decided.decision_id)
    trades = np.array([one.weight - one.weight_before for one in decided.targets])
    told = trading(setting_of(state, portfolio, found), trades)
    assert (told.costs > 0.0).tolist() == [True, prior is not None]


def test_a_portfolio_that_states_no_impact_reckons_with_none() -> None:
    state = state_after(world(Inputs(), 3), follows=True)
    portfolio = state.portfolios["p"]
    found = situation(state, portfolio, ChosenRisk())
    assert found is not None
    assert portfolio.costs.impact == 0.0
    nothing = np.zeros(3)
    answer = Allocation(
        nothing, nothing, nothing, "hold", "none", "", 0, 0.0, 0.0, 0.0, 0.0, (), ()
    )
    before, after = impacts(state, portfolio, found, answer)
    assert before == after
    assert after.impact_cost == 0.0

"""Outcomes of pairs, of ranks and of scores across names, and when what is believed changes."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import pytest

from tests.journals import DAY, HOUR, T0, Inputs, state_after
from tests.unit.core.test_outcomes import FEW, SIGMA, opening, signal


def test_a_pair_ends_with_the_difference_of_both_returns_and_of_both_betas() -> None:
    make = Inputs()
    pair = {"against": [{"instrument": "B", "weight": 0.5}]}
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, **pair)]
    inputs.append(make.close({"A": 100.0, "B": 50.0}, T0 + DAY))
    inputs.append(make.close({"A": 103.0, "B": 51.0}, T0 + 2 * DAY))
    state = state_after(inputs)
    (found,) = state.outcomes.ended.values()
    market = 0.025  # the mean of three and of two percent
    spread = 0.03 - 0.5 * 0.02 - 0.5 * market
    scale = SIGMA * (1.25 - 2 * 0.5 * state.parameters.risk_correlation_prior) ** 0.5
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert found.outcome == pytest.approx(spread / scale, rel=1e-3)


def test_a_split_of_a_leg_is_no_return_of_the_pair() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, against=[{"instrument": "B"}])]
    inputs.append(make.close({"A": 100.0, "B": 50.0}, T0 + DAY))
    split = {"instrument": "B", "kind": "split", "ratio": "2", "effective_at": T0 + DAY + HOUR}
    inputs.append(make.make("market", "CorporateActionAnnounced", T0 + DAY + 1, **split))
    inputs.append(make.close({"A": 100.0, "B": 25.0}, T0 + 2 * DAY))
    (found,) = state_after(inputs).outcomes.ended.values()
    assert found.outcome == pytest.approx(0.0, abs=1e-9)


def test_a_pair_waits_until_its_leg_has_a_price() -> None:
    make = Inputs()
    changed = make.make("control", "ParametersChanged", T0, parameters=FEW)
    inputs = [changed, make.listed("A"), make.listed("B"), make.registered("s")]
    inputs.append(make.close({"A": 100.0}, T0 + HOUR))
    inputs.append(signal(make, T0 + 2 * HOUR, against=[{"instrument": "B"}]))
    inputs.append(make.close({"A": 100.0}, T0 + DAY))
    assert state_after(inputs).outcomes.entered == {}
    inputs.append(make.close({"A": 100.0, "B": 5.0}, T0 + 2 * DAY))
    (found,) = state_after(inputs).outcomes.entered.values()
    assert (found.price, found.legs) == (100.0, (5.0,))


def test_a_rank_teaches_by_its_names_own_return() -> None:
    make = Inputs()
    terms = {"direction": None, "strength": None, "rank": 2, "rank_of": 2}
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR, **terms)]
    inputs.append(make.close({"A": 100.0, "B": 100.0}, T0 + DAY))
    inputs.append(make.close({"A": 102.0, "B": 100.0}, T0 + 2 * DAY))
    (found,) = state_after(inputs).outcomes.ended.values()
    assert found.signal.score == pytest.approx(0.5895, abs=1e-3)  # Phi^-1(1.625 / 2.25)
    assert found.outcome == pytest.approx(0.01 / SIGMA, rel=1e-3)


def test_scores_across_names_are_those_of_all_that_came_with_them() -> None:
    make = Inputs()
    names = "ABCDE"
    inputs = [make.make("control", "ParametersChanged", T0, parameters=FEW)]
    inputs += [*map(make.listed, names), make.registered("s", normalisation="rank")]
    inputs.append(make.close(dict.fromkeys(names, 100.0), T0 + HOUR))
    inputs += [
        make.signal("s", name, T0 + 2 * HOUR, expected_return=0.01 * i, horizon_sessions=1.0)
        for i, name in enumerate(names, 1)
    ]
    inputs.append(make.close(dict.fromkeys(names, 100.0), T0 + DAY))
    entered = state_after(inputs).outcomes.entered.values()
    scores = {one.signal.instrument: one.signal.score for one in entered}
    assert [scores[name] for name in names] == pytest.approx(
        [NormalDist().inv_cdf((rank - 0.375) / 5.25) for rank in range(1, 6)]
    )


def test_what_is_believed_changes_with_outcomes_and_closes_not_when_signals_enter() -> None:
    make = Inputs()
    inputs = [*opening(make), signal(make, T0 + 2 * HOUR)]
    before = state_after(inputs).learned
    inputs.append(make.prices({"A": 101.0}, T0 + 3 * HOUR))
    after = state_after(inputs)
    assert len(after.outcomes.entered) == 1
    assert after.learned == before


def test_a_score_across_names_knows_nothing_that_was_said_after_its_price() -> None:
    make, names = Inputs(), "ABCDEF"
    inputs = [make.make("control", "ParametersChanged", T0, parameters=FEW)]
    inputs += [*map(make.listed, names), make.registered("s", normalisation="zscore")]
    inputs.append(make.close(dict.fromkeys(names, 100.0), T0 + HOUR))
    inputs += [
        make.signal("s", name, T0 + 2 * HOUR, expected_return=0.01 * i, horizon_sessions=1.0)
        for i, name in enumerate(names, 1)
    ]
    # After the close, and before anybody was told of it.
    late = {"expected_return": -0.9, "horizon_sessions": 1.0}
    inputs.append(make.signal("s", "F", T0 + DAY + HOUR // 2, **late))
    told = make.close(dict.fromkeys(names, 100.0), T0 + DAY)
    inputs.append(replace(told, at=T0 + DAY + HOUR))
    entered = state_after(inputs).outcomes.entered.values()
    scores = {one.signal.instrument: one.signal.score for one in entered}
    # F's own is gone with its revision; the others' are of what was known, less F.
    assert [scores[name] for name in "ABCDE"] == pytest.approx(
        [-(2**0.5), -(0.5**0.5), 0.0, 0.5**0.5, 2**0.5]
    )

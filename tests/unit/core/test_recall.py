"""What was worked out before is found by all its inputs, and never changes a bit."""

from __future__ import annotations

import weakref

import pytest

from coordinator.core.allocate import situation
from coordinator.core.market import Market
from coordinator.core.ports import Floats, RiskSettings
from coordinator.core.recall import Recall
from coordinator.core.state import Spread, State
from coordinator.learning import PriorBlendedCovariance
from schemas.control import Parameters
from tests.journals import DAY, T0, Inputs
from tests.unit.core.planted import feed, state_of, view

SETTINGS = RiskSettings(0.02, 0.3, 60.0)
RISK = PriorBlendedCovariance()


def covariance(market: Market, horizon: float = 5.0, names: tuple[str, ...] = ("A", "B")) -> Floats:
    return market.risk(
        names, currency="USD", horizon=horizon, risk_model=RISK, settings=SETTINGS
    ).covariance


def planted() -> State:
    state = state_of()
    for one in (view(), view(instrument="B", direction=None, raw=0.3)):
        state.views[one.key] = one
    return state


def opinion(state: State) -> Floats:
    found = situation(state, state.portfolios["p"], RISK)
    assert found is not None
    return found.combination.mu


def test_what_was_not_asked_for_longest_goes_first() -> None:
    recall: Recall[int] = Recall(entries_max=2)
    for key in (1, 2, 1, 3):
        assert recall.get(key, lambda key=key: 10 * key) == 10 * key  # type: ignore[misc] # its default
    assert recall.get(1, lambda: -1) == 10
    assert recall.get(2, lambda: -1) == -1
    assert len(recall) == 2


def test_objects_that_must_be_the_same_are_not_told_by_their_value() -> None:
    recall: Recall[int] = Recall(entries_max=4)
    one, equal = view(), view()
    assert one == equal
    assert recall.get("k", lambda: 1, same=(one,)) == 1
    assert recall.get("k", lambda: 2, same=(equal,)) == 2
    assert recall.get("k", lambda: 3, same=(one, one)) == 3
    assert recall.get("other", lambda: 4, same=(one,)) == 4
    assert recall.get("k", lambda: 5, same=(one,)) == 1


def test_what_must_be_the_same_lives_as_long_as_its_result() -> None:
    recall: Recall[int] = Recall(entries_max=1)
    named = PriorBlendedCovariance()
    alive = weakref.ref(named)
    recall.get(None, lambda: 1, same=(named,))
    del named
    assert alive() is not None
    recall.get("another", lambda: 2)
    assert alive() is None


def test_a_covariance_is_the_same_array_until_a_return_changes() -> None:
    state = state_of()
    make = Inputs()
    first = covariance(state.market)
    assert covariance(state.market) is first
    assert covariance(state.market, horizon=6.0) is not first
    assert covariance(state.market, names=("A",)).shape == (1, 1)
    feed(state, make.close({"A": 11.0, "B": 19.0}, T0 + DAY))
    second = covariance(state.market)
    assert second is not first
    assert second[0, 0] != first[0, 0]


def test_nobody_can_write_to_a_shared_covariance() -> None:
    with pytest.raises(ValueError, match="read-only"):
        covariance(state_of().market)[0, 0] = 1.0


def test_an_opinion_is_shared_while_everything_it_is_made_of_is_the_same() -> None:
    state = planted()
    first = opinion(state)
    assert opinion(state) is first
    assert len(state.opinions) == 1


def test_whatever_an_opinion_is_made_of_makes_another() -> None:
    changes = {
        "a view": lambda s: s.views.update({view().key: view(strength=0.4)}),
        "an equal view of another kind": lambda s: s.views.update(
            {view().key: view(direction=1.0)}
        ),
        "a source's spread": lambda s: s.sources["s"].spreads.update(
            {"expected_return": Spread(40.0, 1.0)}
        ),
        "parameters": lambda s: setattr(s, "parameters", Parameters(skill_prior=0.2)),
        "time": lambda s: setattr(s.market, "session", 3),
        "returns": lambda s: feed(s, Inputs().close({"A": 11.0, "B": 25.0}, T0 + DAY)),
    }
    for what, change in changes.items():
        state, fresh = planted(), planted()
        before = opinion(state)
        change(state)
        change(fresh)
        assert opinion(state) is not before, what
        assert opinion(state).tobytes() == opinion(fresh).tobytes(), what

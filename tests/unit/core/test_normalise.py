"""Scores across names: without what is common to them, of unit variance, or of their order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coordinator.core.normalise import (
    crossed_scores,
    forecasts_of,
    ranks,
    winsorised_scores,
)
from coordinator.core.state import Source, View, ViewKey
from schemas.control import Normalisation, Parameters, SourceRegistered
from schemas.decisions import AllocationDecided
from tests.journals import DAY, HOUR, T0, Inputs, events_of, run
from tests.unit.core.planted import view

USUAL = Parameters()
numbers = arrays(np.float64, st.integers(3, 40), elements=st.floats(-100, 100, width=32))


def source(normalisation: Normalisation) -> Source:
    return Source(
        SourceRegistered(event_id="1", event_time=0, source="s", normalisation=normalisation)
    )


def forecasts(raws: list[float], **fields: str) -> list[View]:
    return [
        view(
            signal_id=f"{fields}{i}",
            instrument=f"N{i}",
            direction=None,
            raw=raw,
            form="expected_return",
            **fields,
        )
        for i, raw in enumerate(raws)
    ]


@given(raw=numbers, shift=st.floats(-50, 50), scale=st.floats(0.1, 10))
def test_scores_know_neither_the_level_nor_the_scale(
    raw: np.ndarray, shift: float, scale: float
) -> None:
    found = winsorised_scores(raw, most=2.5)
    assert abs(found.mean()) < 1e-6
    assert found.std() == pytest.approx(1.0) or not found.any()
    assert winsorised_scores(raw * scale, most=2.5) == pytest.approx(found, abs=1e-6)
    gaps = np.diff(np.unique(raw))
    if gaps.min(initial=1.0) > 1e-3:  # so that a shift's rounding makes none the same
        assert winsorised_scores(raw + shift, most=2.5) == pytest.approx(found, abs=1e-6)


def test_one_that_is_far_out_does_not_take_the_others_scores() -> None:
    usual = np.linspace(-1.0, 1.0, 20)
    wild = np.append(usual, 1e6)
    plain = np.abs((wild - wild.mean()) / wild.std())[:-1].max()
    assert np.ptp(winsorised_scores(wild, most=2.5)[:-1]) > 2.0 > plain


@given(raw=numbers)
def test_ranks_keep_the_order_and_ties_share_their_place(raw: np.ndarray) -> None:
    found = ranks(raw)
    for i in range(len(raw)):
        for j in range(len(raw)):
            if raw[i] == raw[j]:
                assert found[i] == found[j]
            elif raw[i] < raw[j]:
                assert found[i] < found[j]
    assert not found.any() or abs(found.mean()) < 0.2


def live(views: list[View]) -> dict[ViewKey, View]:
    return {one.key: one for one in views}


def scored(views: list[View], normalisation: Normalisation) -> dict[str, float]:
    sources = {"s": source(normalisation)}
    return crossed_scores(forecasts_of(live(views), sources, ["s"]), sources, USUAL)


def test_only_strategies_that_ask_for_it_are_normalised_and_of_too_few_names_nothing_is_said() -> (
    None
):
    raws = [0.1, 0.2, 0.3, 0.4, 0.9]
    views = forecasts(raws)
    assert scored(views, "spread") == {}
    assert list(scored(views[:4], "zscore").values()) == [0.0] * 4
    assert list(scored(views, "rank").values()) == pytest.approx(ranks(np.array(raws)).tolist())


def test_each_strategy_is_a_cross_section_of_its_own_and_directions_are_in_none() -> None:
    first, second = forecasts([1, 2, 3, 4, 5]), forecasts([10, 20, 30, 40, 50], strategy="t")
    mixed = [*first, view(direction=1), *second]
    named = [one._replace(signal_id=str(i)) for i, one in enumerate(mixed)]
    found = scored(named, "zscore")
    assert sorted(found) == sorted(f"s/{i}" for i in range(11) if i != 5)
    assert [found[f"s/{i}"] for i in range(5)] == pytest.approx(
        [found[f"s/{i}"] for i in range(6, 11)]
    )


def test_a_score_is_the_same_whoever_hears_the_others() -> None:
    """What is common to all that is forecast is no opinion of the few that a portfolio may hold."""
    make = Inputs()
    names = [f"N{i}" for i in range(8)]
    inputs = [*map(make.listed, names), make.registered("s", normalisation="zscore")]
    inputs += [make.opened("all"), make.opened("few", mandate={"universe": names[:2]})]
    inputs.append(make.close(dict.fromkeys(names, 10.0), T0 + HOUR))
    inputs += [
        make.signal("s", name, T0 + 2 * HOUR, expected_return=0.05 + 0.01 * i)
        for i, name in enumerate(names)
    ]
    uses = {
        (one.portfolio, use.instrument): use.score
        for one in events_of(run(inputs, end=T0 + DAY), AllocationDecided)
        for use in one.signals
    }
    assert uses["few", "N0"] == uses["all", "N0"] < -1.0
    assert uses["few", "N1"] == uses["all", "N1"] < 0.0


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 5e-324, 0.0])
def test_forecasts_of_next_to_nothing_score_nothing(scale: float) -> None:
    raw = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) * scale
    assert winsorised_scores(raw, most=2.5).tolist() == [0.0] * 5

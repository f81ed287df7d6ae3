"""Scores across names: without what is common to them, of unit variance, or of their order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coordinator.core.normalise import across, ranks, winsorised_scores
from coordinator.core.state import Source, View
from schemas.control import Normalisation, Parameters, SourceRegistered
from tests.unit.core.planted import view

USUAL = Parameters()
numbers = arrays(np.float64, st.integers(3, 40), elements=st.floats(-100, 100, width=32))


def source(normalisation: Normalisation) -> Source:
    return Source(
        SourceRegistered(event_id="1", event_time=0, source="s", normalisation=normalisation)
    )


def forecasts(raws: list[float], **fields: str) -> list[View]:
    return [
        view(instrument=f"N{i}", direction=None, raw=raw, form="expected_return", **fields)
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


def test_only_strategies_that_ask_for_it_and_have_enough_names_are_normalised_across() -> None:
    raws = [0.1, 0.2, 0.3, 0.4, 0.9]
    views = forecasts(raws)
    assert across(views, {"s": source("spread")}, USUAL) == {}
    assert across(views[:4], {"s": source("zscore")}, USUAL) == {}
    assert sorted(across(views, {"s": source("zscore")}, USUAL)) == [0, 1, 2, 3, 4]
    by_order = across(views, {"s": source("rank")}, USUAL)
    assert list(by_order.values()) == pytest.approx(ranks(np.array(raws)))


def test_each_strategy_is_a_cross_section_of_its_own_and_directions_are_in_none() -> None:
    first, second = forecasts([1, 2, 3, 4, 5]), forecasts([10, 20, 30, 40, 50], strategy="t")
    mixed = [*first, view(direction=1), *second]
    found = across(mixed, {"s": source("zscore")}, USUAL)
    assert sorted(found) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert [found[i] for i in range(5)] == pytest.approx([found[i] for i in range(6, 11)])

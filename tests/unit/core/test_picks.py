"""Picks: pairs, baskets and ranks as weights of instruments, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.picks import ALONE, exposures, is_plain, picked
from coordinator.core.state import View
from tests.unit.core.planted import view

PLACES = {"A": 0, "B": 1, "C": 2}


def ranked(name: str, **fields: str) -> View:
    return view(instrument=name, direction=None, form="rank", raw=0.3, **fields)


def weights(views: list[View]) -> np.ndarray:
    found = picked(views, PLACES)
    assert min(found.own) >= 0
    return exposures(found.own, [found.legs[i] for i in found.kind], width=3)


def test_views_of_instruments_alone_are_plain() -> None:
    assert is_plain([view(), view(instrument="B", direction=None, raw=1.0)])
    assert not is_plain([view(), ranked("B")])
    assert not is_plain([view(against=(("B", 1.0),))])


def test_a_pair_and_a_basket_sell_what_they_are_against() -> None:
    pair, basket = view(against=(("B", 1.0),)), view(against=(("B", 0.25), ("C", 0.75)))
    assert weights([pair, basket]).tolist() == [[1.0, -1.0, 0.0], [1.0, -0.25, -0.75]]


def test_ranks_are_against_the_mean_of_all_that_their_strategy_ranks_now() -> None:
    rows = weights([ranked("A"), ranked("B"), ranked("C")])
    assert rows == pytest.approx(np.eye(3) - 1.0 / 3.0)
    assert rows.sum(axis=1) == pytest.approx(0.0)
    other = weights([ranked("A"), ranked("A", strategy="t"), ranked("B", strategy="t"),
                     ranked("C")])  # fmt: skip
    assert other[0] == pytest.approx([0.5, 0.0, -0.5])
    assert other[1] == pytest.approx([0.5, -0.5, 0.0])


def test_what_has_a_leg_that_cannot_be_judged_or_nobody_beside_it_has_no_pick() -> None:
    lonely, broken = ranked("A"), view(instrument="B", against=(("Z", 1.0),))
    found = picked([lonely, broken, view(instrument="C"), view(instrument="Z")], PLACES)
    assert list(found.own) == [-1, -1, 2, -1]
    assert found.legs[found.kind[2]] == ALONE


def test_the_same_legs_are_one_pick_whoever_speaks() -> None:
    views = [view(against=(("B", 1.0),)), view(source="u", against=(("B", 1.0),))]
    found = picked(views, PLACES)
    assert found.kind[0] == found.kind[1] > 0
    both = picked([ranked("A"), ranked("B"), ranked("A", source="u"), ranked("B", source="u")],
                  PLACES)  # fmt: skip
    assert len(set(both.kind)) == 1

"""Likeness: what is assumed of two sources, and of two of one group."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.likeness import Pairs, errors_between
from coordinator.core.ports import Floats
from coordinator.core.skill import Forecasts
from coordinator.core.state import Source
from schemas.control import Parameters, SourceRegistered


def sources(**groups: str | None) -> dict[str, Source]:
    return {
        name: Source(SourceRegistered(event_id=name, event_time=0, source=name, error_group=group))
        for name, group in groups.items()
    }


def test_sources_of_one_group_err_together_more_than_others() -> None:
    known = sources(a="vendor", b="vendor", c=None, d=None)
    found = errors_between(sorted(known), known, Pairs(), Parameters(view_correlation=0.1))
    assert found.tolist() == [
        [1.0, 0.5, 0.1, 0.1],
        [0.5, 1.0, 0.1, 0.1],
        [0.1, 0.1, 1.0, 0.1],
        [0.1, 0.1, 0.1, 1.0],
    ]


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("between", [0.0, 0.4, 0.98])
def test_it_is_positive_definite_whatever_the_groups(alike: float, between: float) -> None:
    known = sources(a="x", b="x", c="y", d="y", e=None, f="x")
    parameters = Parameters(view_correlation=between, group_correlation=alike)
    found = errors_between(sorted(known), known, Pairs(), parameters)
    assert float(np.linalg.eigvalsh(found).min()) > 0.0


def heard(scores: dict[str, Floats], *, weight: float = 1.0) -> Pairs:
    """All speak of every name, a hundred names at a time."""
    pairs = Pairs()
    count = len(next(iter(scores.values())))
    for start in range(0, count, 100):
        pairs.add([
            (source, f"N{i}", float(said[start + i]), weight)
            for source, said in scores.items() for i in range(min(100, count - start))
        ])  # fmt: skip
    return pairs


def test_copies_are_recognised_and_strangers_are_not() -> None:
    rng = np.random.default_rng(1)
    own, other = rng.standard_normal((2, 5_000))
    known = sources(a=None, b=None, copy=None)
    pairs = heard({"a": own, "b": other, "copy": own})
    found = errors_between(["a", "b", "copy"], known, pairs, Parameters())
    assert found[0, 2] == pytest.approx(0.98, abs=0.005)
    assert found[0, 1] < 0.05
    assert found[1, 2] < 0.05


def test_an_inverted_copy_is_a_copy_of_the_view() -> None:
    rng = np.random.default_rng(1)
    own = rng.standard_normal(5_000)
    known = sources(a=None, mirror=None)
    for name, rho in (("a", 0.1), ("mirror", -0.1)):
        known[name].skill.by_horizon[2] = Forecasts(sz=rho * 1e6, ss=1e6)
    pairs = heard({"a": own, "mirror": -own})
    found = errors_between(["a", "mirror"], known, pairs, Parameters())
    assert found[0, 1] == pytest.approx(0.98, abs=0.005)


def test_what_both_know_is_no_common_error() -> None:
    rng = np.random.default_rng(1)
    truth, one, two = rng.standard_normal((3, 50_000))
    rho = 0.6
    scores = {n: rho * truth + np.sqrt(1 - rho**2) * e for n, e in (("a", one), ("b", two))}
    known = sources(a=None, b=None)
    for name in known:
        known[name].skill.by_horizon[2] = Forecasts(sz=rho * 1e6, ss=1e6)
    found = errors_between(["a", "b"], known, heard(scores), Parameters())
    assert found[0, 1] == pytest.approx(0.0, abs=0.02)


def test_few_opinions_move_what_is_assumed_a_little() -> None:
    known = sources(a=None, b=None)
    pairs = heard({"a": np.ones(10), "b": np.ones(10)})
    found = errors_between(["a", "b"], known, pairs, Parameters(view_correlation=0.2))
    assert 0.2 < found[0, 1] < 0.3


def test_sources_come_one_after_the_other_and_who_is_alone_has_nobody() -> None:
    pairs = Pairs()
    pairs.add([("b", "N1", 1.0, 1.0)])
    assert pairs.names == []
    pairs.add([("b", "N1", 1.0, 1.0), ("a", "N1", 2.0, 0.25)])
    pairs.add([("c", "N1", 1.0, 1.0), ("a", "N2", 2.0, 1.0)])
    assert pairs.names == ["a", "b", "c"]
    assert pairs.products[0].tolist() == [5.0, 1.0, 0.0]
    assert pairs.squares[0].tolist() == [5.0, 1.0, 0.0]
    assert pairs.squares[1].tolist() == [1.0, 1.0, 0.0]


def test_estimates_that_do_not_fit_together_are_made_definite() -> None:
    known = sources(a=None, b=None, c=None)
    pairs = Pairs(["a", "b", "c"], np.zeros((3, 3)), np.full((3, 3), 1e9))
    for i, j, value in ((0, 1, 0.98), (1, 2, 0.98), (0, 2, 0.0)):
        pairs.products[i, j] = pairs.products[j, i] = value * 1e9
    found = errors_between(["a", "b", "c"], known, pairs, Parameters())
    assert float(np.linalg.eigvalsh(found).min()) > 0.0
    assert np.diag(found) == pytest.approx(1.0)

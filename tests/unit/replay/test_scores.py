"""Scores of late decisions: means over the last ones of one portfolio, as they were said."""

from __future__ import annotations

import pytest

from coordinator.core.ports import Append
from replay.scores import LATE, late_scores
from tests.unit.replay.planted import allocation, output_log, quality

MANY = [quality(n / 100, round_number=n) for n in range(1, LATE + 6)]
LAST = len(MANY) - 1


def test_only_the_last_ones_of_the_portfolio_count() -> None:
    log = output_log(*MANY, quality(1.0, portfolio="other"), allocation())
    found = late_scores(log, 0, "p", position=LAST + 2)
    assert found is not None
    assert found.count == LATE
    assert found.score == pytest.approx(sum(one.score for one in MANY[-LATE:]) / LATE)
    assert dict(found.parts) == pytest.approx({"payoff": 0.4, "stability": 0.6})


def test_they_are_those_of_the_moment() -> None:
    found = late_scores(output_log(*MANY), 0, "p", position=1)
    assert found is not None
    assert found.count == 2
    assert found.score == pytest.approx(0.015)


def test_a_repeat_counts_once() -> None:
    log = output_log(*MANY[:2])
    (first, second) = log.read("decisions", 0)
    log.append([Append("decisions", 0, one.payload, 0) for one in (first, second)])
    found = late_scores(log, 0, "p", position=LAST)
    assert found is not None
    assert found.count == 2


def test_a_part_that_not_all_have_has_no_mean() -> None:
    log = output_log(quality(parts=(("payoff", 0.2),)), quality(round_number=2))
    found = late_scores(log, 0, "p", position=LAST)
    assert found is not None
    assert [name for name, _ in found.parts] == ["payoff"]
    assert found.parts[0][1] == pytest.approx(0.3)


def test_where_nothing_was_scored_there_is_no_mean() -> None:
    assert late_scores(output_log(allocation()), 0, "p", position=LAST) is None

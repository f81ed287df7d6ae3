"""The slope of a process's memory, without its warm-up."""

from __future__ import annotations

import pytest

from tests.bench.growth import memory, slope_per_hour, warm_up


def test_the_slope_is_that_of_the_line_per_hour() -> None:
    growing = [(5.0 * n, 100.0 + 0.01 * n) for n in range(200)]  # 10 kB every 5 s
    assert slope_per_hour(growing) == pytest.approx(7.2)
    zigzag = [(t, value + (-1) ** n) for n, (t, value) in enumerate(growing)]
    assert slope_per_hour(zigzag) == pytest.approx(7.2, abs=0.3)


@pytest.mark.parametrize("points", [[], [(1.0, 5.0)], [(1.0, 5.0), (1.0, 7.0)]])
def test_without_a_line_there_is_no_slope(points: list[tuple[float, float]]) -> None:
    assert slope_per_hour(points) == 0.0


def test_the_warm_up_is_five_minutes_or_a_sixth() -> None:
    assert warm_up(30 * 60) == 300
    assert warm_up(20 * 60) == 200
    assert warm_up(8 * 3600) == 300


def test_what_a_process_takes_to_warm_up_is_no_growth() -> None:
    points = [(float(t), min(50.0 + t, 350.0)) for t in range(0, 1200, 5)]
    found = memory(points, warm_s=300)
    assert found["slope_mb_per_hour"] == 0.0
    assert found["rss_warm_mb"] == found["rss_max_mb"] == found["rss_end_mb"] == 350.0
    assert memory(points, warm_s=0)["slope_mb_per_hour"] > 100
    assert memory(points[:3], warm_s=300) == {}

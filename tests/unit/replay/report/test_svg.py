from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.report.svg import NARROW, WIDE, Layer, Size, bars, columns, diverging, lines, ticks

counts = st.integers(1, 10**6)
numbers = st.floats(-1e9, 1e9, allow_nan=False)
names = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=40
)


def spell(value: float) -> str:
    return f"{value:.2f}"


@given(counts)
def test_ticks_of_a_count_are_whole_and_differ(count: int) -> None:
    marks = ticks(0, count, whole=True)
    assert all(mark == round(mark) for mark in marks)
    assert marks[-1] >= count
    assert 2 <= len(set(marks)) == len(marks) <= 12


@given(numbers, numbers)
def test_ticks_span_the_values_with_few_round_steps(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    marks = ticks(low, high)
    slack = max(abs(low), abs(high), 1e-9) * 1e-6
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= 12


@pytest.mark.parametrize("size", [WIDE, NARROW])
@given(st.lists(st.tuples(names, st.none() | numbers), min_size=1, max_size=12), names)
def test_any_names_and_values_give_well_formed_pictures(
    size: Size, rows: list[tuple[str, float | None]], about: str
) -> None:
    labels = [name for name, _ in rows]
    values = tuple(value for _, value in rows)
    layers = [Layer(about, "p1", values)]
    positive = [Layer(about, "k1", tuple(abs(value or 0) for value in values))]
    for picture in (
        lines(layers, labels, spell, size, about),
        columns(positive, labels, spell, size, about),
        bars(labels, positive, spell, size, about),
        diverging(labels, [value or 0.0 for value in values], spell, size, about),
    ):
        root = ET.fromstring(str(picture))
        assert root.get("aria-label") == about


def test_gap_breaks_the_line() -> None:
    picture = str(lines([Layer("a", "p1", (1.0, None, 2.0))], ["x", "y", "z"], spell, WIDE, "t"))
    assert picture.count("M") == 2


def test_long_name_is_cut_and_told_in_full_on_hover() -> None:
    name = "x" * 100
    picture = str(bars([name], [Layer("a", "k1", (1.0,))], spell, NARROW, "t"))
    assert f"<title>{name}</title>" in picture
    assert f">{name}<title>" not in picture

"""Lists of names that have an end."""

from __future__ import annotations

from coordinator.core.words import listed


def test_few_names_are_all_named() -> None:
    assert listed(()) == ""
    assert listed(("one",)) == "one"
    assert listed([str(i) for i in range(12)]).endswith("10, 11")


def test_many_or_long_names_are_counted() -> None:
    assert listed([str(i) for i in range(40)]).endswith("11, and 28 more")
    long = listed(["x" * 250] * 10)
    assert long.endswith("and 5 more")
    assert len(long) < 1600
    assert listed(["x" * 3000] * 3) == "3 limits"

"""Functions and files stay small, and what is too large only shrinks."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.house.findings import modules, parse
from tests.house.sizes import (
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    Ratchet,
    breaches,
    file_sizes,
    function_sizes,
)

RATCHET = tomllib.loads((Path(__file__).parent / "ratchet.toml").read_text(encoding="utf-8"))


def test_no_file_is_over_its_limit() -> None:
    sizes = {name: lines for module in modules() for name, lines in file_sizes(module).items()}
    assert not breaches(sizes, Ratchet(FILE_LINES_MAX, RATCHET["files"]))


def test_no_function_is_over_its_limit() -> None:
    sizes = {name: lines for module in modules() for name, lines in function_sizes(module).items()}
    assert not breaches(sizes, Ratchet(FUNCTION_LINES_MAX, RATCHET["functions"]))


def test_a_function_is_measured_by_its_qualified_name_and_all_its_lines() -> None:
    text = "class A:\n    def f(\n        self,\n    ) -> int:\n        return 1\n"
    assert function_sizes(parse(text, "x.py")) == {"x.py::A.f": 4}


def test_a_file_is_measured_in_lines() -> None:
    assert file_sizes(parse("a = 1\n\nb = 2\n", "x.py")) == {"x.py": 3}


def test_a_new_large_function_is_a_breach() -> None:
    assert breaches({"f": 61}, Ratchet(60, {})) == ["f: 61 lines, at most 60; split it"]
    assert not breaches({"f": 60}, Ratchet(60, {}))


def test_a_recorded_one_may_stay_but_not_grow() -> None:
    assert not breaches({"f": 70}, Ratchet(60, {"f": 70}))
    assert breaches({"f": 71}, Ratchet(60, {"f": 70}))


def test_a_recorded_one_that_shrank_or_went_must_be_lowered_in_the_record() -> None:
    assert breaches({"f": 65}, Ratchet(60, {"f": 70}))
    assert breaches({"f": 60}, Ratchet(60, {"f": 70}))
    assert breaches({}, Ratchet(60, {"f": 70}))

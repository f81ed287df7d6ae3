"""The page on mandates says what the language and the engine do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from coordinator.core.mandates import SINGLE_MAX, mandate_fault
from coordinator.core.market import Market
from coordinator.importers.errors import ImportFailed
from coordinator.importers.portfolios import parse_book
from schemas.mandates import Mandate, SoftName

PAGE = Path(__file__).parents[3].joinpath("ops/docs/mandates.md").read_text(encoding="utf-8")


def example() -> str:
    return PAGE.split("```toml\n", 1)[1].split("```", 1)[0]


def rows() -> dict[str, str]:
    """What the table says of softness, by field."""
    table = PAGE.split("| --- | --- | --- |\n", 1)[1].split("\n\n", 1)[0]
    found = {}
    for row in table.splitlines():
        fields, _, soft = (cell.strip() for cell in row.strip("|").split("|"))
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", fields), soft))
    return found


def test_the_table_names_every_limit_and_whether_it_may_be_soft() -> None:
    told = rows()
    no_limits = {"sources", "horizon_sessions", "valid_sessions", "soft"}
    no_limits |= {"benchmark", "benchmark_aversion"}
    assert set(told) == set(Mandate.model_fields) - no_limits
    assert {name for name, soft in told.items() if soft == "yes"} == set(get_args(SoftName))


def test_the_example_is_a_mandate() -> None:
    (one,) = parse_book(tomllib.loads(example()), name="page", currency=None).portfolios
    assert [(soft.limit, soft.about) for soft in one.mandate.soft] == [
        ("net_min", None), ("sectors", "Energy"),
    ]  # fmt: skip
    assert mandate_fault(one.mandate, Market(window=2)) is None


def test_the_contradiction_is_told_in_the_words_of_the_page() -> None:
    words = PAGE.split("```text\n", 1)[1].split("\n```", 1)[0]
    narrow = example().replace(
        'instrument = "CEDAR"\nmin = 0.02', 'instrument = "CEDAR"\nmin = 0.12'
    )
    with pytest.raises(ImportFailed) as stopped:
        parse_book(tomllib.loads(narrow), name="page", currency=None)
    assert words in str(stopped.value)
    assert f"more than {SINGLE_MAX} limits" in PAGE


def test_every_anchor_of_the_page_exists() -> None:
    folder = Path(__file__).parents[3] / "ops" / "docs"
    for file, anchor in re.findall(r"\]\((\w[\w-]*\.md)#([a-z-]+)\)", PAGE):
        titles = re.findall(r"^#+ (.*)$", (folder / file).read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert anchor in slugs

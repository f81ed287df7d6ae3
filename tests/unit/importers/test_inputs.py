from __future__ import annotations

from dataclasses import fields
from itertools import chain, combinations
from pathlib import Path

import pytest

from coordinator.importers.errors import InputsMissing
from coordinator.importers.inputs import TABLES, ImportFiles, ImportFrames

PATH = Path("f")
NAMES = (*TABLES, "portfolios")


def given(*names: str) -> ImportFiles:
    return ImportFiles(**dict.fromkeys(names, PATH))


def whole(names: tuple[str, ...], currency: str | None) -> bool:
    try:
        given(*names).check(currency=currency)
    except InputsMissing:
        return False
    return True


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "at least one of --signals, --fills, --positions, --cash"),
        (("prices", "portfolios", "instruments", "actions", "rates"), "at least one of"),
        (("signals", "portfolios"), "signals need prices; give --prices"),
        (("signals", "prices"), "signals need portfolios .* give --portfolios"),
        (("fills",), "no currency; give --currency"),
    ],
)
def test_what_is_missing_is_asked_for_by_its_option(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputsMissing, match=told):
        given(*names).check(currency=None)


@pytest.mark.parametrize("currency", [None, "USD"])
def test_any_other_combination_is_whole(currency: str | None) -> None:
    """Signals need prices; portfolios come from their file, or from rows and a currency."""
    every = chain.from_iterable(combinations(NAMES, n) for n in range(len(NAMES) + 1))
    for names in every:
        named = {"fills", "positions", "cash"} & {*names}
        expected = (
            bool(named or "signals" in names)
            and ("prices" in names or "signals" not in names)
            and ("portfolios" in names or (bool(named) and currency is not None))
        )
        assert whole(names, currency) == expected, names


def test_files_and_frames_take_every_table_and_no_other() -> None:
    for kind in (ImportFiles, ImportFrames):
        assert {field.name for field in fields(kind)} == {*NAMES}
    assert list(given(*reversed(NAMES)).tables) == list(TABLES)
    assert given("cash", "portfolios").paths == (PATH, PATH)

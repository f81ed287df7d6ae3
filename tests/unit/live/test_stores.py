"""What counts as a projection that is not what the log leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.servers_base import CannotStart
from projections.rebuild import Compared, RebuildReport
from projections.sink import ViewDigest
from tests.live import chaos
from tests.live.chaos import Plan
from tests.live.faults import FAULTS, OF_STORES
from tests.live.stores import Stores, unlike

SAME = Compared("signals", ViewDigest(3, "a"), ViewDigest(3, "a"))
ALONE = Compared("signals", ViewDigest(3, "a"), None)


def report(
    *views: Compared, obstacle: str = "", differences: tuple[str, ...] = ()
) -> RebuildReport:
    return RebuildReport("postgres", 9, 0.1, views, obstacle, differences, swapped=False)


def test_equal_views_are_no_fault() -> None:
    assert unlike(report(SAME)) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (report(SAME, differences=("view signals: rebuilt 3 rows, live 2 rows",)), "live 2 rows"),
        (report(SAME, obstacle="the live schema has version 1"), "not compared"),
        (report(ALONE), "nothing to compare"),
        (report(), "nothing to compare"),
    ],
)
def test_what_differs_or_was_not_compared_is_a_fault(found: RebuildReport, said: str) -> None:
    faults = unlike(found)
    assert len(faults) == 1
    assert faults[0].startswith("projection postgres: ")
    assert said in faults[0]


def test_a_run_without_databases_says_so_and_does_without_their_faults() -> None:
    said: list[str] = []
    none = Stores(missing={"postgres": "there is no PostgreSQL", "redis": "there is no Redis"})
    plan = chaos._possible(Plan(3, 1), none, said.append)
    assert set(plan.kinds) == set(FAULTS) - OF_STORES
    assert [line.startswith("NOT CHECKED") for line in said] == [True, True]
    assert "there is no PostgreSQL" in said[0]


def test_a_run_of_nothing_but_their_faults_cannot_be_without_databases() -> None:
    with pytest.raises(CannotStart):
        chaos._possible(Plan(3, 1, tuple(OF_STORES)), Stores(), print)


def test_a_database_that_cannot_be_had_is_noted_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Absent:
        def __init__(self, directory: Path) -> None:
            self.directory = directory

        def start(self) -> None:
            raise CannotStart("postgres", "none was found")

        def remove(self) -> None:
            pass

    monkeypatch.setattr("tests.live.stores.KINDS", {"postgres": Absent})
    stores = Stores()
    stores.start(tmp_path)
    assert stores.servers == {}
    assert "none was found" in stores.missing["postgres"]

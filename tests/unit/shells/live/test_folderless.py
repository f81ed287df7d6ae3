"""Faust starts without a folder of its own, where Faust's own app would leave one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import faust
import pytest

from coordinator.settings import Settings
from coordinator.shells.live.delivery import faust_app


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begin(app: faust.App) -> None:
    """What Faust does first when it is started."""
    asyncio.run(app.on_first_start())


@pytest.mark.parametrize("name", ["engine", "views"])
def test_a_start_leaves_no_folder_where_the_process_was_started(name: str, tmp_path: Path) -> None:
    begin(faust_app(Settings(), name))
    assert list(tmp_path.iterdir()) == []


def test_an_app_of_fausts_own_would_leave_one(tmp_path: Path) -> None:
    """Should Faust rename what makes its folders, the test above would promise nothing."""
    begin(faust.App("plain", broker="kafka://localhost", autodiscover=False, origin=None))
    assert [path.name for path in tmp_path.iterdir()] == ["plain-data"]

"""Targets: what may be written over, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coordinator.log.sqlite import SqliteLog
from replay.errors import OutputExists
from replay.targets import REPORT_MARK, is_log, is_report, refuse_target, written_beside


def _half_written(target: Path) -> None:
    with written_beside(target) as made:
        made.write_text("half")
        raise ZeroDivisionError


def refused(target: Path, *others: Path, force: bool = True) -> str:
    with pytest.raises(OutputExists) as caught:
        refuse_target(target, force=force, ours=is_log, others=others, option="--out")
    return str(caught.value)


def test_a_new_file_may_be_written(tmp_path: Path) -> None:
    refuse_target(tmp_path / "new", force=False, ours=is_log, others=[], option="--out")


def test_a_log_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    SqliteLog(path).close()
    assert "--force" in refused(path, force=False)
    refuse_target(path, force=True, ours=is_log, others=[], option="--out")


def test_force_replaces_nothing_that_is_not_ours(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.pdf"
    thesis.write_bytes(b"%PDF-1.7 years of work")
    assert "not a result of ours" in refused(thesis)
    page = tmp_path / "page.html"
    page.write_bytes(b"<!doctype html>" + REPORT_MARK)
    assert (is_report(page), is_report(thesis), is_log(page)) == (True, False, False)


def test_devices_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull), tmp_path):
        assert "no regular file" in refused(path)


def test_what_takes_part_in_the_run_is_refused_under_any_name(tmp_path: Path) -> None:
    log = tmp_path / "in.sqlite"
    SqliteLog(log).close()
    (tmp_path / "link").symlink_to(log)
    assert "takes part" in refused(log, log)
    assert "takes part" in refused(tmp_path / "link", log)
    assert "takes part" in refused(tmp_path / "same", tmp_path / "same")


@pytest.mark.parametrize("name", ["", ".", "/", "a\x00b", "a" * 300])
def test_a_name_that_is_no_file_is_refused_with_what_to_do(name: str) -> None:
    assert "--out" in refused(Path(name))


def test_a_failed_run_leaves_the_target_and_its_neighbours_as_they_were(tmp_path: Path) -> None:
    target = tmp_path / "run.sqlite"
    neighbours = [tmp_path / "run.sqlite-wal", tmp_path / "run.sqlite.partial"]
    for path in neighbours:
        path.write_text("somebody's")
    with pytest.raises(ZeroDivisionError):
        _half_written(target)
    assert sorted(tmp_path.iterdir()) == sorted(neighbours)
    with written_beside(target) as made:
        made.write_text("whole")
    assert target.read_text() == "whole"
    assert [path.read_text() for path in neighbours] == ["somebody's"] * 2

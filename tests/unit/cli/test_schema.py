"""`coordinator schema` writes what is published, says what is stale, and breaks no promise."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from coordinator.cli import schema
from schemas.export import json_bytes
from schemas.publication import documents


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    schema.add_parser(parser.add_subparsers())
    args = parser.parse_args(["schema", *arguments])
    return int(args.run(args))


def test_a_written_folder_is_up_to_date_and_writing_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "published")
    assert _run("--out", out) == 0
    assert f"{len(documents())} files written" in capsys.readouterr().out
    assert _run("--out", out, "--check") == 0
    assert _run("--out", out) == 0
    assert "0 files written" in capsys.readouterr().out


def test_check_names_the_difference_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("--out", str(tmp_path)) == 0
    (tmp_path / "CashMoved.v1.json").unlink()
    assert _run("--out", str(tmp_path), "--check") == 3
    assert "CashMoved.v1.json: missing" in capsys.readouterr().err


def test_an_incompatible_change_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("--out", str(tmp_path)) == 0
    file = tmp_path / "CashMoved.v1.json"
    wider = json.loads(file.read_bytes())
    wider["properties"]["kind"]["enum"].append("gift")
    file.write_bytes(json_bytes(wider))
    for flags in ((), ("--check",)):
        assert _run("--out", str(tmp_path), *flags) == 3
        assert "values removed: ['gift']" in capsys.readouterr().err
    assert json.loads(file.read_bytes()) == wider


def test_a_folder_that_cannot_be_written_is_a_failure_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_bytes(b"")
    assert _run("--out", str(tmp_path / "taken")) == 1
    assert "taken" in capsys.readouterr().err


def test_the_page_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--markdown") == 0
    assert capsys.readouterr().out.startswith("# Events\n")

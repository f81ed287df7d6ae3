"""`coordinator archive` as a user would type it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.log.sqlite import SqliteLog
from tests.journals import DAY, T0
from tests.support.cut_log import CutLog
from tests.support.lived_log import copy_of, everything, laid, lived


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "run.sqlite"
    with SqliteLog(path) as written:
        lived(written)
    return path


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> CutLog:
    """What the command opens, whatever --log says: a log that can be truncated."""
    log = CutLog(copy_of(laid()))
    monkeypatch.setattr("coordinator.cli.archive.open_live", lambda _: log)
    monkeypatch.setattr(log, "close", lambda: None)
    return log


def test_a_file_is_archived_once_and_read_like_the_file(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = str(tmp_path / "a")
    words = ["archive", "--log", str(source), "--to", to]
    assert main([*words, "--dry-run"]) == 0
    assert "would be sealed" in capsys.readouterr().out
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "journal/0" in told
    assert "sealed and verified" in told
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 0
    assert main(["events", "--log", str(source), "--type", "AllocationDecided"]) == 0
    from_file = capsys.readouterr().out
    assert main(["events", "--log", to, "--type", "AllocationDecided"]) == 0
    assert capsys.readouterr().out == from_file != ""


def test_until_and_shard_are_taken(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["archive", "--log", str(source), "--to", str(tmp_path / "a"), "--shard", "1"]
    assert main([*words, "--until", str(T0 + DAY), "--days", "0.25", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["shard"] for one in told["ranges"]} == {1}
    (journal,) = [one for one in told["ranges"] if one["topic"] == "journal"]
    assert journal["last_time"] < T0 + DAY
    assert journal["segments"] == 2


def test_a_file_is_never_truncated(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["archive", "--log", str(source), "--to", str(tmp_path / "a"), "--truncate"]
    assert main([*words, "--yes"]) == 2
    assert "is for topics" in capsys.readouterr().err


def test_truncation_asks_and_a_no_deletes_nothing(
    topics: CutLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["archive", "--log", "kafka:", "--to", str(tmp_path / "a"), "--truncate"]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(words) == 2
    assert "--yes" in capsys.readouterr().err
    for answer, deletes in (("\n", False), ("n\n", False), ("y\n", True)):
        answering = io.StringIO(answer)
        monkeypatch.setattr(answering, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", answering)
        assert main(words) == (0 if deletes else 1)
        asked = capsys.readouterr()
        assert "delete these records" in asked.err
        assert ("nothing deleted: refused" in asked.out) is not deletes
        assert (topics.begin("journal", 1) > 0) is deletes
        assert ("records deleted, begins at" in asked.out) is deletes


def test_a_refused_truncation_is_not_told_as_done(
    topics: CutLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering = io.StringIO("n\n")
    monkeypatch.setattr(answering, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answering)
    words = ["archive", "--log", "kafka:", "--to", str(tmp_path / "a"), "--truncate", "--json"]
    assert main(words) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["truncated"], told["refused"]) == ([], True)
    assert topics.begin("journal", 1) == 0


def test_yes_deletes_without_asking_and_a_dry_run_only_says(
    topics: CutLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["archive", "--log", "kafka:", "--to", str(tmp_path / "a"), "--truncate"]
    whole = everything(topics)
    assert main([*words, "--dry-run"]) == 0
    assert not (tmp_path / "a").exists()
    assert main(words[:-1]) == 0
    assert main([*words, "--dry-run"]) == 0
    assert "could be deleted now" in capsys.readouterr().out
    assert everything(topics) == whole
    assert main([*words, "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(cut["records"] for cut in told["truncated"]) == len(whole) - len(everything(topics))


@pytest.mark.parametrize("words", [("--days", "0"), ("--until", "yesterday"), ("--shard", "-1")])
def test_impossible_words_are_refused(words: tuple[str, str], source: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["archive", "--log", str(source), "--to", str(tmp_path / "a"), *words])
    assert caught.value.code == 2


def test_a_hole_is_told_and_exits_1(
    topics: CutLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics.truncate("journal", 0, 5)
    assert main(["archive", "--log", "kafka:", "--to", str(tmp_path / "a")]) == 1
    assert "in neither" in capsys.readouterr().err

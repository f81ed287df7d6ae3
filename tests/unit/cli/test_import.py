from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.cli import import_
from coordinator.log.lock import WriterLock
from coordinator.log.sqlite import SqliteLog

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "ops" / "examples" / "own-data"
PAGE = ROOT / "ops" / "docs" / "bring-your-own-data.md"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    import_.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["import", *words])
    return int(args.run(args))


def words(log: Path, *more: str, signals: str = "signals.csv") -> list[str]:
    return [
        "--signals", str(EXAMPLES / signals), "--prices", str(EXAMPLES / "prices.csv"),
        "--portfolios", str(EXAMPLES / "portfolios.toml"), "--log", str(log), *more,
    ]  # fmt: skip


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def page_commands() -> list[list[str]]:
    """The commands of the page's shell blocks, continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split() for line in lines if line.startswith("coordinator import")]


def test_the_commands_of_the_page_run_on_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "ops" / "examples" / "own-data")
    monkeypatch.chdir(tmp_path)
    commands = page_commands()
    assert len(commands) >= 2
    page = PAGE.read_text(encoding="utf-8")
    for command in commands:
        assert run(*command[2:], "--json") == 0, command
        report = json.loads(capsys.readouterr().out)["report"]
        for item in report["rejects"]:
            assert item["reason"] in page
        for file in report["files"]:
            counts = f"{file['rows']} +{file['accepted']} +{file['rejected']}\n"
            assert "mistakes" in str(command) or re.search(f"{file['file']} +{counts}", page)
        assert "mistakes" in str(command) or all(f"note: {n}\n" in page for n in report["notes"])
        for name, count in report["events"]:
            assert "mistakes" in str(command) or re.search(f"{name} +{count}\n", page)


def test_the_shipped_files_are_what_their_script_writes(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "make.py", tmp_path / "make.py")
    runpy.run_path(str(tmp_path / "make.py"), run_name="__main__")
    for name in ("prices.csv", "signals.csv", "instruments.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()


def test_the_report_as_json_is_one_object_that_adds_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words(tmp_path / "in.sqlite", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["log"] == str(tmp_path / "in.sqlite")
    for file in told["report"]["files"]:
        assert file["accepted"] + file["rejected"] == file["rows"] > 0
    assert told["report"]["rejects"] == []


def test_an_existing_log_is_refused_without_force_and_replaced_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "in.sqlite"
    assert run(*words(log)) == 0
    before = log.read_bytes()
    assert run(*words(log)) == 2
    assert "--force" in capsys.readouterr().err
    assert log.read_bytes() == before
    assert run(*words(log, "--force", "--shards", "1")) == 0
    with SqliteLog(log, readonly=True) as made:
        assert {shard for topic, shard in made.partitions() if topic == "journal"} == {0}
    assert left_in(tmp_path) == ["in.sqlite"]


def test_force_replaces_nothing_but_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diary, link = tmp_path / "diary.txt", tmp_path / "link.sqlite"
    diary.write_text("dear diary, today I mistyped a path")
    link.symlink_to("/dev/null")
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE mine (x)")
    before = left_in(tmp_path)
    for target in (diary, link, tmp_path, tmp_path / "other.sqlite", Path("/dev/null")):
        assert run(*words(target, "--force")) == 2
        assert "--log another name" in capsys.readouterr().err
    assert diary.read_text().startswith("dear diary")
    assert left_in(tmp_path) == before


def test_an_input_is_never_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    portfolios = tmp_path / "portfolios.toml"
    shutil.copy(EXAMPLES / "portfolios.toml", portfolios)
    assert run(*words(portfolios, "--force", "--portfolios", str(portfolios))) == 2
    assert "takes part in this run" in capsys.readouterr().err


def test_a_second_import_to_the_same_log_fails_while_the_first_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "in.sqlite"
    first = WriterLock(log, tmp_path / "in.sqlite.lock")
    assert run(*words(log)) == 1
    assert f"process {os.getpid()} writes it" in capsys.readouterr().err
    assert left_in(tmp_path) == ["in.sqlite.lock"]
    first.release()
    assert run(*words(log)) == 0


def test_a_log_finished_while_ours_waited_to_begin_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "in.sqlite"

    def lock_after_another(target: Path, path: Path) -> WriterLock:
        log.write_bytes(b"whole")
        return WriterLock(target, path)

    monkeypatch.setattr(import_, "WriterLock", lock_after_another)
    assert run(*words(log)) == 2
    assert log.read_bytes() == b"whole"


def test_what_a_killed_import_left_is_gone_after_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from coordinator.cli import import_, main;"
        "import_.import_files = lambda *a, log, **k: os.kill(os.getpid(), signal.SIGKILL);"
        "main.main(sys.argv[1:])"
    )
    log = tmp_path / "in.sqlite"
    command = [sys.executable, "-c", code, "import", *words(log)]
    killed = subprocess.run(command, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    left = left_in(tmp_path)
    assert ".in.sqlite.partial" in left
    assert all("in.sqlite" in name for name in left)
    assert "in.sqlite" not in left
    assert run(*words(log)) == 0
    assert left_in(tmp_path) == ["in.sqlite"]


def test_inputs_that_never_end_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words(tmp_path / "in.sqlite", "--portfolios", "/dev/zero")) == 1
    assert "no regular file" in capsys.readouterr().err
    assert left_in(tmp_path) == []


def test_a_failed_import_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "in.sqlite"
    assert run(*words(log, "--strict", signals="signals-with-mistakes.csv")) == 1
    assert "signals-with-mistakes.csv row 3" in capsys.readouterr().err
    assert run(*words(log, signals="absent.csv")) == 1
    assert run(*words(tmp_path / "no" / "such" / "folder" / "in.sqlite")) == 1
    assert left_in(tmp_path) == []


def book(folder: Path, **tables: str) -> list[str]:
    """The words of an import of small tables, written into the folder."""
    found = ["--log", str(folder / "in.sqlite")]
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
        found += [f"--{name}", str(folder / f"{name}.csv")]
    return found


FILLS = "time,portfolio,instrument,quantity,price\n2025-02-03T15:45:00-05:00,steady,ALDER,1,41\n"
POSITIONS = "time,portfolio,instrument,quantity\n2025-02-03,steady,ALDER,1\n"
CASH = "time,portfolio,amount\n2025-02-03,steady,100\n"


@pytest.mark.parametrize(
    "tables", [{"fills": FILLS}, {"positions": POSITIONS}, {"cash": CASH}], ids=str
)
def test_a_book_alone_needs_a_currency_or_a_file_of_portfolios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: dict[str, str]
) -> None:
    given = book(tmp_path, **tables)
    assert run(*given) == 2
    assert "give --currency, e.g. USD, or --portfolios" in capsys.readouterr().err
    assert not (tmp_path / "in.sqlite").exists()
    assert run(*given, "--currency", "USD") == 0
    shown = capsys.readouterr().out
    assert "opened because rows name them" in shown
    assert "no bars" in shown
    assert run(*given, "--force", "--portfolios", str(EXAMPLES / "portfolios.toml")) == 0
    assert "opened because" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        (["--signals"], "at least one of --signals, --fills, --positions, --cash"),
        (["--prices"], "signals need prices; give --prices"),
        (["--portfolios"], "give --portfolios"),
    ],
)
def test_an_input_that_is_missing_is_a_usage_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left_out: list[str], told: str
) -> None:
    given = words(tmp_path / "in.sqlite")
    for option in left_out:
        at = given.index(option)
        given = given[:at] + given[at + 2 :]
    assert run(*given) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert left_in(tmp_path) == []


def test_signals_and_a_book_are_imported_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = book(tmp_path, fills=FILLS, positions=POSITIONS, cash=CASH)
    assert run(*words(tmp_path / "in.sqlite"), *more, "--json") == 0
    counts = dict(json.loads(capsys.readouterr().out)["report"]["events"])
    assert (counts["OrderFilled"], counts["PositionsReported"], counts["CashMoved"]) == (1, 1, 1)
    assert counts["PortfolioOpened"] == 2


def test_a_table_of_a_book_is_never_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = book(tmp_path, fills=FILLS)
    fills = str(tmp_path / "fills.csv")
    assert run(*given, "--currency", "USD", "--force", "--log", fills) == 2
    assert "takes part in this run" in capsys.readouterr().err
    assert Path(fills).read_text() == FILLS


@pytest.mark.parametrize(
    "wrong", [["--bar", "weekly"], ["--session", "noon"], ["--shards", "0"], ["--shards", "x"]]
)
def test_a_word_that_cannot_be_read_is_a_usage_error(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words(tmp_path / "in.sqlite", *wrong))
    assert caught.value.code == 2


def test_hostile_text_of_a_file_does_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = tmp_path / "s.csv"
    hostile.write_text(
        "event_time,source,instrument,direction,\x1b[31m\n"
        "2025-02-03T15:45:00-05:00,[bold]s[/bold],ALDER,buy,\n"
    )
    assert run(*words(tmp_path / "in.sqlite", signals=str(hostile))) == 0
    shown = capsys.readouterr().out
    assert "\x1b[31m" not in shown
    assert "[bold]s[/bold]" in shown

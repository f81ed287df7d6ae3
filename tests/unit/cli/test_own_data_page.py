"""The page on own data is true: its commands and its code run, its tables are the language's."""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.log.sqlite import SqliteLog
from schemas.base import Model
from schemas.control import ModePreset, SourceRegistered
from schemas.entries import decode_journal
from schemas.orders import OrderFilled
from schemas.portfolios import Costs, Mandate, PortfolioOpened, Schedule

ROOT = Path(__file__).parents[3]
EXAMPLES = Path("ops") / "examples" / "own-data"
PAGE = (ROOT / "ops" / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / EXAMPLES, tmp_path / EXAMPLES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def fills_by_portfolio(path: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    with SqliteLog(path, readonly=True) as log:
        for topic, shard in log.partitions():
            if topic == "journal":
                events = (decode_journal(record.payload).event for record in log.read(topic, shard))
                found.update(one.portfolio for one in events if isinstance(one, OrderFilled))
    return found


def test_every_command_runs_as_written_and_both_portfolios_trade(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    assert len(lines) >= 5
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "coordinator"
        assert main(words) == 0, line
    assert "signals-with-mistakes.csv row 3" in capsys.readouterr().out
    fills = fills_by_portfolio(checkout / "run.sqlite")
    assert fills["steady"] > 0
    assert fills["bold"] > 0
    assert ignored(checkout) == left_in(checkout)


def ignored(folder: Path) -> list[str]:
    """Which of the files in the folder the repository ignores by their full name."""
    names = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    return [name for name in left_in(folder) if f"/{name}" in names]


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_the_notebook_runs_as_written_to_its_report(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks("python")
    exec(compile(code, "notebook", "exec"), {})
    told = capsys.readouterr().out
    assert "verified: True" in told
    assert set(fills_by_portfolio(checkout / "run.sqlite")) == {"steady", "bold"}
    assert "My backtest" in (checkout / "report.html").read_text(encoding="utf-8")


def table_after(words: str) -> dict[str, str]:
    """Default by key of the first table after some words."""
    rows = PAGE.split(words, 1)[1].split("\n| --- | --- | --- |\n", 1)[1].split("\n\n", 1)[0]
    cells = (row.split(" | ") for row in rows.splitlines())
    return {key.strip("|` "): default.strip("`") for key, default, *_ in cells}


@pytest.mark.parametrize(
    ("words", "model"),
    [
        ("`[portfolio.mandate]`, what", Mandate),
        ("`[portfolio.schedule]`, when", Schedule),
        ("`[portfolio.costs]`, what", Costs),
        ("`[[source]]`, optional, one", SourceRegistered),
        ("`[[portfolio]]`, one table", PortfolioOpened),
        ("`[[mode]]`, optional, one", ModePreset),
    ],
)
def test_the_tables_name_every_key_with_its_default(words: str, model: type[Model]) -> None:
    told = table_after(words)
    elsewhere = {"event_id", "event_time", "mandate", "schedule", "costs"}
    renamed = {"portfolio": "id"} if model is PortfolioOpened else {}
    fields = {renamed.get(name, name): field for name, field in model.model_fields.items()}
    assert set(told) == set(fields) - elsewhere
    for key, default in told.items():
        value = fields[key].get_default()
        if default == "required":
            assert fields[key].is_required()
        elif isinstance(value, str):
            assert default == f'"{value}"'
        elif isinstance(value, int | float):
            assert float(default) == value


def test_every_anchor_of_the_page_exists() -> None:
    events = (ROOT / "ops" / "docs" / "events.md").read_text(encoding="utf-8")
    for file, anchor in re.findall(r"\]\((events\.md)?#([a-z-]+)\)", PAGE):
        titles = re.findall(r"^#+ (.*)$", events if file else PAGE, re.MULTILINE)
        slugs = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert anchor in slugs

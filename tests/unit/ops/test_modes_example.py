"""The examples of modes, and the page on what a decision weighs, are true."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.cli.send import read_lines
from coordinator.core.ports import LogReader
from coordinator.importers.portfolios import load_book
from coordinator.log.sqlite import SqliteLog
from schemas.control import ModePreset, ParametersChanged
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output

ROOT = Path(__file__).parents[3]
EXAMPLES = Path("ops") / "examples"
FILE = ROOT / EXAMPLES / "modes.toml"
PAGE = (ROOT / "ops" / "docs" / "objectives.md").read_text(encoding="utf-8")
OWN = (ROOT / "ops" / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")


def modes() -> dict[str, ModePreset]:
    book = load_book(FILE, currency=None)
    return {preset.mode: preset for preset in book.parameters.modes}


def test_live_the_same_modes_may_be_sent_as_one_event() -> None:
    lines = (ROOT / EXAMPLES / "modes.jsonl").read_bytes().splitlines()
    (line,), bad = read_lines(lines)
    assert not bad
    assert isinstance(line.event, ParametersChanged)
    assert {one.mode: one for one in line.event.parameters.modes} == modes()


def test_a_more_cautious_mode_of_the_example_has_more_of_every_weight() -> None:
    found = modes()
    ordered = [found[name] for name in ("aggressive", "balanced", "conservative")]
    fields = set(ModePreset.model_fields) - {"mode", "tracking", "house_max"}  # the last is a bound
    for less, more in pairwise(ordered):
        assert all(getattr(less, one) <= getattr(more, one) for one in fields)
        assert sum(getattr(less, one) < getattr(more, one) for one in fields) >= 3
    assert found["near-benchmark"].tracking > 0.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / EXAMPLES, made / EXAMPLES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        yield made


def decisions(log: LogReader, shards: int = 2) -> Iterator[AllocationDecided]:
    for shard in range(shards):
        for record in log.read("decisions", shard):
            event = decode_output(record.payload).event
            if isinstance(event, AllocationDecided):
                yield event


def test_the_example_imports_and_both_its_portfolios_decide_under_their_modes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    (block,) = [one for one in blocks if "modes.toml" in one and "import" in one]
    assert main(shlex.split(block.replace("\\\n", " "))[1:]) == 0
    assert main(["backtest", "--log", "modes-inputs.sqlite", "--out", "modes.sqlite"]) == 0
    assert "its mandate names" not in capsys.readouterr().out
    with SqliteLog(folder / "modes.sqlite", readonly=True) as log:
        found = list(decisions(log))
    assert {(one.portfolio, one.mode) for one in found} == {
        ("steady", "conservative"), ("index-plus", "near-benchmark"),
    }  # fmt: skip
    believed = [one for one in found if one.portfolio == "index-plus"]
    assert any(one.prior_utility > 0.0 for one in believed)
    assert any(one.cost_impact > 0.0 for one in found)
    assert any(one.trades for one in believed)


def test_the_page_shows_the_frontier_as_the_command_prints_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = [
        line for line in re.sub(r"\\\n", " ", OWN).splitlines()
        if line.startswith(("coordinator import", "coordinator backtest"))
    ][:2]  # fmt: skip
    assert main([*shlex.split(first)[1:], "--force"]) == 0
    assert main([*shlex.split(second)[1:], "--force"]) == 0
    capsys.readouterr()
    words = re.search(r"`coordinator (frontier .*? --points 7)`", PAGE)
    assert words is not None
    assert main(shlex.split(words[1])) == 0
    told = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    (shown,) = re.findall(r"```\n(frontier of .*?)\n```", PAGE, re.DOTALL)
    assert told == shown


def test_the_page_tells_every_weight_with_its_default() -> None:
    table = PAGE.split("| weight | default |", 1)[1].split("\n\n", 1)[0]
    told = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE))
    fields = {name: one for name, one in ModePreset.model_fields.items() if name != "mode"}
    assert set(told) == set(fields)
    for name, default in told.items():
        if default == "required":
            assert fields[name].is_required()
        elif default == "none":
            assert fields[name].get_default() is None
        else:
            assert float(default) == fields[name].get_default()

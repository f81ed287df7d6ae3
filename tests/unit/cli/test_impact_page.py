"""The page on impact names what decisions tell and what the command takes."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from coordinator.cli import impact
from coordinator.core.impact_lines import RISKS_MAX
from schemas.impact import Impact, RiskLine

PAGE = Path(__file__).parents[3].joinpath("ops/docs/impact.md").read_text(encoding="utf-8")


def test_every_figure_of_a_decision_stands_in_the_table() -> None:
    table = PAGE.split("| --- | --- | --- | --- |\n", 1)[1].split("\n\n", 1)[0]
    told = {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    told |= {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[2])
    }
    missing = (set(Impact.model_fields) | set(RiskLine.model_fields)) - told - {"instrument"}
    assert missing == set()
    assert f"the {RISKS_MAX} largest" in table


def test_the_examples_are_commands() -> None:
    parser = argparse.ArgumentParser()
    impact.add_parser(parser.add_subparsers())
    block = PAGE.split("```sh\n", 1)[1].split("```", 1)[0].replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(lines) == 4
    for _, *words in lines:
        parsed = parser.parse_args(words)
        assert (parsed.name is None) == (parsed.decision is not None)
    assert len(parser.parse_args(lines[2][1:]).orders) == 3

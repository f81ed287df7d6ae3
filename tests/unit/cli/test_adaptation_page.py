"""The page on adaptation says what the rules are, and its example is one that an import takes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from schemas.adaptation import (
    Adaptation,
    DrawdownRule,
    QualityRule,
    RegimeMultipliers,
    RegimeRule,
    VolatilityRule,
)
from schemas.control import Parameters

DOCS = Path(__file__).parents[3] / "ops" / "docs"
PAGE = (DOCS / "adaptation.md").read_text(encoding="utf-8")


def parameters_in(page: str, begins: str) -> Parameters:
    [block] = [
        part.split("```", 1)[0] for part in page.split("```toml\n")[1:] if part.startswith(begins)
    ]
    return Parameters.model_validate_json(json.dumps(tomllib.loads(block)["parameters"]))


def test_the_example_states_every_rule() -> None:
    found = parameters_in(PAGE, "[parameters.adaptation").adaptation
    assert all(getattr(found, name) is not None for name in Adaptation.model_fields)
    assert found.regime is not None
    assert [one.regime for one in found.regime.regimes] == ["calm", "crisis"]


@pytest.mark.parametrize(
    "rule", [RegimeMultipliers, RegimeRule, VolatilityRule, DrawdownRule, QualityRule]
)
def test_every_field_of_a_rule_stands_on_the_page(rule: type[BaseModel]) -> None:
    assert [name for name in rule.model_fields if name not in PAGE] == []


def test_the_firms_share_of_the_page_on_mandates_is_one() -> None:
    page = (DOCS / "mandates.md").read_text(encoding="utf-8")
    found = parameters_in(page, "[parameters]\nfirm")
    assert sum(one.share for one in found.volume_shares) == found.firm_volume_share

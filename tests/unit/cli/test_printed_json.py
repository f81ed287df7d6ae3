"""JSON on stdout: decimals are spelled out wherever they stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

import pytest

from coordinator.cli.console import print_json
from schemas.base import Model


@dataclass(frozen=True)
class Line:
    quantity: Decimal
    parts: tuple[Decimal, ...]


class Spelled(Model):
    name: str


def test_decimals_have_no_exponent_however_deep(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(Decimal("1E+4"), (Decimal("-2E+3"), Decimal("0.50"), Decimal("1E-8")))
    print_json({"lines": [line], "model": Spelled(name="a"), "nothing": None, "share": 0.1})
    assert json.loads(capsys.readouterr().out) == {
        "lines": [{"quantity": "10000", "parts": ["-2000", "0.50", "0.00000001"]}],
        "model": {"name": "a"},
        "nothing": None,
        "share": 0.1,
    }

"""The rules of the examples go with the portfolios of the examples, as their page says."""

from __future__ import annotations

from pathlib import Path

from coordinator.importers.portfolios import load_book

EXAMPLES = Path(__file__).parents[3] / "ops" / "examples"


def test_the_rules_stand_behind_the_portfolios_of_the_example(tmp_path: Path) -> None:
    parts = (EXAMPLES / "own-data" / "portfolios.toml", EXAMPLES / "adaptation.toml")
    path = tmp_path / "rules.toml"
    path.write_text("".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    book = load_book(path, currency=None)
    rules = book.parameters.adaptation
    assert rules.volatility is not None
    assert rules.drawdown is not None
    assert (rules.volatility.sessions, rules.drawdown.full) == (5, 0.03)
    assert [one.portfolio for one in book.portfolios] == ["steady", "bold"]

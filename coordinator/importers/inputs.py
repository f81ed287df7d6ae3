"""Inputs: what an import is given, as files or as frames, and whether that is enough.

Place in the flow: the one list of tables; read by importing, filled in by the command line and by
notebooks. Never opens a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

import polars as pl

from coordinator.importers.actions import ACTION_COLUMNS
from coordinator.importers.cash import CASH_COLUMNS
from coordinator.importers.errors import InputsMissing
from coordinator.importers.fills import FILL_COLUMNS
from coordinator.importers.instruments import INSTRUMENT_COLUMNS
from coordinator.importers.outcomes import OUTCOME_COLUMNS
from coordinator.importers.positions import POSITION_COLUMNS
from coordinator.importers.prices import PRICE_COLUMNS
from coordinator.importers.rates import RATE_COLUMNS
from coordinator.importers.signals import SIGNAL_COLUMNS
from coordinator.importers.tables import Columns

__all__ = ["TABLES", "ImportFiles", "ImportFrames", "Inputs"]

T = TypeVar("T")

TABLES: Mapping[str, Columns] = MappingProxyType(
    {
        "signals": SIGNAL_COLUMNS,
        "prices": PRICE_COLUMNS,
        "instruments": INSTRUMENT_COLUMNS,
        "fills": FILL_COLUMNS,
        "positions": POSITION_COLUMNS,
        "cash": CASH_COLUMNS,
        "actions": ACTION_COLUMNS,
        "rates": RATE_COLUMNS,
        "outcomes": OUTCOME_COLUMNS,
    }
)
"""The columns of each table, in the order of the report."""

_NAMING = ("fills", "positions", "cash")
"""Tables whose rows name portfolios."""


@dataclass(frozen=True, slots=True)
class Inputs(Generic[T]):
    """The tables, each a file or a frame, and the portfolios' file; None: not given."""

    signals: T | None = None
    prices: T | None = None
    portfolios: Path | None = None
    instruments: T | None = None
    fills: T | None = None
    positions: T | None = None
    cash: T | None = None
    actions: T | None = None
    rates: T | None = None
    outcomes: T | None = None

    @property
    def tables(self) -> dict[str, T]:
        """Those given, in the order of the report."""
        return {name: given for name in TABLES if (given := getattr(self, name)) is not None}

    def check(self, *, currency: str | None) -> None:
        """Raises InputsMissing where the log would be of no use. currency: of the settings."""
        given = self.tables.keys()
        named = any(name in given for name in _NAMING)
        if "signals" not in given and not named:
            raise InputsMissing(
                "import",
                "nothing to import",
                remedy="give at least one of --signals, --fills, --positions, --cash",
            )
        if "signals" in given and "prices" not in given:
            raise InputsMissing("--signals", "signals need prices", remedy="give --prices")
        if self.portfolios is None and not named:
            raise InputsMissing(
                "--signals", "signals need portfolios to decide for", remedy="give --portfolios"
            )
        if self.portfolios is None and currency is None:
            raise InputsMissing(
                "--currency",
                "the portfolios that rows name have no currency",
                remedy="give --currency, e.g. USD, or --portfolios",
            )


@dataclass(frozen=True, slots=True)
class ImportFiles(Inputs[Path]):
    """Where the files are; every table is .csv or .parquet."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files given."""
        values = (getattr(self, field.name) for field in fields(self))
        return tuple(path for path in values if path is not None)


@dataclass(frozen=True, slots=True)
class ImportFrames(Inputs[pl.DataFrame]):
    """The same as polars frames, for notebooks; portfolios stay a TOML file."""

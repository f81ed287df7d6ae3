"""Which table holds which rows, and the statements that write and read them, made from the rows.

Place in the flow: between the rows' dataclasses and the columns of the migrations; a test holds
the two to each other. Builds statements only, and must never hold a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from psycopg import sql

from projections.rows import (
    ConflictRow,
    DecisionRow,
    FillRow,
    HeardPaneRow,
    HoldingChangeRow,
    HoldingRow,
    IncidentRow,
    PortfolioPaneRow,
    PortfolioRow,
    PortfolioViewRow,
    QualityRow,
    RoundRow,
    Row,
    SignalRow,
    SignalUseRow,
    SignalVerdictRow,
    SourcePaneRow,
    TradeEndRow,
    TradeRow,
    WithdrawalRow,
)

__all__ = ["TABLES", "Table", "newest"]

_TIMES = frozenset(
    (
        "at",
        "begins_at",
        "decided_at",
        "ends_at",
        "event_time",
        "expires_at",
        "opened_at",
        "valid_until",
    )
)
"""Fields that hold ns UTC and stand in two columns."""
_TYPES = {
    "str": "text",
    "str | None": "text",
    "int": "bigint",
    "int | None": "bigint",
    "float": "double precision",
    "float | None": "double precision",
    "Decimal": "numeric",
    "Decimal | None": "numeric",
    "bool": "boolean",
    "tuple[str, ...]": "text[]",
    "tuple[float, ...]": "double precision[]",
}
_AS_OF = ("as_of_shard", "as_of_seq")
_NUL = "\x00"


@dataclass(frozen=True)
class Table:
    """A table of one kind of row. key: its primary key; moment: the time it is partitioned by."""

    name: str
    kind: type[Row]
    key: tuple[str, ...]
    moment: str | None = None

    @cached_property
    def staged(self) -> tuple[tuple[str, str], ...]:
        """Columns as they are copied in, with their types: times as nanoseconds only."""
        own = [
            (_column(field.name), _TYPES[str(field.type)])
            for field in fields(self.kind)
            if field.name != "as_of"
        ]
        return (*own, *((name, "bigint") for name in _AS_OF))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All columns, times in both spellings."""
        times = [name.removesuffix("_ns") for name, _ in self.staged if name.endswith("_ns")]
        return (*(name for name, _ in self.staged), *times)

    @cached_property
    def identity(self) -> Callable[[Row], tuple[Any, ...]]:
        """The values of a row that stand for its primary key."""
        names = [name.removesuffix("_ns") for name in self.key]
        return lambda row: tuple(_value(row, name) for name in names)

    @cached_property
    def values(self) -> Callable[[Row], tuple[Any, ...]]:
        """The values of a row in the order of `staged`."""
        names = [field.name for field in fields(self.kind) if field.name != "as_of"]

        def values(row: Row) -> tuple[Any, ...]:
            return (*(_plain(getattr(row, name)) for name in names), *row.as_of)

        return values

    @property
    def stage(self) -> sql.Identifier:
        """The temporary table that rows are copied into."""
        return sql.Identifier("pg_temp", f"stage_{self.name}")

    def create_stage(self) -> sql.Composed:
        """Makes the temporary table, emptied at the end of each transaction."""
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
            for name, kind in self.staged
        )
        return sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(f"stage_{self.name}"), columns
        )

    def copy_in(self) -> sql.Composed:
        """Copies rows into the stage."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(
            self.stage, _names(name for name, _ in self.staged)
        )

    def upsert(self, schema: str) -> sql.Composed:
        """Moves the stage into the table; a row there stays where it is as new or newer."""
        own = [name for name in self.columns if name not in self.key]
        return sql.SQL(
            "INSERT INTO {table} AS here ({columns}) SELECT {values} FROM {stage} "
            "ON CONFLICT ({key}) DO UPDATE SET ({own}) = ROW ({excluded}) "
            "WHERE (here.as_of_shard, here.as_of_seq)"
            " < (excluded.as_of_shard, excluded.as_of_seq)"
        ).format(
            table=sql.Identifier(schema, self.name),
            columns=_names(self.columns),
            values=sql.SQL(", ").join(self._expression(name) for name in self.columns),
            stage=self.stage,
            key=_names(self.key),
            own=_names(own or self.key),
            excluded=sql.SQL(", ").join(
                sql.SQL("excluded.{}").format(sql.Identifier(name)) for name in own or self.key
            ),
        )

    def _expression(self, name: str) -> sql.Composable:
        if f"{name}_ns" not in self.columns:
            return sql.Identifier(name)
        # Whole microseconds fit a double exactly, so the product is exact too.
        return sql.SQL("timestamptz 'epoch' + ({} / 1000) * interval '1 microsecond'").format(
            sql.Identifier(f"{name}_ns")
        )

    def copy_out(self, schema: str) -> sql.Composed:
        """Every row in canonical order and spelling, for a digest."""
        exact = [name for name, _ in self.staged]
        kinds = dict(self.staged)
        order = [
            sql.SQL('{} COLLATE "C"' if kinds[name] == "text" else "{}").format(
                sql.Identifier(name)
            )
            for name in dict.fromkeys(map(_column, self.key))
        ]
        return sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
            _names(exact), sql.Identifier(schema, self.name), sql.SQL(", ").join(order)
        )


def newest(table: Table, rows: Iterable[Row]) -> list[Row]:
    """The newest row of each key; an upsert must not meet one key twice."""
    found: dict[tuple[Any, ...], Row] = {}
    identity = table.identity
    for row in rows:
        key = identity(row)
        known = found.get(key)
        if known is None or known.as_of < row.as_of:
            found[key] = row
    return list(found.values())


def _column(name: str) -> str:
    return f"{name}_ns" if name in _TIMES else name


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _value(row: Row, name: str) -> Any:
    return row.as_of[_AS_OF.index(name)] if name in _AS_OF else getattr(row, name)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        # PostgreSQL's text cannot hold this one character; its picture stands for it.
        return value.replace(_NUL, "\u2400") if _NUL in value else value
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


TABLES = (
    Table("decisions", DecisionRow, ("decision_id", "decided_at"), "decided_at"),
    Table("trades", TradeRow, ("trade_id", "decided_at"), "decided_at"),
    Table("signal_uses", SignalUseRow, ("decision_id", "signal", "decided_at"), "decided_at"),
    Table("conflicts", ConflictRow, ("decision_id", "ordinal", "decided_at"), "decided_at"),
    Table("rounds", RoundRow, ("decision_id", "decided_at"), "decided_at"),
    Table("quality", QualityRow, ("decision_id", "decided_at", "decided_at_ns"), "decided_at"),
    Table(
        "signals", SignalRow, ("source", "signal_id", "event_time", "event_time_ns"), "event_time"
    ),
    Table(
        "signal_verdicts", SignalVerdictRow,
        ("source", "signal_id", "verdict", "reason", "at", "at_ns"), "at",
    ),
    Table(
        "withdrawals", WithdrawalRow, ("source", "signal_id", "event_time", "event_time_ns"),
        "event_time",
    ),
    Table(
        "fills", FillRow, ("portfolio", "event_id", "event_time", "event_time_ns"), "event_time"
    ),
    Table("trade_ends", TradeEndRow, ("trade_id", "outcome", "at", "at_ns"), "at"),
    Table("holding_changes", HoldingChangeRow, ("action_id", "portfolio", "at"), "at"),
    Table("incidents", IncidentRow, ("as_of_shard", "as_of_seq", "at"), "at"),
    Table(
        "portfolio_history", PortfolioViewRow, ("portfolio", "at", "as_of_shard", "as_of_seq"),
        "at",
    ),
    Table("portfolio_panes", PortfolioPaneRow, ("portfolio", "begins_at"), "begins_at"),
    Table("heard_panes", HeardPaneRow, ("portfolio", "source", "begins_at"), "begins_at"),
    Table("source_panes", SourcePaneRow, ("source", "begins_at"), "begins_at"),
    Table("portfolio_views", PortfolioViewRow, ("portfolio",)),
    Table("holdings", HoldingRow, ("portfolio", "instrument")),
    Table("portfolios", PortfolioRow, ("portfolio",)),
)  # fmt: skip
"""Every table of rows, in the order in which they are written."""

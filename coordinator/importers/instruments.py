"""Instruments: their terms from a file, or stated defaults, become InstrumentListed.

Place in the flow: table to messages. Terms hold from valid_from, else from before the first record.
An instrument that has prices and no terms gets the defaults, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import polars as pl
from pydantic_core import to_json

from coordinator.importers.messages import Message, Rank, message
from coordinator.importers.rejects import Rejects
from coordinator.importers.sessions import Session
from coordinator.importers.sieve import Sieve
from coordinator.importers.tables import ROW, Columns, Table
from schemas.registry import SchemaError, parse_event

__all__ = [
    "INSTRUMENT_COLUMNS",
    "LOT_DEFAULT",
    "TICK_DEFAULT",
    "Instruments",
    "Terms",
    "read_instruments",
]

INSTRUMENT_COLUMNS = Columns(
    ("instrument",), ("sector", "lot", "tick", "currency", "price_limit", "valid_from")
)
LOT_DEFAULT = "1"
TICK_DEFAULT = "0.01"


@dataclass(frozen=True, slots=True)
class Terms:
    """An instrument's terms from valid_from on, ns UTC (None: from the start); None: not given."""

    instrument: str
    sector: str | None = None
    lot: str | None = None
    tick: str | None = None
    currency: str | None = None
    price_limit: float | None = None
    valid_from: int | None = None

    def fields(self, *, currency: str) -> dict[str, object]:
        """As InstrumentListed has them; what is not given gets its default."""
        optional = {"sector": self.sector, "price_limit": self.price_limit}
        return {
            "instrument": self.instrument,
            "lot": self.lot or LOT_DEFAULT,
            "tick": self.tick or TICK_DEFAULT,
            "currency": self.currency or currency,
        } | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Instruments:
    """Accepted terms in the order of the file; rejects None: there was no file."""

    terms: tuple[Terms, ...] = ()
    rejects: Rejects | None = None

    def unlisted(self, priced: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the instruments with prices have no terms."""
        known = {terms.instrument for terms in self.terms}
        return tuple(name for name in priced if name not in known)

    def messages(
        self, priced: tuple[str, ...], *, opened_at: int, currency: str
    ) -> Iterator[Message]:
        """Terms in order of time: at opened_at those that hold by then, the others at valid_from.

        priced: sorted instruments with prices. currency: of those that state none.
        """
        defaults = tuple(Terms(name) for name in self.unlisted(priced))
        ordered = sorted(
            self.terms + defaults, key=lambda terms: (terms.valid_from or 0, terms.instrument)
        )
        for number, terms in enumerate(ordered):
            known_at = max(terms.valid_from or 0, opened_at)
            head = {"event_id": f"listed-{number}", "event_time": known_at}
            fields = head | terms.fields(currency=currency)
            yield message(known_at, Rank.TERMS, "InstrumentListed", fields)


def read_instruments(table: Table, *, session: Session) -> Instruments:
    """Accepted terms and rejects of a table. A bare date in valid_from: that session's open."""
    sieve = Sieve(
        _with_decimals_as_text(table), topic="market", optional=INSTRUMENT_COLUMNS.optional
    )
    sieve.name("instrument", required=True)
    sieve.name("sector")
    for column in ("lot", "tick", "currency"):
        sieve.text(column)
    sieve.number("price_limit")
    sieve.time("valid_from", bare=session.opens_of)
    again = ~pl.struct("instrument", "valid_from").is_first_distinct()
    sieve.refuse_rows(
        sieve.standing().filter(again)[ROW],
        "instrument and valid_from stood in an earlier row",
        shown="instrument",
    )
    rows = sieve.standing().select(
        ROW, "instrument", "sector", "lot", "tick", "currency", "price_limit", "valid_from"
    )
    terms = []
    for row, *values in rows.iter_rows():
        found = Terms(*values)
        problem = _problem(found)
        if problem is None:
            terms.append(found)
        else:
            sieve.refuse_rows(pl.Series([row]), problem)
    return Instruments(tuple(terms), sieve.rejects())


def _problem(terms: Terms) -> str | None:
    """What the language says against the terms, or None."""
    fields = replace(terms, valid_from=None).fields(currency="XXX")
    payload = to_json({"event_id": "listed", "event_time": 0, **fields})
    try:
        parse_event("InstrumentListed", 1, payload)
    except SchemaError as error:
        return str(error).removeprefix("InstrumentListed.")
    return None


def _with_decimals_as_text(table: Table) -> Table:
    """Lot and tick are exact decimals; a float column means the shortest decimal of each float."""
    frame = table.frame
    for column in ("lot", "tick"):
        if column in frame.columns and frame.schema[column].is_float():
            spelled = [None if v is None else _spelled(v) for v in frame[column].to_list()]
            frame = frame.with_columns(pl.Series(column, spelled, pl.String))
    return replace(table, frame=frame)


def _spelled(value: float) -> str:
    return format(Decimal(repr(value)), "f")

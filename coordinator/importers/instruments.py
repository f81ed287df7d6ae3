"""Instruments: their terms from a file, or stated defaults, become InstrumentListed.

Place in the flow: table to messages. Terms are told at valid_from, else when the instrument is
first heard of: at its first price, fill, position or corporate action. Never earlier, so that
nobody acts on a name that only the rest of the files knows. An instrument that is heard of and has
no terms gets the defaults, and the report says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import polars as pl
from pydantic_core import to_json

from coordinator.importers.decimals import spelled
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
    "Listing",
    "Terms",
    "listing_messages",
    "read_instruments",
]

INSTRUMENT_COLUMNS = Columns(
    ("instrument",),
    ("sector", "lot", "tick", "currency", "price_limit", "valid_from", "factors"),
)
LOT_DEFAULT = "1"
TICK_DEFAULT = "0.01"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NOT_SAID: Mapping[str, tuple[int, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Terms:
    """An instrument's terms from valid_from on, ns UTC; None: not given.

    valid_from None: from when the instrument is first heard of.
    """

    instrument: str
    sector: str | None = None
    lot: str | None = None
    tick: str | None = None
    currency: str | None = None
    price_limit: float | None = None
    valid_from: int | None = None
    factors: str | None = None

    @property
    def exposed_to(self) -> tuple[str, ...]:
        """Names of the factors that it states an exposure to."""
        stated = [] if self.factors is None else _exposures(self.factors)
        return tuple(str(one["factor"]) for one in stated)

    def fields(self, *, currency: str) -> dict[str, object]:
        """As InstrumentListed has them; what is not given gets its default."""
        optional = {
            "sector": self.sector,
            "price_limit": self.price_limit,
            "factors": None if self.factors is None else _exposures(self.factors),
        }
        return {
            "instrument": self.instrument,
            "lot": self.lot or LOT_DEFAULT,
            "tick": self.tick or TICK_DEFAULT,
            "currency": self.currency or currency,
        } | {name: value for name, value in optional.items() if value is not None}


def _exposures(text: str) -> list[dict[str, object]]:
    """Exposures of "value=-0.8; size=1.1", sorted by factor; what is no number stays a text.

    The language judges them: what it does not take is a reason to refuse the row.
    """
    found: list[dict[str, object]] = []
    for part in text.split(";"):
        factor, _, number = part.rpartition("=")
        exposure = float(number) if _NUMBER.fullmatch(number.strip()) else number.strip()
        found.append({"factor": factor.strip(), "exposure": exposure})
    return sorted(found, key=lambda one: str(one["factor"]))


@dataclass(frozen=True, slots=True)
class Listing:
    """Terms and the moment they are told, ns UTC."""

    known_at: int
    terms: Terms


@dataclass(frozen=True, slots=True)
class Instruments:
    """Accepted terms in the order of the file, and the rejects."""

    terms: tuple[Terms, ...]
    rejects: Rejects

    def unlisted(self, heard: Iterable[str]) -> tuple[str, ...]:
        """Which of the instruments that other files name have no terms."""
        known = {terms.instrument for terms in self.terms}
        return tuple(name for name in heard if name not in known)

    def listings(
        self,
        first_heard: Mapping[str, int],
        *,
        opened_at: int,
        traded_in: Mapping[str, tuple[int, str]] = _NOT_SAID,
    ) -> tuple[Listing, ...]:
        """Terms in order of time: at valid_from, those without one when first heard of.

        That is the time in first_heard or another row's valid_from; without either they are left
        out. What holds before the log opens is told when it does. traded_in: time and currency of
        first fills that state another than the default; names without terms get it, but none
        before that fill.
        """
        heard = dict(first_heard)
        for terms in self.terms:
            if terms.valid_from is not None:
                earlier = heard.get(terms.instrument, terms.valid_from)
                heard[terms.instrument] = min(earlier, terms.valid_from)
        found = []
        for terms in self.terms:
            known_at = heard.get(terms.instrument) if terms.valid_from is None else terms.valid_from
            if known_at is not None:
                found.append(Listing(max(known_at, opened_at), terms))
        for name in self.unlisted(first_heard):
            found.extend(_assumed(name, first_heard[name], traded_in.get(name)))
        return tuple(sorted(found, key=_by_time))


def listing_messages(listings: Iterable[Listing], *, currency: str) -> Iterator[Message]:
    """One message a listing, in their order. currency: of those that state none."""
    for number, item in enumerate(listings):
        head = {"event_id": f"listed-{number}", "event_time": item.known_at}
        fields = head | item.terms.fields(currency=currency)
        yield message(item.known_at, Rank.TERMS, "InstrumentListed", fields)


def read_instruments(table: Table, *, session: Session) -> Instruments:
    """Accepted terms and rejects of a table. A bare date in valid_from: that session's open."""
    sieve = Sieve(
        _with_decimals_as_text(table), topic="market", optional=INSTRUMENT_COLUMNS.optional
    )
    sieve.name("instrument", required=True)
    sieve.name("sector")
    for column in ("lot", "tick", "currency", "factors"):
        sieve.text(column)
    sieve.number("price_limit")
    sieve.time("valid_from", bare=session.opens_of)
    sieve.refuse_repeats("instrument", "valid_from", shown="instrument")
    rows = sieve.standing().select(ROW, *INSTRUMENT_COLUMNS.known)
    terms = []
    for row, *values in rows.iter_rows():
        found = Terms(*values)
        problem = _problem(found)
        if problem is None:
            terms.append(found)
        else:
            sieve.refuse_rows(pl.Series([row]), problem)
    return Instruments(tuple(terms), sieve.rejects())


def _assumed(name: str, heard_at: int, traded: tuple[int, str] | None) -> Iterator[Listing]:
    """Defaults when a name is heard of, and its first fill's currency when there is that fill."""
    if traded is None or traded[0] > heard_at:
        yield Listing(heard_at, Terms(name))
    if traded is not None:
        yield Listing(traded[0], Terms(name, currency=traded[1]))


_ANY_CURRENCY = "USD"
"""Stands in while terms are judged: an instrument without one gets that of the portfolios."""


def _by_time(item: Listing) -> tuple[int, int, str]:
    return item.known_at, item.terms.valid_from or 0, item.terms.instrument


def _problem(terms: Terms) -> str | None:
    """What the language says against the terms, or None."""
    fields = replace(terms, valid_from=None).fields(currency=_ANY_CURRENCY)
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
            frame = frame.with_columns(spelled(frame[column]))
    return replace(table, frame=frame)

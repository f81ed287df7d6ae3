"""Notes: what an import assumed, left out or finds odd, in words.

Place in the flow: last part of the report, made of what was accepted. Tells, and changes nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from coordinator.core.rates import Rates
from coordinator.importers.errors import shortened
from coordinator.importers.instruments import LOT_DEFAULT, TICK_DEFAULT
from coordinator.importers.parts import Parts
from coordinator.importers.prices import Prices
from coordinator.importers.tables import Table
from schemas.mandates import Mandate
from schemas.market import MARKET_FACTOR

__all__ = ["notes"]

_NAMES_SHOWN = 10
_NAME_CHARS = 60


def notes(tables: Iterable[Table], parts: Parts) -> Iterator[str]:
    """One sentence each."""
    for table in tables:
        if table.ignored:
            yield f"{table.name}: other columns were ignored: {_some(table.ignored)}"
    yield from parts.book.odd_shares()
    yield from _alike_notes(parts)
    yield from _instrument_notes(parts)
    yield from _currency_notes(parts)
    yield from _early_notes(parts)
    unregistered = parts.book.unregistered(parts.accepted.signals.sources)
    if unregistered:
        yield f"sources registered as imported: {_some(unregistered)}"
    yield from _portfolio_notes(parts)
    if not parts.accepted.prices.frame.is_empty():
        yield from _price_notes(parts.accepted.prices)


def _alike_notes(parts: Parts) -> Iterator[str]:
    """Names that are two for the engine, and perhaps one for whoever wrote them."""
    rows = parts.accepted
    sources = {*rows.signals.sources, *(item.source for item in parts.book.sources)}
    instruments = {*rows.signals.instruments, *rows.first_heard}
    named = ("sources", sources), ("instruments", instruments), ("portfolios", parts.book.named)
    for kind, names in named:
        groups: dict[str, list[str]] = {}
        for name in sorted(names):
            groups.setdefault(_plain(name), []).append(name)
        alike = [" / ".join(group) for group in groups.values() if len(group) > 1]
        if alike:
            yield f"similar names, taken for different {kind}: {_some(alike)}"


def _plain(name: str) -> str:
    """What is left of a name without case, width, and the marks that are easily mistaken."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(one for one in folded if one not in " _-")


def _instrument_notes(parts: Parts) -> Iterator[str]:
    """Terms and prices that are assumed, missing or too late."""
    rows = parts.accepted
    heard = rows.first_heard
    unlisted = rows.instruments.unlisted(heard)
    if unlisted:
        yield (
            f"without terms, so lot {LOT_DEFAULT} and tick {TICK_DEFAULT} are taken:"
            f" {_some(unlisted)}"
        )
    listed_at = _listed_at(parts)
    never = sorted({terms.instrument for terms in rows.instruments.terms} - listed_at.keys())
    if never:
        yield f"never listed, because they have neither prices nor valid_from: {_some(never)}"
    priced = rows.prices.first_priced
    late = sorted(name for name, at in listed_at.items() if priced.get(name, at) < at)
    if late:
        yield f"with prices before their valid_from, listed only then: {_some(late)}"
    held = {*rows.fills.names("instrument"), *rows.positions.names("instrument")}
    unpriced = sorted(held - priced.keys())
    if unpriced:
        yield f"with fills or positions but without prices: {_some(unpriced)}"


def _currency_notes(parts: Parts) -> Iterator[str]:
    """Currencies taken from fills, and those of no use to any portfolio."""
    traded = parts.accepted.fills.traded_in(other_than=parts.currency)
    assumed = parts.accepted.instruments.unlisted(sorted(traded))
    if assumed:
        shown = _some(f"{name} ({traded[name][1]})" for name in assumed)
        yield f"without terms, so the currency of their first fill is taken: {shown}"
    held = {portfolio.currency for portfolio in parts.book.portfolios}
    known = Rates()
    for column, name in enumerate(parts.accepted.rates.names("name")):
        known.add(name, column)
    foreign = {
        f"{item.terms.instrument} ({currency})"
        for item in parts.listings
        if (currency := item.terms.currency or parts.currency) not in held
        and all(known.path(currency, own) is None for own in held)
    }
    if foreign:
        yield (
            "in a currency of no portfolio and with no rate to one, so none can hold them:"
            f" {_some(sorted(foreign))}"
        )


def _early_notes(parts: Parts) -> Iterator[str]:
    """Rows about instruments of which nothing is known yet, or ever."""
    rows = parts.accepted
    unpriced = sorted(set(rows.signals.instruments) - set(rows.prices.instruments))
    if unpriced:
        yield f"with signals but without prices: {_some(unpriced)}"
    listed = pl.col("instrument").replace_strict(
        _listed_at(parts), default=None, return_dtype=pl.Int64
    )
    for what, frame in (("signals", rows.signals.frame), ("fills", rows.fills.frame)):
        # One at the moment of the listing comes after it.
        early = frame.filter(listed.is_null() | (pl.col("known_at") < listed))
        if not early.is_empty():
            yield (
                f"{early.height} {what} come before their instrument is listed, the engine rejects"
                f" them as unknown_instrument: {_some(early['instrument'].unique().sort())}"
            )


def _portfolio_notes(parts: Parts) -> Iterator[str]:
    """Portfolios that only rows name, mandates about names that no row has, reports in doubt."""
    book, rows = parts.book, parts.accepted
    if book.named:
        yield (
            "opened because rows name them, with the default mandate and no cash in"
            f" {parts.currency}: {_some(book.named)}"
        )
    if idle := book.idle_budgets():
        yield (
            'sleeves = "budgets" binds nothing where the mode has neither house_max nor'
            f" house_weight (decisions are split afterwards, as with books): {_some(idle)}"
        )
    known = _known(parts)
    for portfolio in book.portfolios:
        strange = list(_strange(portfolio.mandate, known))
        if strange:
            yield f"{portfolio.portfolio}: its mandate names, but no row does: {_some(strange)}"
        costs = portfolio.costs
        rated = sorted({one.instrument for one in (*costs.borrow, *costs.carry)})
        dear = [name for name in rated if name not in known.instruments]
        if dear:
            yield f"{portfolio.portfolio}: its costs name, but no row does: {_some(dear)}"
    if rows.positions.unplaced:
        yield (
            f"{rows.positions.unplaced} rejected rows of positions belong to reports that cannot be"
            " told, and these may lack them: what a report leaves out is not held"
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """Names that a mandate may mean."""

    instruments: frozenset[str]
    sources: frozenset[str]
    sectors: frozenset[str]
    factors: frozenset[str]


def _known(parts: Parts) -> _Known:
    """Instruments with rows, sources with signals; sectors and factors as instruments have them."""
    terms = [item.terms for item in parts.listings]
    return _Known(
        frozenset((*parts.accepted.first_heard, *(one.instrument for one in terms))),
        frozenset(parts.accepted.signals.sources),
        frozenset(one.sector for one in terms if one.sector is not None),
        frozenset((*(name for one in terms for name in one.exposed_to), MARKET_FACTOR)),
    )


def _strange(mandate: Mandate, known: _Known) -> Iterator[str]:
    """Names that nothing has, after the field that names them where it is not the universe."""
    yield from (name for name in mandate.universe if name not in known.instruments)
    yield from (name for name in mandate.sources if name not in known.sources)
    lists = [("restricted", mandate.restricted, known.instruments)]
    lists += [
        (field, mandate.about(field), known.instruments)
        for field in ("positions", "must_hold", "lots", "benchmark")
    ]
    lists.append(("sectors", mandate.about("sectors"), known.sectors))
    lists.append(("factors", mandate.about("factors"), known.factors))
    for field, names, there in lists:
        yield from (f"{field} {name}" for name in names if name not in there)


def _listed_at(parts: Parts) -> dict[str, int]:
    """When each instrument's first terms are told."""
    first: dict[str, int] = {}
    for item in parts.listings:
        first.setdefault(item.terms.instrument, item.known_at)
    return first


def _price_notes(prices: Prices) -> Iterator[str]:
    """How opens and closes were settled."""
    unknown = prices.frame["open"].is_not_null() & prices.frame["open_at"].is_null()
    if unknown.any():
        yield (
            f"{unknown.sum()} opens were not known before their bars' end, because no bar length is"
            " stated: give --bar or a column open_time to have fills at opens"
        )
    if prices.closings.made:
        yield (
            f"{len(prices.closings.made)} sessions have bars but none at the close;"
            " they were closed there without a price"
        )
    if not prices.closings.flagged and not prices.closings.made:
        yield f"no bar ends a session {prices.session.text}: check --session and --bar"


def _some(names: Iterable[str]) -> str:
    """The first names, and how many there are beside them."""
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    shown = (shortened(name, _NAME_CHARS) for name in listed[:_NAMES_SHOWN])
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

"""Portfolios: a TOML file becomes portfolios, parameters and registered sources.

Place in the flow: file to messages, read before anything else. A key that the language does not
know is refused by name: a misspelt limit must not pass for one that is not wanted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar, cast, get_args

from pydantic import ValidationError

from coordinator.core.mandates import contradiction
from coordinator.core.market import Market
from coordinator.importers.errors import ImportFailed
from coordinator.importers.files import read_toml
from coordinator.importers.keys import refuse_unknown, refuse_unknown_below
from coordinator.importers.messages import Message, Rank, message
from schemas.base import Model
from schemas.control import ModePreset, Parameters, SourceRegistered
from schemas.mandates import (
    BenchmarkWeight,
    FactorBound,
    LotMultiple,
    Mandate,
    MustHold,
    PositionBound,
    SectorBound,
    SoftLimit,
    SoftName,
)
from schemas.portfolios import Costs, PortfolioOpened, RateOf, Schedule

__all__ = ["Book", "load_book", "parse_book"]

M = TypeVar("M", bound=Model)
_Table = dict[str, Any]

_TOP = ("portfolio", "parameters", "mode", "source")
_HEAD = ("event_id", "event_time")
_NESTED: Mapping[str, type[Model]] = {"mandate": Mandate, "schedule": Schedule, "costs": Costs}
_LISTS_SORTED = ("universe", "sources", "strategies", "instruments", "restricted")
_ENTRIES: Mapping[str, tuple[type[Model], tuple[str, ...]]] = {
    "positions": (PositionBound, ("instrument",)),
    "sectors": (SectorBound, ("sector",)),
    "factors": (FactorBound, ("factor",)),
    "must_hold": (MustHold, ("instrument",)),
    "lots": (LotMultiple, ("instrument",)),
    "soft": (SoftLimit, ("limit", "about")),
    "benchmark": (BenchmarkWeight, ("instrument",)),
    "borrow": (RateOf, ("instrument",)),
    "carry": (RateOf, ("instrument",)),
}
"""Keys of a mandate, or of costs, that are lists of tables, and what these are sorted by."""
_SHARES = (
    "position_min",
    "position_max",
    "gross_max",
    "cash_floor",
    "turnover_max",
    "trade_min",
    "net_min",
    "net_max",
    "leverage_max",
    "volatility_max",
    "drawdown_max",
    "participation",
)
_ENTRY_SHARES = ("min", "max", "weight")
SHARE_MOST = 10.0
"""A larger share of a portfolio's value is taken for a percent, and refused."""
SHARE_USUAL = 1.5
"""A larger one is worth a note."""


@dataclass(frozen=True, slots=True)
class Book:
    """What the file says, or, without one, the rows that name portfolios.

    Times of the events are 0 until messages() sets them; portfolios that only rows name open at
    the first of these.
    """

    portfolios: tuple[PortfolioOpened, ...]
    parameters: Parameters
    sources: tuple[SourceRegistered, ...]

    @classmethod
    def without_file(cls) -> Self:
        """No portfolios yet, and the engine's own parameters."""
        return cls((), Parameters(), ())

    @property
    def currency(self) -> str:
        """That of the first portfolio."""
        return self.portfolios[0].currency

    @property
    def named(self) -> tuple[str, ...]:
        """Portfolios that only rows name, in order of time."""
        return tuple(item.portfolio for item in self.portfolios if item.event_time)

    def opening(self, first_named: Mapping[str, int], *, currency: str) -> Book:
        """The book with a portfolio, without cash, for each name, where no file has them.

        first_named: time of the first row of each portfolio, ns UTC; it opens just before.
        """
        if self.portfolios:
            return self
        ordered = sorted(first_named, key=lambda name: (first_named[name], name))
        opened = (
            PortfolioOpened(
                event_id="portfolio", event_time=first_named[name], portfolio=name,
                currency=currency, cash=Decimal(0),
            )
            for name in ordered
        )  # fmt: skip
        return replace(self, portfolios=tuple(opened))

    def unregistered(self, sources: Iterable[str]) -> tuple[str, ...]:
        """Which of the sources the file does not register, sorted."""
        return tuple(sorted(set(sources) - {item.source for item in self.sources}))

    def odd_shares(self) -> Iterator[str]:
        """Limits so large that they may be meant otherwise, each as a sentence."""
        for item in self.portfolios:
            for key in _SHARES:
                value = getattr(item.mandate, key)
                if value is not None and abs(value) > SHARE_USUAL:
                    yield f"{item.portfolio}: {key} = {value:g} is {value:.0%} of its value"

    def idle_budgets(self) -> tuple[str, ...]:
        """Portfolios whose budgets bind nothing: the mode neither bounds nor charges the house."""
        if self.parameters.sleeves != "budgets":
            return ()
        keeping = {
            preset.mode
            for preset in self.parameters.modes
            if preset.house_max is not None or preset.house_weight > 0.0
        }
        return tuple(one.portfolio for one in self.portfolios if one.mode not in keeping)

    def control_messages(self, *, opened_at: int) -> Iterator[Message]:
        """The parameters, then every source that the file registers."""
        parameters = {"parameters": self.parameters.model_dump(mode="json"), "reason": "import"}
        yield _opening("ParametersChanged", "parameters", opened_at, parameters)
        for number, item in enumerate(sorted(self.sources, key=lambda s: s.source)):
            yield _opening("SourceRegistered", f"source-{number}", opened_at, _fields(item))

    def source_messages(self, first_heard: Mapping[str, int]) -> Iterator[Message]:
        """Every source that the file does not register, as imported, in order of time.

        first_heard: time of each source's first signal, ns UTC; that is when it registers, before
        the signal.
        """
        strangers = sorted(self.unregistered(first_heard), key=lambda s: (first_heard[s], s))
        for number, name in enumerate(strangers, len(self.sources)):
            at = first_heard[name]
            head = {"event_id": f"source-{number}", "event_time": at}
            fields = head | {"source": name, "kind": "imported"}
            yield message(at, Rank.SIGNAL, "SourceRegistered", fields)

    def portfolio_messages(self, *, opened_at: int) -> Iterator[Message]:
        """Every portfolio, in the order of the file, or of the rows that name them."""
        for number, item in enumerate(self.portfolios):
            at = item.event_time or opened_at
            yield _opening("PortfolioOpened", f"portfolio-{number}", at, _fields(item))


def load_book(path: Path, *, currency: str | None) -> Book:
    """The portfolios of a TOML file. Raises ImportFailed.

    currency: of portfolios that state none.
    """
    return parse_book(read_toml(path), name=path.name, currency=currency)


def parse_book(tree: Mapping[str, Any], *, name: str, currency: str | None) -> Book:
    """The portfolios of a TOML file's tree. Raises ImportFailed, naming the key."""
    refuse_unknown(tree, _TOP, name)
    parameters = _parse(Parameters, _parameters(tree, name), f"{name} [parameters]")
    entries = _entries(tree, "portfolio", name)
    if not entries:
        raise ImportFailed(
            name, "it has no portfolio", remedy="add a [[portfolio]] with id and cash"
        )
    portfolios = tuple(_portfolio(entry, where, currency) for where, entry in entries)
    sources = tuple(_source(entry, where) for where, entry in _entries(tree, "source", name))
    _refuse_doubled([item.portfolio for item in portfolios], f"{name} [[portfolio]]")
    _refuse_doubled([item.source for item in sources], f"{name} [[source]]")
    modes = [preset.mode for preset in parameters.modes]
    for item in portfolios:
        if item.mode not in modes:
            raise ImportFailed(
                f"{name} portfolio {item.portfolio}",
                f"unknown mode {item.mode!r}",
                remedy=f"use {', '.join(modes)}, or define it under [[mode]]",
            )
        if limits := contradiction(item.mandate, Market(window=2)):
            fields = dict.fromkeys(limit.partition(" ")[0] for limit in limits)
            softer = " or ".join(field for field in fields if field in get_args(SoftName))
            soften = f", or name {softer} under [[portfolio.mandate.soft]]" if softer else ""
            raise ImportFailed(
                f"{name} portfolio {item.portfolio}",
                f"its limits cannot hold together: {', '.join(limits)}",
                remedy=f"ease one of them{soften}",
            )
    return Book(portfolios, parameters, sources)


def _portfolio(entry: _Table, where: str, currency: str | None) -> PortfolioOpened:
    known = [key for key in PortfolioOpened.model_fields if key not in (*_HEAD, "portfolio")]
    refuse_unknown(entry, ("id", *known), where)
    if isinstance(cash := entry.get("cash"), float):
        what = "cash is no exact amount of money"
        raise ImportFailed(where, what, remedy=f'put it in quotes: cash = "{cash}"')
    fields = {key: value for key, value in entry.items() if key != "id"}
    if "id" in entry:
        fields["portfolio"] = entry["id"]
    for key, model in _NESTED.items():
        if key in entry:
            nested = _table(entry[key], f"{where}.{key}")
            refuse_unknown(nested, model.model_fields, f"{where}.{key}")
            _refuse_percents(nested, f"{where}.{key}")
            fields[key] = _with_sorted_entries(
                _with_sorted_lists(nested), f"{where}.{key}", below=f"portfolio.{key}."
            )
    if currency is not None:
        fields.setdefault("currency", currency)
    if "currency" not in fields:
        what = f"{fields.get('portfolio', 'the portfolio')} has no currency"
        raise ImportFailed(where, what, remedy='give currency = "USD" here, or --currency USD')
    head = {"event_id": "portfolio", "event_time": 0}
    return _parse(PortfolioOpened, {**head, **fields}, where, given=entry)


def _source(entry: _Table, where: str) -> SourceRegistered:
    known = [key for key in SourceRegistered.model_fields if key not in _HEAD]
    refuse_unknown(entry, known, where)
    fields = {"event_id": "source", "event_time": 0, **_with_sorted_lists(entry)}
    return _parse(SourceRegistered, fields, where)


def _parameters(tree: Mapping[str, Any], name: str) -> _Table:
    table = dict(_table(tree.get("parameters", {}), f"{name} [parameters]"))
    refuse_unknown(table, Parameters.model_fields, f"{name} [parameters]")
    others = {key: value for key, value in table.items() if key != "modes"}
    refuse_unknown_below(others, Parameters, name, "parameters")
    if "modes" in table:
        found = _entries(table, "modes", f"{name} [parameters]", below="parameters.")
        modes = [entry for _, entry in found]
        for entry in modes:
            refuse_unknown(entry, ModePreset.model_fields, f"{name} [[parameters.modes]]")
        table["modes"] = sorted(modes, key=_mode_name)
    own = [_mode(entry, where) for where, entry in _entries(tree, "mode", name)]
    if own:
        _refuse_doubled([entry["mode"] for entry in own], f"{name} [[mode]]")
        table["modes"] = _with_modes(table, own)
    return table


def _mode(entry: _Table, where: str) -> _Table:
    """One of [[mode]], whole: what it leaves out has its default."""
    refuse_unknown(entry, ModePreset.model_fields, where)
    return _parse(ModePreset, entry, where).model_dump()


def _with_modes(table: _Table, own: list[_Table]) -> list[_Table]:
    """The modes of the parameters, or those there are without any, with these in their place."""
    there = table.get("modes", [preset.model_dump() for preset in Parameters().modes])
    names = [entry["mode"] for entry in own]
    return sorted([*(one for one in there if _mode_name(one) not in names), *own], key=_mode_name)


def _mode_name(entry: _Table) -> str:
    mode = entry.get("mode")
    return mode if isinstance(mode, str) else ""


def _parse(model: type[M], fields: _Table, where: str, *, given: _Table | None = None) -> M:
    """The model of the fields, read as JSON so that the language's own rules hold.

    given: the fields as they stand in the file, where the fields have them in another order.
    """
    try:
        return model.model_validate_json(json.dumps(fields, allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = _key(first["loc"], fields, fields if given is None else given)
        if first["type"] == "literal_error":
            what = f"{key}: {first['input']!r} is none of those that there are"
            remedy = f"use {first['ctx']['expected']}"
            raise ImportFailed(where, what, remedy=remedy) from error
        told = first["msg"].removeprefix("Value error, ")
        raise ImportFailed(where, f"{key}: {told}") from error
    except RecursionError as error:
        raise ImportFailed(where, "a value is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise ImportFailed(where, f"a value is of no use here ({error})") from error


def _key(path: tuple[int | str, ...], fields: _Table, given: _Table) -> str:
    """A key's path as the file has it: entries are counted from 1 as they stand there."""
    key, here, there = "", cast("Any", fields), cast("Any", given)
    for part in path:
        if isinstance(part, int):
            one = here[part] if isinstance(here, list) and part < len(here) else None
            place = there.index(one) if isinstance(there, list) and one in there else part
            key += f" {place + 1}"
            here = there = one
        else:
            key += f".{part}" if key else str(part).replace("portfolio", "id")
            here, there = (x.get(part) if isinstance(x, dict) else None for x in (here, there))
    return key or "it"


def _entries(
    tree: Mapping[str, Any], key: str, name: str, *, below: str = ""
) -> list[tuple[str, _Table]]:
    """The tables under [[key]], each with its place for a message. below: tables it stands in."""
    found = tree.get(key, [])
    if not isinstance(found, list):
        raise ImportFailed(name, f"{key} is no list of tables", remedy=f"write [[{below}{key}]]")
    return [
        (f"{name} [[{key}]] {number}", _table(entry, f"{name} [[{key}]] {number}"))
        for number, entry in enumerate(found, 1)
    ]


def _table(value: object, where: str) -> _Table:
    if not isinstance(value, dict):
        raise ImportFailed(where, "it is no table", remedy="write it as key = value lines")
    return value


def _refuse_percents(table: _Table, where: str, keys: Sequence[str] = _SHARES) -> None:
    """A percent where a fraction is wanted would be no limit at all."""
    for key in keys:
        value = table.get(key)
        if isinstance(value, int | float) and abs(value) > SHARE_MOST:
            raise ImportFailed(
                where,
                f"{key} = {value} is no share of a portfolio's value",
                remedy="give a fraction: 0.4 is 40 %",
            )


def _refuse_doubled(names: list[str], where: str) -> None:
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise ImportFailed(where, f"{doubled[0]!r} stands there twice", remedy="keep one of them")


def _with_sorted_lists(table: _Table) -> _Table:
    """Order and repetition carry no meaning in these lists; the language wants them sorted."""
    return {
        key: sorted(set(value))
        if key in _LISTS_SORTED
        and isinstance(value, list)
        and all(isinstance(v, str) for v in value)
        else value
        for key, value in table.items()
    }


def _with_sorted_entries(table: _Table, where: str, *, below: str) -> _Table:
    """The order of such tables carries no meaning; two about the same are refused by name."""
    found = dict(table)
    for key in (key for key in _ENTRIES if key in table):
        model, sorted_by = _ENTRIES[key]
        entries = [entry for _, entry in _entries(table, key, where, below=below)]
        for entry in entries:
            refuse_unknown(entry, model.model_fields, f"{where}.{key}")
            if key not in ("factors", "soft"):
                _refuse_percents(entry, f"{where}.{key}", _ENTRY_SHARES)
        names = [tuple(str(entry.get(part, "")) for part in sorted_by) for entry in entries]
        _refuse_doubled([" ".join(name).rstrip() for name in names], f"{where}.{key}")
        pairs = sorted(zip(names, range(len(names)), strict=True))
        found[key] = [entries[place] for _, place in pairs]
    return found


def _fields(item: Model) -> _Table:
    plain = item.model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in plain.items() if key not in _HEAD}


def _opening(event: str, event_id: str, at: int, fields: Mapping[str, object]) -> Message:
    return message(at, Rank.TERMS, event, {"event_id": event_id, "event_time": at, **fields})

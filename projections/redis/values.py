"""What the Redis projection holds, made from rows: the newest documents, and which signals live.

Place in the flow: between a batch and the commit script. Pure; the mirror of live signals is
loaded from Redis when the sink is opened and must be thrown away when a commit failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic_core import to_json

from projections.rows import (
    AsOf,
    DecisionRow,
    HoldingRow,
    IncidentRow,
    PortfolioViewRow,
    Row,
    SignalRow,
    SignalVerdictRow,
    TradeRow,
)

__all__ = ["ActiveSignals", "Change", "latest"]

_OF_DECISION = frozenset(("as_of", "decision_id", "portfolio", "decided_at"))
_OF_VIEW = frozenset(("as_of", "portfolio", "at"))


class Change(NamedTuple):
    """One change, as the commit script takes it.

    kind: "latest" (value of field in the hash `name`, unless one as new is there), "add" or
    "remove" (field among the active signals of the instrument `name`).
    """

    kind: str
    name: str
    field: str
    as_of: AsOf
    value: str = ""


def latest(rows: Iterable[Row]) -> Iterator[Change]:
    """The newest view and the newest decision of each portfolio among the rows."""
    views: dict[str, PortfolioViewRow] = {}
    decisions: dict[str, DecisionRow] = {}
    # By instrument and id: an entry that comes twice must not say things twice.
    holdings: dict[tuple[str, AsOf], dict[str, HoldingRow]] = {}
    trades: dict[tuple[str, AsOf], dict[str, TradeRow]] = {}
    for row in rows:
        if isinstance(row, PortfolioViewRow):
            known = views.get(row.portfolio)
            if known is None or known.as_of < row.as_of:
                views[row.portfolio] = row
        elif isinstance(row, DecisionRow):
            newest = decisions.get(row.portfolio)
            if newest is None or newest.as_of < row.as_of:
                decisions[row.portfolio] = row
        elif isinstance(row, HoldingRow):
            holdings.setdefault((row.portfolio, row.as_of), {})[row.instrument] = row
        elif isinstance(row, TradeRow):
            trades.setdefault((row.portfolio, row.as_of), {})[row.trade_id] = row
    for name, view in views.items():
        own = holdings.get((name, view.as_of), {})
        held = [_without(one, _OF_VIEW) for one in own.values()]
        text = _json(_without(view) | {"holdings": held})
        yield Change("latest", "portfolio_views", name, view.as_of, text)
    for name, decision in decisions.items():
        orders = trades.get((name, decision.as_of), {})
        made = [_without(one, _OF_DECISION) for one in orders.values()]
        text = _json(_without(decision) | {"trades": made})
        yield Change("latest", "decisions", name, decision.as_of, text)


@dataclass(frozen=True, slots=True)
class _Live:
    """One copy of a signal in its home shard's journal."""

    source: str
    signal_id: str
    instrument: str
    place: AsOf

    @property
    def field(self) -> str:
        """Its field in Redis: a source may use an id again, so the place tells copies apart."""
        return f"{self.source}/{self.signal_id}@{self.place.shard}:{self.place.seq}"


@dataclass(slots=True)
class ActiveSignals:
    """The signals that the engine may still use, by where they stand in their home journal.

    A signal is active from its journal record on. The engine closes it by SignalExpired, caused by
    a later record; one it never took is rejected, or quarantined, at its own record. So each copy
    of a signal is told apart by its place, and a repeated id closes nobody else's view.
    """

    _places: dict[AsOf, _Live] = field(default_factory=dict)
    _ids: dict[tuple[str, str], list[_Live]] = field(default_factory=dict)

    def load(self, source: str, signal_id: str, instrument: str, place: AsOf) -> None:
        """A signal that Redis holds."""
        self._add(_Live(source, signal_id, instrument, place))

    def changes(self, rows: Iterable[Row]) -> list[Change]:
        """What these rows, in their order, add and remove; what does both is left out."""
        made: dict[str, Change] = {}
        for row in rows:
            if isinstance(row, SignalRow):
                live = _Live(row.source, row.signal_id, row.instrument, row.as_of)
                self._add(live)
                text = _json(_without(row))
                made[live.field] = Change("add", row.instrument, live.field, row.as_of, text)
                continue
            for live in self._ended_by(row):
                self._remove(live)
                added = made.pop(live.field, None)
                if added is None or added.kind != "add":
                    made[live.field] = Change("remove", live.instrument, live.field, live.place)
        return list(made.values())

    def _ended_by(self, row: Row) -> list[_Live]:
        if isinstance(row, SignalVerdictRow) and row.verdict == "expired":
            copies = self._ids.get((row.source, row.signal_id), [])
            return [live for live in copies if live.place.seq < row.position]
        if isinstance(row, SignalVerdictRow):
            return self._at(row.as_of.shard, row.position)
        if isinstance(row, IncidentRow) and row.kind == "quarantined":
            return self._at(row.as_of.shard, row.position)
        return []

    def _at(self, shard: int, position: int) -> list[_Live]:
        live = self._places.get(AsOf(shard, position))
        return [] if live is None else [live]

    def _add(self, live: _Live) -> None:
        if live.place not in self._places:
            self._places[live.place] = live
            self._ids.setdefault((live.source, live.signal_id), []).append(live)

    def _remove(self, live: _Live) -> None:
        del self._places[live.place]
        key = (live.source, live.signal_id)
        self._ids[key] = [one for one in self._ids[key] if one is not live]
        if not self._ids[key]:
            del self._ids[key]


def _without(row: Row, left_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    names = [one.name for one in fields(row) if one.name not in left_out]
    return {name: _spelled(getattr(row, name)) for name in names}


def _spelled(value: Any) -> Any:
    """Money and quantities as decimal text without an exponent, as in the events themselves."""
    return format(value, "f") if isinstance(value, Decimal) else value


def _json(value: dict[str, Any]) -> str:
    return to_json(value).decode()

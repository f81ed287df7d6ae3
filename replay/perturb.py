"""Another future: journal records changed as the look-ahead audit wants them.

Place in the flow: between a recorded journal and an engine under audit. Each record keeps its
shard, position and time, so that outputs of equal content have equal bytes. Pure and
deterministic: what a record becomes depends on the record alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coordinator.core.ports import Record
from schemas.base import Event, InputEvent, Origin
from schemas.canonical import digest
from schemas.entries import Stamp, decode_journal, encode_journal
from schemas.journal import ClockTicked, EngineSealed
from schemas.market import PricesObserved
from schemas.registry import SchemaError
from schemas.signals import SignalIssued

__all__ = ["cut_off", "perturbed"]

_PRICE_MIN, _PRICE_MAX = 2e-9, 9e11


def perturbed(record: Record) -> Record:
    """The record with its prices and volumes scaled, or its signal turned.

    Anything else the world said, and all feedback, becomes the mere passing of time.
    """
    try:
        entry = decode_journal(record.payload)
    except SchemaError:
        return cut_off(record)
    event = entry.event
    changed: Event | None = None
    if isinstance(event, PricesObserved):
        changed = _scaled(event)
    elif isinstance(event, SignalIssued):
        changed = _turned(event)
    elif isinstance(event, InputEvent) and event.origin is Origin.CLOCK:
        changed = None if isinstance(event, EngineSealed) else event
    if changed is None:
        return cut_off(record)
    return replace(record, payload=encode_journal(entry.stamp, changed))


def cut_off(record: Record) -> Record:
    """A tick in the record's place: time goes on, and nothing happens."""
    at = record.journal_time
    tick = ClockTicked(event_id=f"tick {at}", event_time=at)
    return replace(record, payload=encode_journal(Stamp("journal", "audit", 0, -1, at), tick))


def _scaled(event: PricesObserved) -> PricesObserved:
    """Each instrument's numbers times a factor of its own, between a half and two."""
    factors = [_factor(f"{event.event_id}/{name}") for name in event.instruments]
    changes: dict[str, Any] = {}
    for name in ("price", "open", "high", "low", "volume"):
        column = getattr(event, name)
        if column is not None:
            changes[name] = tuple(
                None if value is None else _bounded(value * factor, volume=name == "volume")
                for value, factor in zip(column, factors, strict=True)
            )
    return event.model_copy(update=changes)


def _factor(name: str) -> float:
    share = int(digest(name.encode())[:8], 16)
    # Never near 1: every price must change.
    return 0.5 + share % 400 / 1_000 if share % 2 else 1.2 + share % 800 / 1_000


def _bounded(value: float, *, volume: bool) -> float:
    return min(value, 1e18) if volume else min(max(value, _PRICE_MIN), _PRICE_MAX)


def _turned(event: SignalIssued) -> SignalIssued:
    """The opposite opinion, with the opposite conviction."""
    changes: dict[str, Any] = {}
    if event.direction is not None:
        changes["direction"] = -event.direction or 1
    if event.strength is not None:
        changes["strength"] = 1.0 - event.strength
    for form, small in (("expected_return", 0.01), ("target_weight", 0.01)):
        value = getattr(event, form)
        if value is not None:
            changes[form] = -value or small
    if event.rank is not None and event.rank_of is not None:
        turned = event.rank_of + 1 - event.rank
        changes["rank"] = turned if turned != event.rank else event.rank_of
    if event.probability_up is not None:
        changes["probability_up"] = 0.9 if event.probability_up == 0.5 else 1 - event.probability_up  # noqa: PLR2004 - a coin turned is a coin
    if event.quintiles is not None:
        turned_fifths = event.quintiles[::-1]
        same = turned_fifths == event.quintiles
        changes["quintiles"] = (0.0, 0.0, 0.0, 0.0, 1.0) if same else turned_fifths
    if event.confidence is not None:
        changes["confidence"] = 1.0 - event.confidence
    return event.model_copy(update=changes)

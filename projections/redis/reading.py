"""Reads the Redis projection: its marks, its live signals, digests of its views.

Place in the flow: for the writer, a rebuild's comparison, `projections status` and checkers. Must
never write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from projections.checkpoints import Mark, Part, mark_from
from projections.errors import ProjectionStopped, TargetChanged
from projections.redis.connecting import TARGET, Client, connect, translated
from projections.redis.keys import LAYOUT, Keys
from projections.redis.scripts import SNAPSHOT
from projections.redis.values import ActiveSignals
from projections.rows import AsOf
from projections.sink import Inspection, Snapshot, ViewDigest

__all__ = ["RedisView", "load_signals", "marks_in", "snapshot"]

_VIEWS = ("portfolio_views", "decisions", "signals")


@dataclass(frozen=True, slots=True)
class RedisView:
    """A projection read from outside, without becoming its writer."""

    url: str = field(repr=False)
    prefix: str = "coordinator"

    def snapshot(self) -> Snapshot:
        """Marks and digests of what readers read. Raises TargetAway, TargetChanged."""
        with closing(connect(self.url)) as client:
            return snapshot(client, Keys(self.prefix), "")

    def inspect(self) -> Inspection:
        """Layout, writer, marks and rows. Raises TargetAway."""
        keys = Keys(self.prefix)
        with closing(connect(self.url)) as client, translated():
            writer = bool(client.exists(keys.of("writer")))
            generation: Any = client.get(keys.of("live"))
            if generation is None:
                return Inspection("", None, LAYOUT, writer, {}, {})
            stored: Any = client.hgetall(keys.within(generation, "checkpoints"))
            names: Any = client.smembers(keys.within(generation, "instruments"))
            rows: dict[str, int | None] = {
                view: int(_length(client, keys.within(generation, view)))
                for view in ("portfolio_views", "decisions")
            }
            signals = [keys.within(generation, f"signals:{name}") for name in names]
            rows["signals"] = sum(_length(client, key) for key in signals)
        layout = int(stored.get("layout", 0)) or None
        marks = marks_in([text for pair in stored.items() for text in pair])
        return Inspection(generation, layout, LAYOUT, writer, marks, rows)


def _length(client: Client, key: str) -> int:
    found: Any = client.hlen(key)
    return int(found)


def marks_in(pairs: Sequence[str]) -> dict[Part, Mark]:
    """Marks from the fields and values of a checkpoints hash, one after the other."""
    found: dict[Part, Mark] = {}
    try:
        for place, text in zip(pairs[::2], pairs[1::2], strict=True):
            if place != "layout":
                topic, _, shard = place.rpartition("/")
                found[topic, int(shard)] = mark_from(text)
    except ValueError as error:
        what = "the checkpoints cannot be read; rebuild the projection"
        raise ProjectionStopped(TARGET, what) from error
    return found


def load_signals(client: Client, keys: Keys, generation: str) -> ActiveSignals:
    """The live signals of a generation."""
    active = ActiveSignals()
    with translated():
        names: Any = client.smembers(keys.within(generation, "instruments"))
        for name in sorted(names):
            texts: Any = client.hvals(keys.within(generation, f"signals:{name}"))
            for text in texts:
                value = from_json(text)
                place = AsOf(*value["as_of"])
                active.load(value["source"], value["signal_id"], value["instrument"], place)
    return active


def snapshot(client: Client, keys: Keys, generation: str) -> Snapshot:
    """Marks and digests of a generation, as of one moment; "": of the one that is read."""
    with translated():
        script: Any = client.register_script(SNAPSHOT)
        word, *parts = script(keys=[keys.of("live")], args=[keys.base, generation])
    if word != "ok":
        raise TargetChanged(TARGET, f"there is no projection under prefix {keys.prefix}")
    marks, *views = parts
    return Snapshot(marks_in(marks), dict(zip(_VIEWS, map(_digest, views), strict=True)))


def _digest(pairs: Sequence[str]) -> ViewDigest:
    found = hashlib.sha256()
    values = sorted(zip(pairs[::2], pairs[1::2], strict=True))
    for name, value in values:
        for text in (name, value):
            # The length first, so that no two sequences of texts read the same.
            raw = text.encode()
            found.update(f"{len(raw)}:".encode() + raw)
    return ViewDigest(len(values), found.hexdigest())

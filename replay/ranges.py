"""Which engine decided which part of a journal: verify splits a log there.

Place in the flow: read once before a log is decided again. A range ends with its engine's seal;
what stands behind the seal is the next engine's, whose EngineStarted may come a little later. It
must never judge an output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from coordinator.bootstrap import Identity
from coordinator.core.ports import LogReader, Record
from schemas.entries import decode_journal, opening
from schemas.journal import EngineSealed, EngineStarted
from schemas.registry import SchemaError

__all__ = ["Range", "ranges_of", "started_in"]

_STARTED, _SEALED = opening(EngineStarted), opening(EngineSealed)


@dataclass(frozen=True, slots=True)
class Range:
    """Journal records of one shard that one engine decided on, from `first` to `last`, inclusive.

    engine: None where nothing names it. follows: position of the record before `first`, -1 at the
    journal's beginning: the state after it is what the range starts from. open: it stands behind a
    seal, and no engine has started there yet.
    """

    shard: int
    first: int
    last: int
    follows: int
    engine: Identity | None
    open: bool = False


def ranges_of(
    reader: LogReader,
    shard: int,
    *,
    after: int = -1,
    engine: Identity | None = None,
    sealed: bool = False,
) -> tuple[Range, ...]:
    """The ranges of a journal as it is now, in order.

    after: position that a checkpoint covers; engine and sealed are those of its state. Records up
    to it are left out.
    """
    found: list[Range] = []
    follows = after
    for record in reader.read("journal", shard, after + 1):
        started = started_in(record)
        behind = sealed and (not found or not found[-1].open)
        if not found or behind or (not sealed and started not in {None, engine}):
            begun = Range(shard, record.position, record.position, follows, engine, open=sealed)
            found.append(begun)
        if started is not None:
            engine, sealed = started, False
            _name(found, started)
        found[-1] = replace(found[-1], last=record.position)
        sealed = sealed or record.payload.startswith(_SEALED)
        follows = record.position
    return tuple(found)


def _name(found: list[Range], engine: Identity) -> None:
    """The last range is this engine's; it goes on with the one before where that is its, too."""
    found[-1] = replace(found[-1], engine=engine, open=False)
    if len(found) > 1 and found[-2].engine == engine:
        last = found.pop().last
        found[-1] = replace(found[-1], last=last)


def started_in(record: Record) -> Identity | None:
    """The engine that a journal record says decides from there on; None for any other record."""
    if not record.payload.startswith(_STARTED):
        return None
    try:
        event = decode_journal(record.payload).event
    except SchemaError:
        return None  # the engine's to quarantine
    if not isinstance(event, EngineStarted):
        return None
    return event.build, event.dependencies, event.fingerprint

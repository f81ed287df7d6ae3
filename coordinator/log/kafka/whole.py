"""Whole records from what stands in a partition, also where a reading begins among their parts.

Place in the flow: beneath `KafkaLog.read`. A record's position is its last part's: what lies before
the reading's beginning is read, too, however much of other writers stands between. It must never
pass over a record because its beginning lies before the reading's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from coordinator.log.kafka.chunks import Assembly, chunk_of, place_of
from coordinator.log.kafka.tail import Found

__all__ = ["BeginningMissing", "whole"]

_STEP = 4
"""Positions that are looked at first, for each part that is looked for; then more each time."""


class BeginningMissing(Exception):
    """The last part of a record stands at `position`; one before it is not in the partition."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the record at position {position} lacks a part")
        self.position = position


def whole(
    there: Iterable[Found], between: Callable[[int, int], Iterable[Found]], begin: int
) -> Iterator[tuple[Found, bytes]]:
    """Each record with its last part, in order. Parts without a last one are no record.

    between: reads the same partition from a position up to another. begin: its first position.
    Raises BeginningMissing.
    """
    assembly = Assembly()
    for found in there:
        header = chunk_of(found.headers)
        payload = assembly.take(found.value, header)
        if payload is None and header is not None:
            which, number, count = place_of(header)
            if which is not None and number == count:
                payload = _looked_back(found, which, count, between, begin)
        if payload is not None:
            yield found, payload


def _looked_back(
    last: Found, which: str, count: int, between: Callable[[int, int], Iterable[Found]], begin: int
) -> bytes:
    """The record whose last part this is, read backwards in growing steps to its first one."""
    parts = {count: last.value}
    stop, step = last.offset, _STEP * count
    while 1 not in parts and stop > begin:
        start = max(begin, stop - step)
        for found in between(start, stop):
            header = chunk_of(found.headers)
            name, number, _ = (None, 0, 0) if header is None else place_of(header)
            if name == which:
                parts[number] = found.value
        stop, step = start, step * _STEP
    if len(parts) < count:
        raise BeginningMissing(last.offset)
    return b"".join(parts[number] for number in range(1, count + 1))

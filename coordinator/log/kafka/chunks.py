"""Records larger than a broker takes: split into chunks, put together again.

Place in the flow: between `KafkaLog` and the topics. Chunks of one record follow each other; the
record's position is that of its last chunk. A writer that died half-way leaves chunks without an
end: they are no record, and are passed over. It must never hand out a part as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["CHUNK", "Assembly", "chunk_of", "place_of", "split"]

CHUNK = "chunk"
"""Header of a part: "WHICH I/N", WHICH telling two writers' records apart."""
_PARTS_MAX = 4_096


def split(payload: bytes, *, largest: int, which: str) -> Iterator[tuple[bytes, bytes | None]]:
    """The payload in parts of at most `largest` bytes, each with its header; None where whole."""
    if len(payload) <= largest:
        yield payload, None
        return
    parts = [payload[at : at + largest] for at in range(0, len(payload), largest)]
    for number, part in enumerate(parts, start=1):
        yield part, f"{which} {number}/{len(parts)}".encode()


def chunk_of(headers: Iterable[tuple[str, bytes]]) -> bytes | None:
    """The header of a part; None where the record is whole."""
    return next((value for name, value in headers if name == CHUNK), None)


@dataclass(slots=True)
class Assembly:
    """Puts chunks together as they are read, one partition each."""

    _parts: dict[str, list[bytes]] = field(default_factory=dict)

    def take(self, payload: bytes, header: bytes | None) -> bytes | None:
        """The whole record once its last part is there; None before, and for a part astray."""
        if header is None:
            return payload
        which, number, count = place_of(header)
        if which is None:
            return None
        if number == 1:
            self._parts[which] = []
        parts = self._parts.get(which)
        if parts is None or len(parts) != number - 1:
            self._parts.pop(which, None)  # its beginning is missing: it never was whole
            return None
        parts.append(payload)
        if number < count:
            return None
        del self._parts[which]
        return b"".join(parts)


def place_of(header: bytes) -> tuple[str | None, int, int]:
    """Which record, which part of it, of how many; None where the header is none of ours."""
    try:
        which, _, place = header.decode().partition(" ")
        number, _, count = place.partition("/")
        found = int(number), int(count)
    except ValueError:
        return None, 0, 0
    if not 1 <= found[0] <= found[1] <= _PARTS_MAX:
        return None, 0, 0
    return which, *found

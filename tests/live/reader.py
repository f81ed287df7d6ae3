"""The rule for reading decisions: each output once and in order, whoever repeats what."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


class Reader:
    """One shard. Give it every record in turn; keep (seq, last) with what you made of them."""

    def __init__(self, seq: int = -1, last: str = "0" * 64) -> None:
        self.seq, self.last, self._parts = seq, last, dict[str, list[bytes]]()

    def take(self, value: bytes, headers: Iterable[tuple[str, bytes]] = ()) -> Any:
        """The next output; None for a repeat, and for a part of a large one. Raises ValueError."""
        chunk = dict(headers).get("chunk")
        if chunk is not None:  # "WHICH I/N": outputs of more than 2 MiB come in N parts
            which, _, place = chunk.decode().partition(" ")
            number, count = map(int, place.split("/"))
            parts = self._parts.setdefault(which, [])
            parts[number - 1 :] = [value]
            if number < count or len(parts) != count:
                return None
            value = b"".join(self._parts.pop(which))
        entry = json.loads(value)
        if entry["seq"] <= self.seq:
            return None
        if entry["seq"] != self.seq + 1 or entry["prev"] != self.last:
            raise ValueError(f"seq {entry['seq']} does not follow {self.seq}: stop reading here")
        self.seq, self.last = entry["seq"], hashlib.sha256(value).hexdigest()
        return entry

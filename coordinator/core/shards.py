"""Which shard a portfolio or a source belongs to (a stable hash), and which shards a log has."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from coordinator.core.ports import LogReader

__all__ = ["SHARDS_DEFAULT", "shard_of", "shards_in"]

SHARDS_DEFAULT = 8


@lru_cache(maxsize=65_536)
def shard_of(key: str, shards: int) -> int:
    """The home shard of a portfolio id or a source id, 0 <= shard < shards."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % shards


def shards_in(reader: LogReader, topic: str) -> tuple[int, ...]:
    """The shards of a topic that hold records, in order."""
    return tuple(shard for name, shard in reader.partitions() if name == topic)

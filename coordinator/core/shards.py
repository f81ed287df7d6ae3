"""Which shard a portfolio or a source belongs to: a stable hash, the same everywhere."""

from __future__ import annotations

import hashlib
from functools import lru_cache

__all__ = ["SHARDS_DEFAULT", "shard_of"]

SHARDS_DEFAULT = 8


@lru_cache(maxsize=65_536)
def shard_of(key: str, shards: int) -> int:
    """The home shard of a portfolio id or a source id, 0 <= shard < shards."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % shards

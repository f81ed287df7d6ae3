"""What a row was made from.

Place in the flow: the stamp that every row carries, and by which sinks tell newer from older.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AsOf"]


class AsOf(NamedTuple):
    """What a row was made from: an output's seq, or a journal record's position, in its shard.

    Comparable only within one shard, where a larger one is newer.
    """

    shard: int
    seq: int

"""Recall: what was worked out before from the very same inputs, so that rounds share it.

Place in the flow: portfolios of a shard decide on the same views and prices, and a portfolio's next
round on mostly the same. It must never change a bit: a result is found by all that it was made
from, by value or by the identity of something that cannot change, so with it and without it the
numbers are the same ones. It is no part of the state: a checkpoint holds nothing of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Recall"]

Made = TypeVar("Made")


class Recall(Generic[Made]):
    """A bounded number of results; what was not asked for longest goes first."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries: OrderedDict[Hashable, tuple[object, Made]] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: Hashable, make: Callable[[], Made], *, holding: object = None) -> Made:
        """The result of `make`, made now or before with an equal key.

        key: every input, by value or by id. holding: the things whose id stands in the key; they
        live as long as the result, so that no id is given to something else meanwhile.
        """
        known = self._entries.get(key)
        if known is None:
            if len(self._entries) >= self._entries_max:
                self._entries.popitem(last=False)
            known = self._entries[key] = (holding, make())
        else:
            self._entries.move_to_end(key)
        return known[1]

    def clear(self) -> None:
        """Forget everything: something changed that no key tells."""
        self._entries.clear()

    def __len__(self) -> int:
        """Results kept."""
        return len(self._entries)

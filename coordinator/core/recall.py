"""Recall: what was worked out before from the very same inputs, so that rounds share it.

Place in the flow: portfolios of a shard decide on the same views and prices, and a portfolio's next
round on mostly the same. It must never change a bit: a result is found by all that it was made
from, by value or by the identity of something that cannot change, so with it and without it the
numbers are the same ones. It is no part of the state: a checkpoint holds nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Generic, TypeVar

__all__ = ["Recall"]

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Made]):
    key: object
    same: Sequence[object]
    made: Made

    def of(self, key: object, same: Sequence[object]) -> bool:
        """Whether it was made from exactly these."""
        alike = len(self.same) == len(same) and all(map(is_, self.same, same))
        return alike and self.key == key


class Recall(Generic[Made]):
    """A bounded number of results; what was not asked for longest goes first."""

    def __init__(self, *, entries_max: int) -> None:
        self._entries: list[_Entry[Made]] = []
        self._entries_max = entries_max

    def get(self, key: object, make: Callable[[], Made], *, same: Sequence[object] = ()) -> Made:
        """The result of `make`, made now or before from the same inputs.

        key: the inputs that are compared by value. same: those that must be the very same objects;
        nothing may ever change them. They live as long as the result.
        """
        for place in range(len(self._entries) - 1, -1, -1):
            if self._entries[place].of(key, same):
                self._entries.append(self._entries.pop(place))
                return self._entries[-1].made
        made = make()
        if len(self._entries) >= self._entries_max:
            del self._entries[0]
        self._entries.append(_Entry(key, same, made))
        return made

    def clear(self) -> None:
        """Forget everything: something changed that no key tells."""
        self._entries.clear()

    def __len__(self) -> int:
        """Results kept."""
        return len(self._entries)

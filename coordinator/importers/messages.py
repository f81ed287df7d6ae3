"""Messages: what files say, in the words of the input topics, ready for the router.

Place in the flow: importers make messages, the journaling step puts them in order of time. At equal
times: terms and portfolios, rates, bars, opens, corporate actions, cash, fills, positions reports,
outcomes, signals (after the sources they introduce). Never touches a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from pydantic_core import to_json

from schemas.registry import event_type

__all__ = ["Message", "Rank", "by_time", "message"]


class Rank(IntEnum):
    """Order at equal times: what is known of the market, then of books, then opinions."""

    TERMS = 0
    RATE = 1
    BAR = 2
    OPEN = 3
    ACTION = 4
    CASH = 5
    FILL = 6
    REPORT = 7
    OUTCOME = 8
    SIGNAL = 9


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an input topic with the moment it was known, ns UTC."""

    known_at: int
    rank: Rank
    event: str
    payload: bytes

    @property
    def topic(self) -> str:
        """The input topic its event belongs on."""
        return event_type(self.event).topic


def message(known_at: int, rank: Rank, event: str, fields: Mapping[str, object]) -> Message:
    """A message from an event's name and its fields."""
    return Message(known_at, rank, event, to_json({"type": event, **fields}))


by_time: Callable[[Message], tuple[int, Rank]] = lambda item: (item.known_at, item.rank)  # noqa: E731 - a sort key

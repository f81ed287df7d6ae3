"""Time as data: the units, and timers that belong to the state.

Place in the flow: the engine asks which timers are due before each record. Never reads a clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

__all__ = ["MILLISECOND", "MINUTE", "NEVER", "SECOND", "SESSIONS_A_YEAR", "Timers"]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
MILLISECOND = 1_000_000
NEVER = 2**63
SESSIONS_A_YEAR = 252
"""What volatilities and gains are annualised by, everywhere; stated in every report."""
STALE_MAX = 1_024


class Timers:
    """Named timers, fired in the order of (deadline, id).

    Deadlines are numbers of one kind: nanoseconds, or sessions counted. `earliest` is NEVER when
    none is armed. Arming an id again moves it.
    """

    __slots__ = ("_deadlines", "_heap", "earliest")

    def __init__(self, items: Iterable[tuple[str, int]] = ()) -> None:
        self._deadlines: dict[str, int] = dict(items)
        self._heap = [(deadline, name) for name, deadline in self._deadlines.items()]
        heapq.heapify(self._heap)
        self.earliest: int = NEVER
        self._settle()

    def arm(self, name: str, deadline: int) -> None:
        """Set or move a timer."""
        before = self._deadlines.get(name)
        self._deadlines[name] = deadline
        heapq.heappush(self._heap, (deadline, name))
        if len(self._heap) > 2 * len(self._deadlines) + STALE_MAX:
            self._compact()
        if deadline <= self.earliest:
            self.earliest = deadline
        elif before == self.earliest:
            self._settle()

    def _compact(self) -> None:
        """Forget moved and disarmed entries, which would pile up until their old deadlines."""
        self._heap = [(deadline, name) for name, deadline in self._deadlines.items()]
        heapq.heapify(self._heap)

    def disarm(self, name: str) -> None:
        """Remove a timer; one that is not there is no error."""
        if self._deadlines.pop(name, None) == self.earliest:
            self._settle()

    def deadline(self, name: str) -> int | None:
        """When the timer is due, None when it is not armed."""
        return self._deadlines.get(name)

    def first(self) -> str | None:
        """Name of the timer that is due first, None when none is armed."""
        self._settle()
        return self._heap[0][1] if self._heap else None

    def due(self) -> list[str]:
        """Names of the timers that are due first, all at one moment; sorted: as they fire."""
        self._settle()
        heap, deadlines, first = self._heap, self._deadlines, self.earliest
        found: set[str] = set()
        places = [0]
        while places:  # in a heap, what is due first hangs together at the top
            place = places.pop()
            if place < len(heap) and heap[place][0] == first:
                if deadlines.get(heap[place][1]) == first:
                    found.add(heap[place][1])
                places += (2 * place + 1, 2 * place + 2)
        return sorted(found)

    def items(self) -> list[tuple[str, int]]:
        """All armed timers, sorted by name: their one spelling."""
        return sorted(self._deadlines.items())

    def _settle(self) -> None:
        """Drop heap entries that were disarmed or moved, and note the earliest that stands."""
        heap, deadlines = self._heap, self._deadlines
        while heap and deadlines.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        self.earliest = heap[0][0] if heap else NEVER

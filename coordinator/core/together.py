"""Together: rounds that are due at one moment, worked out by several hands at once.

Place in the flow: between the engine's timers and `decide`. The engine asks here before each timer;
what others have worked out ahead is taken in the order of the timers, as if it had been worked out
then. It must never let an answer depend on who worked it out, or on who was quicker.

Why rounds of one moment do not need each other. What a round says is read from the state and
changes nothing but what is remembered of it (`recall`, which changes no bit). What applying it
changes belongs to the portfolio that it names: its open trades, its round and what it showed last,
its virtual books, its panes, whether it is free to begin another, and its own timers, none of which
comes between two rounds of that moment. Beside that there are the count of decisions and the chain
of outputs, which no decision reads. Market, sources, views, outcomes, parameters and the clock stay
as they are until a timer of another kind or the record itself is applied; the firm's share of
volumes is divided beforehand, so that no portfolio counts what another has used (`firm`). A round
that raises pauses its own portfolio alone. So each is a function of the state as it was before the
first of them. Whatever else fires in between ends what was given away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from coordinator.core.clock import NEVER, Timers
from coordinator.core.evolve import essential
from coordinator.core.rounds import ROUND
from schemas.base import OutputEvent
from schemas.canonical import canonical_bytes

__all__ = ["Hands", "Shared", "Together", "Told", "Work"]

_ROUND = f"{ROUND}\t"
"""How timers of rounds begin."""


class Told(NamedTuple):
    """An event of a round. content: its bytes, where they are made already."""

    event: OutputEvent
    content: bytes | None = None


Work = Callable[[str], Sequence[Told]]
"""What the timer of that name says, from the state as it is. Changes nothing, may raise."""


class Shared(Protocol):
    """Rounds that others work out."""

    def take(self, name: str) -> Sequence[Told] | None:
        """What that round says; None: to be worked out by whoever asks. Never raises.

        Asked in the order of the names that were given, each at most once.
        """
        ...

    def close(self) -> None:
        """Nobody asks any more, and nobody works any more."""
        ...


class Hands(Protocol):
    """Whoever may work out rounds beside the engine."""

    def share(self, names: Sequence[str], work: Work) -> Shared | None:
        """Let others work out some of these; None where that does not pay. Never raises."""
        ...


class Together:
    """The rounds of one moment, for one engine. hands: None where it has only its own."""

    def __init__(self, hands: Hands | None) -> None:
        self._hands = hands
        self._due = NEVER
        self._waiting: set[str] = set()
        self._shared: Shared | None = None

    def prepare(
        self,
        timers: Timers,
        work: Callable[[str], Sequence[OutputEvent]],
        *,
        before: tuple[int, str],
        failures: Mapping[str, str],
    ) -> None:
        """Before the first timer fires: give away the rounds that are due with it.

        Only those that fire before that time and name, and none that is known to fail.
        """
        if self._hands is None:
            return
        name, due = timers.first(), timers.earliest
        if name is None or not name.startswith(_ROUND):
            self.drop()
            return
        if name in failures or (due == self._due and name in self._waiting):
            return
        self.drop()
        names = [
            one
            for one in timers.due()
            if one.startswith(_ROUND) and (due, one) < before and one not in failures
        ]
        self._due, self._waiting = due, set(names)
        self._shared = self._hands.share(names, lambda one: _with_bytes(work(one)))

    def take(self, name: str) -> Sequence[Told] | None:
        """What was worked out of that timer; None: work it out."""
        if name not in self._waiting:
            return None
        self._waiting.remove(name)
        found = None if self._shared is None else self._shared.take(name)
        if not self._waiting:
            self.drop()
        return found

    def drop(self) -> None:
        """Forget what was given away, and let nobody work at it."""
        shared, self._shared = self._shared, None
        self._waiting.clear()
        if shared is not None:
            shared.close()


def _with_bytes(events: Sequence[OutputEvent]) -> list[Told]:
    """Ready to be sent: of a decision's many lines, its bytes are all that anybody needs."""
    return [Told(essential(event), canonical_bytes(event)) for event in events]

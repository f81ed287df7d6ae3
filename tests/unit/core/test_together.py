"""Together: what is given away is what fires next, and nothing of it outlives its moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from coordinator.core import engine as engine_module
from coordinator.core import timers
from coordinator.core.clock import Timers
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.core.together import Shared, Together, Told, Work
from schemas.base import OutputEvent
from schemas.canonical import canonical_bytes
from schemas.decisions import AllocationDecided
from tests.support.many_rounds import Eager, engine_with, events_in, firm

LATE = (100, "")


@dataclass(slots=True)
class Given:
    """Rounds given away. here: who asks works them out; otherwise each is worked out at once."""

    names: Sequence[str]
    work: Work
    here: bool = False
    asked: list[str] = field(default_factory=list)
    closed: int = 0

    def take(self, name: str) -> Sequence[Told] | None:
        assert not self.closed
        assert name in self.names
        assert name not in self.asked
        self.asked.append(name)
        return None if self.here else self.work(name)

    def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class Ahead:
    """Hands that work everything out when it is asked for."""

    here: bool = False
    given: list[Given] = field(default_factory=list)

    def share(self, names: Sequence[str], work: Work) -> Shared | None:
        self.given.append(Given(tuple(names), work, self.here))
        return self.given[-1]


class Nobody:
    """Hands that never take anything."""

    def share(self, names: Sequence[str], work: Work) -> Shared | None:
        return None


def nothing(timer: str) -> Sequence[OutputEvent]:
    return []


def fired(
    armed: Timers, together: Together, *, before: tuple[int, str] = LATE, failing: str = ""
) -> list[str]:
    """As the engine does: whose answers were taken from others."""
    taken = []
    while (name := armed.first()) is not None and (armed.earliest, name) < before:
        together.prepare(armed, nothing, before=before, failures={failing: "fails"})
        armed.disarm(name)
        if name != failing and together.take(name) is not None:
            taken.append(name)
    together.drop()
    return taken


def rounds(*names: str, due: int = 5) -> list[tuple[str, int]]:
    return [(f"round\t{name}", due) for name in names]


def test_all_rounds_of_a_moment_are_given_away_at_once_and_ended_with_the_last() -> None:
    hands = Ahead()
    armed = Timers([*rounds("c", "a", "b"), *rounds("d", due=6), ("view\ta", 5), ("end\tx", 5)])
    assert fired(armed, Together(hands)) == ["round\ta", "round\tb", "round\tc", "round\td"]
    first, second = hands.given
    assert first.names == ("round\ta", "round\tb", "round\tc")
    assert second.names == ("round\td",)
    assert (first.closed, second.closed) == (1, 1)


def test_what_fires_only_with_a_later_record_or_is_known_to_fail_is_not_given_away() -> None:
    hands = Ahead()
    armed = Timers([*rounds("a", "b", "c", "d", "e")])
    taken = fired(armed, Together(hands), before=(5, "round\td"), failing="round\tb")
    assert taken == ["round\ta", "round\tc"]
    (given,) = hands.given
    assert given.names == ("round\ta", "round\tc")
    assert [name for name, _ in armed.items()] == ["round\td", "round\te"]


def test_a_timer_of_another_kind_in_between_ends_what_was_given_away() -> None:
    hands = Ahead()
    together, armed = Together(hands), Timers(rounds("a", "c", "d"))
    together.prepare(armed, nothing, before=LATE, failures={})
    armed.disarm("round\ta")
    assert together.take("round\ta") == []
    armed.arm("round", 5)  # no round's name, and before them
    assert fired(armed, together) == ["round\tc", "round\td"]
    assert [one.names for one in hands.given] == [
        ("round\ta", "round\tc", "round\td"), ("round\tc", "round\td"),
    ]  # fmt: skip
    assert [one.closed for one in hands.given] == [1, 1]


def test_a_round_that_moved_is_asked_for_anew() -> None:
    hands = Ahead()
    together, armed = Together(hands), Timers(rounds("a", "b"))
    together.prepare(armed, nothing, before=LATE, failures={})
    armed.disarm("round\ta")
    together.take("round\ta")
    armed.arm("round\tb", 7)
    assert fired(armed, together) == ["round\tb"]
    assert [one.closed for one in hands.given] == [1, 1]


@pytest.mark.parametrize("hands", [None, Nobody(), Ahead(here=True)])
def test_where_nobody_helps_everything_is_worked_out_here(hands: Ahead | Nobody | None) -> None:
    assert fired(Timers(rounds("a", "b")), Together(hands)) == []


@pytest.mark.parametrize("here", [True, False])
def test_an_engine_says_the_same_with_what_others_worked_out(*, here: bool) -> None:
    hands = Ahead(here=here)
    made = engine_with(hands)
    assert firm().again(made) == firm().said
    assert made.checkpoint() == firm().checkpoint
    assert max(len(one.names) for one in hands.given) > 30
    assert all(one.closed == 1 for one in hands.given)


def test_all_rounds_of_a_moment_worked_out_before_the_first_is_applied_say_the_same() -> None:
    """The claim that all of this stands on: none of them needs what another one did."""

    made = engine_with(Eager())
    assert firm().again(made) == firm().said
    assert made.checkpoint() == firm().checkpoint


def test_a_decision_is_given_with_its_bytes_and_without_what_applying_does_not_read() -> None:
    told: list[Told] = []

    class Noting:
        def share(self, names: Sequence[str], work: Work) -> Shared | None:
            told.extend(one for name in names for one in work(name))
            return None

    said = events_in(firm().again(engine_with(Noting())))
    whole = {canonical_bytes(one) for one in said}
    assert {one.content for one in told} <= whole
    decided = [one.event for one in told if isinstance(one.event, AllocationDecided)]
    assert len(decided) > 100
    assert not any("targets" in vars(event) for event in decided)


def test_no_exception_leaves_anything_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Ahead()
    made = engine_with(hands)
    calls = []

    def out_of_room(*args: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) == 60:
            raise MemoryError
        real(*args, **more)

    real = timers.after_timer
    monkeypatch.setattr(engine_module, "after_timer", out_of_room)
    with pytest.raises(MemoryError):
        stepped(made, firm().records)
    assert hands.given
    assert all(one.closed == 1 for one in hands.given)


def stepped(made: Engine, records: Sequence[Record]) -> None:
    for record in records:
        made.step(record)

"""Rounds lie further apart while a process does nothing but decide, and close again afterwards."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from coordinator.shells.live.pacing import LARGEST_MS, Pacer, Turn
from schemas.entries import decode_journal
from schemas.journal import RoundsPaced

MS = 1_000_000
T0 = 1_000_000 * MS


@dataclass
class World:
    """Portfolios that ask for a round as often as they may, each of which takes its time.

    delay_ms: how long a wish stands in the journal before it has an effect. waits_ms: how long
    records wait; waits_grow: by how much more as time passes.
    """

    portfolios: int = 0
    round_ms: float = 5.0
    delay_ms: int = 0
    waits_ms: float = 0.0
    waits_grow: float = 0.0
    pace: int = 0
    now: int = T0
    asked: int = 0

    def __post_init__(self) -> None:
        self.turn = Turn()
        self.pacer = Pacer(0, self.turn, self.now)
        self.wishes: list[tuple[int, int]] = []

    def share(self) -> float:
        """Of the time that rounds take."""
        return min(1.0, self.portfolios * self.round_ms / max(self.pace, 50))

    def run(self, ms: int) -> int:
        """So long; the spacing then."""
        end = self.now + ms * MS
        while self.now < end:
            self.now += 10 * MS
            self.turn.held += int(self.share() * 10 * MS)
            self.waits_ms = max(0.0, self.waits_ms + 10 * self.waits_grow)
            self.pacer.waited(int(self.waits_ms * MS))
            if (wanted := self.pacer.wanted(self.pace, self.now)) is not None:
                self.asked += 1
                self.wishes.append((self.now + self.delay_ms * MS, wanted))
            while self.wishes and self.wishes[0][0] <= self.now:
                self.pace = self.wishes.pop(0)[1]
        return self.pace


def test_a_process_with_room_is_never_slowed_down() -> None:
    assert World(portfolios=7).run(60_000) == 0


def test_rounds_become_as_much_wider_as_their_time_asks_for() -> None:
    world = World(portfolios=20)  # 100 ms of rounds: at 125 to 250 ms they leave room, and stay
    spacing = world.run(5_000)
    assert 125 <= spacing <= 250
    asked = world.asked
    assert world.run(60_000) == spacing
    assert world.asked == asked


def test_overload_is_answered_within_a_third_of_a_second() -> None:
    world = World(portfolios=20)
    assert world.run(300) > 70


def test_where_records_have_gathered_rounds_become_wider_at_once() -> None:
    waiting, prompt = World(portfolios=20, waits_ms=500), World(portfolios=20)
    assert waiting.run(300) > 1.4 * prompt.run(300)


def test_what_is_being_worked_off_makes_rounds_no_wider() -> None:
    world = World(portfolios=10_000, waits_ms=10_000, waits_grow=-1.0)
    assert world.run(9_000) == 0


def test_rounds_never_lie_further_apart_than_the_bound() -> None:
    assert World(portfolios=10_000).run(600_000) == LARGEST_MS


def test_a_burst_that_is_soon_done_changes_nothing() -> None:
    world = World()
    for _ in range(20):
        world.portfolios = 20
        world.run(150)
        world.portfolios = 0
        assert world.run(850) == 0


def test_the_spacing_returns_to_the_parameters_when_there_is_room_again() -> None:
    world = World(portfolios=20)
    assert world.run(5_000) > 0
    world.portfolios = 1
    assert world.run(10_000) == 0


def test_what_stands_in_the_journal_already_is_not_asked_for_again() -> None:
    world = World(portfolios=20, delay_ms=2_000)
    world.run(1_900)
    assert world.asked == 1


def test_a_turn_is_held_by_one_and_knows_for_how_long() -> None:
    turn, inside = Turn(), threading.Event()

    def holding() -> None:
        with turn:
            inside.set()
            time.sleep(0.05)

    other = threading.Thread(target=holding)
    other.start()
    assert inside.wait(10)
    with turn:
        assert turn.held >= 50 * MS
    other.join(10)


def test_the_wish_is_an_event_of_the_journal() -> None:
    event = decode_journal(Pacer(3, Turn(), T0).entry(T0, 200)).event
    assert isinstance(event, RoundsPaced)
    assert event.round_spacing_ms == 200

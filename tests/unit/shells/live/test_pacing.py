"""Rounds lie further apart while a process does nothing but decide, and close again afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from coordinator.shells.live.pacing import LARGEST_MS, Pace, Pacer, Told
from schemas.entries import decode_journal
from schemas.journal import RoundsPaced

MS = 1_000_000
T0 = 1_000_000 * MS


@dataclass
class World:
    """One shard with portfolios that ask for a round as often as they may.

    behind_ms: how far the journal is ahead of the engine; records: share of the time that they take
    beside the rounds.
    """

    portfolios: int = 0
    round_ms: float = 5.0
    behind_ms: float = 0.0
    records: float = 0.0
    told: Told = field(default_factory=Told)
    now: int = T0
    asked: int = 0

    def __post_init__(self) -> None:
        self.pace = Pace(now=self.now)
        self.pacer = Pacer(0, self.pace)
        self.wishes: list[tuple[float, Told]] = []
        self.owed = 0.0
        self.turn = 0

    def run(self, ms: int) -> int:
        """So long; the spacing then."""
        end = self.now + ms * MS
        while self.now < end:
            self.now += 10 * MS
            self.step(10.0)
            reached = self.now - self.behind_ms * MS
            if (wanted := self.pacer.wanted(self.told, self.now)) is not None:
                self.asked += 1
                self.wishes.append((self.now, wanted))
            while self.wishes and self.wishes[0][0] <= reached:
                self.told = self.wishes.pop(0)[1]
        return self.told.spacing_ms

    def step(self, ms: float) -> None:
        """Some time: what there is to do is done as far as it goes."""
        demand = self.portfolios * self.round_ms / max(self.told.spacing_ms, 50) + self.records
        waiting = self.behind_ms + ms
        done = min(waiting, ms / demand) if demand else waiting
        self.behind_ms = waiting - done
        self.pace.stepped((), int(done * self.records * MS), shard=0, journal_time=0, now=self.now)
        self.owed += done * self.portfolios / max(self.told.spacing_ms, 50)
        while self.owed >= 1:
            self.owed -= 1
            self.turn += 1
            name = str(self.turn % self.portfolios).encode()
            reached = self.now - int(self.behind_ms * MS)
            self.pace.stepped(
                [name], int(self.round_ms * MS), shard=0, journal_time=reached, now=self.now
            )


def test_a_process_with_room_is_never_slowed_down() -> None:
    assert World(portfolios=6, records=0.02).run(60_000) == 0


@pytest.mark.parametrize(("portfolios", "records"), [(15, 0.0), (20, 0.2), (40, 0.1)])
def test_rounds_become_as_much_wider_as_they_take_and_stay_so(
    portfolios: int, records: float
) -> None:
    world = World(portfolios=portfolios, records=records)
    spacing = world.run(30_000)
    assert 0.4 < portfolios * world.round_ms / spacing + records < 0.85
    assert world.behind_ms == 0
    asked = world.asked
    assert world.run(60_000) == spacing
    assert world.asked == asked <= 5


def test_overload_is_answered_before_much_has_gathered() -> None:
    world = World(portfolios=20)
    while world.asked == 0:
        world.run(10)
    assert world.now - T0 <= 300 * MS


def test_what_is_being_worked_off_needs_no_other_pace_than_what_comes() -> None:
    world = World(portfolios=8, behind_ms=10_000)
    assert world.run(20_000) < 80


def test_rounds_never_lie_further_apart_than_the_bound() -> None:
    world = World(portfolios=2_000, round_ms=2.0)
    world.run(60_000)
    assert 0.9 * LARGEST_MS < world.pace.spacing_ms <= LARGEST_MS


def test_a_burst_that_is_soon_done_changes_nothing() -> None:
    world = World()
    for _ in range(20):
        world.portfolios = 20
        world.run(150)
        world.portfolios, world.behind_ms = 0, 0.0
        assert world.run(850) == 0


def test_the_spacing_returns_to_the_parameters_when_there_is_room_again() -> None:
    world = World(portfolios=20)
    assert world.run(5_000) > 0
    world.portfolios = 1
    assert world.run(20_000) == 0


def test_what_stands_in_the_journal_already_is_not_told_again() -> None:
    world = World(portfolios=40, behind_ms=2_000)  # it stands 2 s of journal, 8 s of work away
    world.run(7_000)
    assert world.asked == 1


def test_shards_of_one_process_get_one_pace() -> None:
    world = World(portfolios=20)
    spacing = world.run(5_000)
    other = Pacer(1, world.pace)
    wanted = other.wanted(Told(), world.now)
    assert wanted is not None
    assert wanted.spacing_ms == pytest.approx(spacing, rel=0.1)
    assert other.wanted(Told(spacing), world.now) is None


def test_the_pace_is_kept_while_nobody_asks_for_more() -> None:
    world = World(portfolios=20)
    spacing = world.run(30_000)
    assert spacing > 0
    world.portfolios = 0
    asked = world.asked
    assert world.run(60_000) == spacing
    assert world.asked == asked
    world.portfolios = 20
    for _ in range(100):
        assert world.run(100) == pytest.approx(spacing, rel=0.2)  # the first are few


def test_a_pace_closes_up_where_who_decides_has_the_time() -> None:
    world = World(portfolios=2_000, round_ms=2.0)
    world.run(20_000)
    assert world.pace.spacing_ms > 1_000
    pace, now = world.pace, world.now
    for _ in range(60):  # three portfolios decide twice within half a second, then rest
        for pause in (500, 1_500):
            for name in (b"a", b"b", b"c"):
                pace.stepped([name], 2 * MS, shard=0, journal_time=now, now=now)
            now += pause * MS
            pace.look(now)
    assert pace.spacing_ms == 0


def test_who_decides_seldom_makes_nothing_wider() -> None:
    pace, now = Pace(now=T0), T0
    for _ in range(40):
        for number in range(200):
            name = f"p{number}".encode()
            pace.stepped([name], 5 * MS, shard=0, journal_time=now, now=now)
        now += 900 * MS
        pace.look(now)
    assert pace.spacing_ms == 0


def test_one_record_that_takes_long_is_no_trend() -> None:
    world = World(portfolios=20)
    spacing = world.run(30_000)
    asked = world.asked
    for _ in range(20):
        world.pace.stepped((), 40 * MS, shard=0, journal_time=0, now=world.now)
        world.run(1_000)
    assert world.told.spacing_ms == spacing
    assert world.asked == asked


def test_portfolios_of_a_shard_share_the_spacing_among_them() -> None:
    pace = Pace(now=T0)
    now = T0
    while now < T0 + 3_000 * MS:
        now += 50 * MS
        for number in range(20):
            name = f"p{number}".encode()
            shard = int(number >= 15)
            pace.stepped([name], 5 * MS, shard=shard, journal_time=now, now=now)
        pace.look(now)
    spacing = pace.spacing_ms
    assert spacing > 100
    assert pace.stagger_ms(0) * 15 == pytest.approx(0.9 * spacing, rel=0.1)
    assert pace.stagger_ms(1) * 5 == pytest.approx(0.9 * spacing, rel=0.1)
    assert pace.stagger_ms(2) == 0
    told = Pacer(0, pace).wanted(Told(), now)
    assert told == Told(spacing, pace.stagger_ms(0))
    assert told is not None
    near = Told(spacing, int(told.stagger_ms * 1.1))
    assert Pacer(0, pace).wanted(near, now) is None  # about as it is
    far = Told(spacing, told.stagger_ms * 2)
    assert Pacer(0, pace).wanted(far, now) == told


def test_the_wish_is_an_event_of_the_journal() -> None:
    event = decode_journal(Pacer(3, Pace()).entry(T0, Told(200, 20))).event
    assert isinstance(event, RoundsPaced)
    assert event.round_spacing_ms == 200
    assert event.stagger_ms == 20

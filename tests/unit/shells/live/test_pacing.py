"""Rounds lie further apart while a shard's owner is behind, and close again when it is not."""

from __future__ import annotations

from coordinator.shells.live.pacing import LARGEST_MS, Pacer
from schemas.entries import decode_journal
from schemas.journal import RoundsPaced

MS = 1_000_000
T0 = 1_000_000 * MS


def driven(
    pacer: Pacer, pace: int, *, start: int, ms: int, waits_ms: int, slow: float = 1.0
) -> tuple[int, int]:
    """A record every 50 ms, each wish granted at once; pace and time after.

    waits_ms: how long the first record waited; slow: how much longer than it lasts the journal
    takes, so that waits grow.
    """
    now, waited = start, waits_ms * MS
    while now < start + ms * MS:
        pacer.waited(now - waited, now)
        wanted = pacer.wanted(pace, now)
        pace = pace if wanted is None else wanted
        now += 50 * MS
        waited = max(0, waited + int(50 * MS * (1 - 1 / slow)))
    return pace, now


def test_a_shard_that_keeps_up_is_never_slowed_down() -> None:
    assert driven(Pacer(0), 0, start=T0, ms=60_000, waits_ms=20)[0] == 0


def test_rounds_become_as_much_wider_as_the_journal_takes_longer_than_it_lasts() -> None:
    pace, _ = driven(Pacer(0), 0, start=T0, ms=2_000, waits_ms=300, slow=2.0)
    assert 140 <= pace <= 160  # 50 ms, twice as wide, and half of that again


def test_rounds_never_lie_further_apart_than_the_bound() -> None:
    assert driven(Pacer(0), 0, start=T0, ms=600_000, waits_ms=300, slow=9.0)[0] == LARGEST_MS


def test_a_shard_that_catches_up_by_itself_is_left_alone() -> None:
    assert driven(Pacer(0), 0, start=T0, ms=9_000, waits_ms=9_000, slow=0.5)[0] == 0


def test_a_burst_that_is_soon_done_changes_nothing() -> None:
    pacer, pace, now = Pacer(0), 0, T0
    for _ in range(20):
        pace, now = driven(pacer, pace, start=now, ms=400, waits_ms=500, slow=1.2)
        pace, now = driven(pacer, pace, start=now, ms=600, waits_ms=1)
        assert pace == 0


def test_the_spacing_returns_to_the_parameters_when_nothing_waits_any_more() -> None:
    pacer = Pacer(0)
    pace, now = driven(pacer, 0, start=T0, ms=2_000, waits_ms=300, slow=2.0)
    assert pace > 0
    assert driven(pacer, pace, start=now, ms=20_000, waits_ms=1)[0] == 0


def test_what_stands_in_the_journal_already_is_not_asked_for_again() -> None:
    pacer, asked, now, waited = Pacer(0), 0, T0, 300 * MS
    for _ in range(40):  # two seconds in which the engine has not come to it yet
        pacer.waited(now - waited, now)
        asked += pacer.wanted(0, now) is not None
        now, waited = now + 50 * MS, waited + 25 * MS
    assert asked == 1


def test_the_wish_is_an_event_of_the_journal() -> None:
    event = decode_journal(Pacer(3).entry(T0, 200)).event
    assert isinstance(event, RoundsPaced)
    assert event.round_spacing_ms == 200

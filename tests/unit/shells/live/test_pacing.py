"""Rounds lie further apart while a shard's owner is behind, and close again when it is not."""

from __future__ import annotations

from coordinator.shells.live.pacing import LARGEST_MS, Pacer
from schemas.entries import decode_journal
from schemas.journal import RoundsPaced

MS = 1_000_000
T0 = 1_000_000 * MS


def driven(pacer: Pacer, pace: int, *, start: int, ms: int, waits_ms: int) -> tuple[int, int]:
    """A record every 50 ms that waited so long, each wish granted at once; pace and time after."""
    now = start
    while now < start + ms * MS:
        pacer.waited(now - waits_ms * MS, now)
        wanted = pacer.wanted(pace, now)
        pace = pace if wanted is None else wanted
        now += 50 * MS
    return pace, now


def test_a_shard_that_keeps_up_is_never_slowed_down() -> None:
    assert driven(Pacer(0), 0, start=T0, ms=60_000, waits_ms=20)[0] == 0


def test_rounds_lie_further_apart_while_records_wait_and_no_further_than_the_bound() -> None:
    pacer = Pacer(0)
    pace, now = driven(pacer, 0, start=T0, ms=1_200, waits_ms=500)
    assert pace == 200
    assert driven(pacer, pace, start=now, ms=60_000, waits_ms=500)[0] == LARGEST_MS


def test_a_burst_that_is_soon_done_changes_nothing() -> None:
    pacer, pace, now = Pacer(0), 0, T0
    for _ in range(20):
        pace, now = driven(pacer, pace, start=now, ms=400, waits_ms=500)
        pace, now = driven(pacer, pace, start=now, ms=600, waits_ms=1)
        assert pace == 0


def test_the_spacing_returns_to_the_parameters_when_nothing_waits_any_more() -> None:
    pacer = Pacer(0)
    pace, now = driven(pacer, 0, start=T0, ms=2_000, waits_ms=500)
    assert pace > 0
    assert driven(pacer, pace, start=now, ms=20_000, waits_ms=1)[0] == 0


def test_what_stands_in_the_journal_already_is_not_asked_for_again() -> None:
    pacer, asked, now = Pacer(0), 0, T0
    for _ in range(40):  # two seconds in which the engine has not come to it yet
        pacer.waited(now - 500 * MS, now)
        asked += pacer.wanted(0, now) is not None
        now += 50 * MS
    assert asked == 1


def test_the_wish_is_an_event_of_the_journal() -> None:
    event = decode_journal(Pacer(3).entry(T0, 200)).event
    assert isinstance(event, RoundsPaced)
    assert event.round_spacing_ms == 200

"""Inbox: bounded, in order, never makes the delivery wait, and remembers what it left out."""

from __future__ import annotations

import threading
import time

from coordinator.core.ports import Record
from coordinator.shells.live.inbox import Inbox


def record(position: int) -> Record:
    return Record("journal", 0, position, 1, b"")


def positions(records: list[Record]) -> list[int]:
    return [one.position for one in records]


def test_records_come_out_in_order_and_no_more_than_asked() -> None:
    inbox = Inbox(records_max=10)
    for n in range(5):
        inbox.put(record(n))
    assert positions(inbox.take(most=3, timeout_s=0)) == [0, 1, 2]
    assert inbox.waiting == 2
    assert positions(inbox.take(most=3, timeout_s=0)) == [3, 4]
    assert inbox.take(most=3, timeout_s=0) == []


def test_what_has_no_room_is_left_out_and_known_once_nothing_waits() -> None:
    inbox = Inbox(records_max=2)
    for n in range(5):
        inbox.put(record(n))
    assert not inbox.beyond(1)  # two still wait
    assert positions(inbox.take(most=9, timeout_s=0)) == [0, 1]
    assert inbox.beyond(1)
    assert inbox.beyond(3)
    assert not inbox.beyond(4)


def test_room_again_takes_the_next_one_and_the_hole_shows_in_its_position() -> None:
    inbox = Inbox(records_max=1)
    inbox.put(record(0))
    inbox.put(record(1))
    inbox.take(most=1, timeout_s=0)
    inbox.put(record(2))
    assert positions(inbox.take(most=1, timeout_s=0)) == [2]
    assert not inbox.beyond(2)


def test_a_put_and_a_wake_end_the_waiting() -> None:
    for end in (lambda inbox: inbox.put(record(7)), Inbox.wake):
        inbox = Inbox(records_max=2)
        threading.Timer(0.05, end, [inbox]).start()
        began = time.monotonic()
        inbox.take(most=1, timeout_s=20)
        assert time.monotonic() - began < 10


def test_a_wake_before_the_waiting_is_not_lost_and_counts_once() -> None:
    inbox = Inbox(records_max=2)
    inbox.wake()
    began = time.monotonic()
    inbox.take(most=1, timeout_s=20)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    inbox.take(most=1, timeout_s=0.05)
    assert time.monotonic() - began >= 0.04


def test_who_gathers_is_not_woken_for_each_record_but_when_there_are_enough() -> None:
    inbox = Inbox(records_max=100)
    threading.Timer(0.05, inbox.put, [record(0)]).start()
    threading.Timer(0.15, inbox.put, [record(1), record(2)]).start()
    found = inbox.take(most=3, timeout_s=20, gather_s=20)
    assert positions(found) == [0, 1, 2]


def test_gathering_ends_with_its_time_with_a_wake_and_with_a_full_inbox() -> None:
    inbox = Inbox(records_max=2)
    inbox.put(record(0))
    assert positions(inbox.take(most=9, timeout_s=20, gather_s=0.05)) == [0]
    inbox.put(record(1))
    threading.Timer(0.05, inbox.wake).start()
    assert positions(inbox.take(most=9, timeout_s=20, gather_s=20)) == [1]
    threading.Timer(0.05, inbox.put, [record(2), record(3), record(4)]).start()
    assert positions(inbox.take(most=9, timeout_s=20, gather_s=20)) == [2, 3]
    assert inbox.beyond(3)


def test_after_gathering_nothing_the_first_record_counts() -> None:
    inbox = Inbox(records_max=9)
    threading.Timer(0.1, inbox.put, [record(0)]).start()
    assert positions(inbox.take(most=9, timeout_s=20, gather_s=0.01)) == [0]


def test_who_lingers_waits_for_others_from_the_first_record_on() -> None:
    inbox = Inbox(records_max=10)
    inbox.put(record(0))
    threading.Timer(0.05, inbox.put, [record(1), record(2)]).start()
    began = time.monotonic()
    assert positions(inbox.take(most=3, timeout_s=0, linger_s=20)) == [0, 1, 2]
    assert time.monotonic() - began < 10
    assert inbox.take(most=3, timeout_s=0, linger_s=20) == []  # nothing to linger for
    assert time.monotonic() - began < 10

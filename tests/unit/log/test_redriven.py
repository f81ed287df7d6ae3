"""Redriven: what is noted was sent; whatever else stands there tells nothing."""

from __future__ import annotations

import pytest

from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from coordinator.log.redriven import REDRIVEN, note_of, sent_again


def noted(log: MemoryLog, at: int, *letters: str) -> None:
    one = note_of(letters)
    log.append([Append(one.topic, one.shard, one.payload, at)])


def test_the_last_time_counts_and_what_is_not_noted_is_not_there() -> None:
    log = MemoryLog()
    assert sent_again(log) == {}
    noted(log, 5, "a", "b\n\u00fc")
    noted(log, 9, "a")
    assert sent_again(log) == {"a": 9, "b\n\u00fc": 5}


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b'"a"', b"{}", b'{"letters":"a"}', b'{"letters":[1,null]}']
)
def test_bytes_that_are_no_note_hide_no_letter(payload: bytes) -> None:
    log = MemoryLog()
    noted(log, 5, "a")
    log.append([Append(REDRIVEN, 0, payload, 6)])
    noted(log, 7, "b")
    assert sent_again(log) == {"a": 5, "b": 7}

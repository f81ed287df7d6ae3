"""The chain: how a reader passes over repeats and stops at anything that does not follow."""

from __future__ import annotations

import pytest

from coordinator.core.chain import ChainBroken, follow
from coordinator.core.ports import Record
from schemas.canonical import digest
from schemas.entries import GENESIS, encode_output
from schemas.verdicts import ClockJumped


def chain(length: int, *, word: int = 0) -> list[bytes]:
    made, prev = [], GENESIS
    for seq in range(length):
        event = ClockJumped(decided_at=word, previous=0, step_ms=seq)
        made.append(encode_output(seq, 0, seq, prev, event))
        prev = digest(made[-1])
    return made


def records(entries: list[bytes]) -> list[Record]:
    return [Record("decisions", 2, at, 0, entry) for at, entry in enumerate(entries)]


def test_outputs_are_read_in_order_each_once() -> None:
    made = chain(4)
    repeated = [made[0], made[1], made[0], made[1], made[2], made[1], made[3]]
    assert [link.entry.seq for link in follow(records(repeated))] == [0, 1, 2, 3]


def test_reading_goes_on_after_a_known_output() -> None:
    made = chain(4)
    links = follow(records(made), seq=1, last_hash=digest(made[1]))
    assert [link.record.payload for link in links] == made[2:]


def test_a_missing_output_is_named() -> None:
    made = chain(3)
    with pytest.raises(ChainBroken, match="decisions shard 2 position 1: seq 2 after 0") as raised:
        list(follow(records([made[0], made[2]])))
    assert (raised.value.shard, raised.value.position) == (2, 1)


def test_an_output_of_another_history_is_named() -> None:
    with pytest.raises(ChainBroken, match="does not follow"):
        list(follow(records([chain(1)[0], chain(2, word=1)[1]])))

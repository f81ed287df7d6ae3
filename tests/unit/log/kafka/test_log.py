"""KafkaLog.read on a partition told here: whole records from every position, whoever else wrote."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.log.errors import LogUnreadable
from coordinator.log.kafka.chunks import split
from coordinator.log.kafka.log import KafkaLog
from coordinator.log.kafka.tail import Found
from coordinator.settings import KafkaSettings

LARGE = b"abcdefgh"


class Told(KafkaLog):
    """A log whose partitions hold what the test says. reads: how many positions were read."""

    def __init__(self, records: list[Found], *, begin: int = 0) -> None:
        super().__init__(KafkaSettings())
        self.records, self.first = records, begin
        self.reads = 0

    def _bounds(self, topic: str, shard: int) -> tuple[int, int]:
        return self.first, self.records[-1].offset + 1

    def _found(self, topic: str, shard: int, first: int, last: int) -> Iterator[Found]:
        for one in self.records:
            if first <= one.offset < last and one.offset >= self.first:
                self.reads += 1
                yield one


def small(position: int) -> Found:
    return Found(position, 1, None, b"s%d" % position, [])


def parts(which: str, *positions: int) -> list[Found]:
    """LARGE in as many parts as there are positions."""
    largest = -(-len(LARGE) // len(positions))
    found = split(LARGE, largest=largest, which=which)
    return [
        Found(at, 1, None, part, [("chunk", header or b"")])
        for at, (part, header) in zip(positions, found, strict=True)
    ]


def ordered(*groups: list[Found]) -> list[Found]:
    return sorted((one for group in groups for one in group), key=lambda one: one.offset)


def read(log: KafkaLog, start: int) -> list[tuple[int, bytes]]:
    return [(one.position, one.payload) for one in log.read("decisions", 0, start)]


@pytest.mark.parametrize("start", range(10, 14))
def test_a_record_in_parts_is_read_from_any_position_up_to_its_own(start: int) -> None:
    """Chunks at 10 and 13, another writer's records between them."""
    others = [small(9), small(11), small(12), small(14)]
    with Told(ordered(others, parts("w", 10, 13))) as log:
        found = read(log, start)
    assert (13, LARGE) in found
    assert [at for at, _ in found] == [at for at in (11, 12, 13, 14) if at >= start]


@pytest.mark.parametrize("between", [1, 500, 3_000])
def test_as_many_of_others_as_there_may_be_stand_between_its_parts(between: int) -> None:
    end = 5_001 + between
    others = [small(at) for at in range(4_000, end) if at not in (5_000, 5_001)]
    with Told(ordered(others, parts("w", 5_000, 5_001, end))) as log:
        assert read(log, end) == [(end, LARGE)]
        assert log.reads < 20 * (between + 10)


def test_several_writers_parts_do_not_mix_when_read_from_among_them() -> None:
    with Told(ordered(parts("a", 1, 3, 5), parts("b", 2, 4, 6))) as log:
        assert read(log, 4) == [(5, LARGE), (6, LARGE)]


def test_a_record_whose_beginning_is_gone_is_named_and_not_passed_over() -> None:
    with Told(ordered([small(8), small(11)], parts("w", 7, 9, 10)), begin=8) as log:
        there = log.read("decisions", 0, 8)
        assert next(there).position == 8
        with pytest.raises(LogUnreadable, match="decisions/0 position 10") as caught:
            next(there)
        assert caught.value.position == 10
        assert read(log, 11) == [(11, b"s11")]


def test_what_a_writer_that_died_left_is_no_record() -> None:
    left = parts("dead", 2, 3, 4)[:2]
    with Told(ordered(left, [small(4)], parts("w", 5, 6))) as log:
        for start in range(3, 7):
            assert read(log, start) == [(4, b"s4"), (6, LARGE)][start > 4 :]

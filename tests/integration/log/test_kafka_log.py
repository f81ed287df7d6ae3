"""KafkaLog keeps what every log promises, as far as a log can whose times are the broker's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from coordinator.core.ports import Append
from coordinator.log.errors import LogClosed, LogUnavailable, LogUnreadable
from coordinator.log.kafka import KafkaLog
from coordinator.log.kafka.options import client_options
from coordinator.log.kafka.topics import apply, declared, plan
from coordinator.settings import KafkaSettings
from tests.contract import test_log_contract as contract
from tests.contract.test_log_contract import Case, Clock

pytestmark = pytest.mark.integration

SHARDS = 12
PROMISES: tuple[Callable[[Case], None], ...] = (
    contract.test_empty_log_has_no_partitions_no_records_and_ends_at_zero,
    contract.test_positions_rise_strictly_across_batches,
    contract.test_end_is_one_past_the_last_position,
    contract.test_read_from_any_position_between_or_on_records_starts_at_the_next,
    contract.test_stop_is_not_included_whether_it_is_a_record_or_not,
    contract.test_partitions_are_separate_and_listed_in_order,
    contract.test_payloads_are_bytes_whatever_they_hold,
    contract.test_many_records_are_read_through_pages_and_row_groups,
    contract.test_closed_reader_says_so,
    contract.test_read_is_not_disturbed_by_appends_made_meanwhile,
    contract.test_abandoned_read_holds_nothing_up,
    contract.test_empty_batch_appends_nothing,
)
"""Not among them: times that are given, chains of whole logs, and records above the largest."""


@pytest.fixture
def settings(kafka_servers: str, kafka_prefix: str) -> KafkaSettings:
    made = KafkaSettings(bootstrap=kafka_servers, prefix=kafka_prefix)
    asyncio.run(asyncio.wait_for(_topics(made), 60))
    return made


async def _topics(settings: KafkaSettings) -> None:
    wanted = {"journal", "decisions", "checkpoints", "signals.dlq"}
    every = declared(shards=SHARDS, prefix=settings.prefix)
    some = [one for one in every if one.name.removeprefix(settings.prefix) in wanted]
    admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
    await admin.start()
    try:
        await apply(admin, await plan(admin, some), replication=1)
    finally:
        await admin.close()


@pytest.fixture
def log(settings: KafkaSettings) -> Iterator[KafkaLog]:
    with KafkaLog(settings) as made:
        yield made


@pytest.fixture
def case(log: KafkaLog) -> Case:
    return Case(log, Clock(0), lambda of: of)  # type: ignore[arg-type] # it has no chain


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__[5:])
def test_it_keeps_the_promise(case: Case, promise: Callable[[Case], None]) -> None:
    promise(case)


def test_a_bad_record_leaves_nothing_of_its_batch(case: Case) -> None:
    contract.test_batch_with_one_bad_record_leaves_nothing(case, Append("a/b", 0, b""))


def test_times_are_the_brokers_and_never_go_back(case: Case) -> None:
    before = time.time_ns() - 1_000_000_000
    case.log.append([Append("journal", 0, b"x", journal_time=at) for at in (5, 2**62, 0)])
    times = [record.journal_time for record in case.read()]
    assert times == sorted(times)
    assert all(before < at < time.time_ns() + 1_000_000_000 for at in times)


def test_outputs_and_checkpoints_larger_than_a_record_are_one(case: Case) -> None:
    large = [bytes([n]) * (5 << 20) for n in range(2)]
    for topic in ("decisions", "checkpoints"):
        positions = case.put(b"small", large[0], b"between", large[1], topic=topic)
        found = case.read(topic)
        assert [record.payload for record in found] == [b"small", large[0], b"between", large[1]]
        assert tuple(record.position for record in found) == positions
        assert positions[1] > positions[0] + 1
        for start in (positions[0] + 1, positions[1]):
            assert case.read(topic, start=start) == found[1:]
        assert case.read(topic, start=positions[3]) == [found[3]]
        assert case.read(topic, start=positions[2], stop=positions[3]) == [found[2]]


def test_a_journal_record_above_the_largest_is_refused_and_the_log_sends_no_more(
    case: Case,
) -> None:
    with pytest.raises(LogUnavailable):
        case.put(b"x" * (3 << 20))
    with pytest.raises(LogUnavailable, match="an earlier send failed"):
        case.put(b"y")
    assert case.read() == []


def test_what_was_cut_off_is_not_passed_over_in_silence(log: KafkaLog) -> None:
    log.append([Append("journal", 0, bytes([n])) for n in range(10)])
    log.append([Append("checkpoints", 0, bytes([n])) for n in range(3)])
    assert log.truncate("journal", 0, 4) == 4
    assert (log.begin("journal", 0), log.end("journal", 0)) == (4, 10)
    with pytest.raises(LogUnreadable, match="begins at position 4"):
        list(log.read("journal", 0, 3))
    assert [record.position for record in log.read("journal", 0, 4)] == [4, 5, 6, 7, 8, 9]
    assert log.truncate("checkpoints", 0, 2) == 2
    assert [record.payload for record in log.read("checkpoints", 0)] == [b"\x02"]


def test_many_threads_may_ask_at_once_and_reading_on_needs_no_new_connection(
    log: KafkaLog,
) -> None:
    log.append([Append("journal", n % 4, bytes([n])) for n in range(40)])

    def read(n: int) -> list[bytes]:
        return [record.payload for record in log.read("journal", n % 4)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(read, range(16)))
    assert found == [[bytes([n]) for n in range(shard, 40, 4)] for shard in range(4)] * 4
    kept = {shard: len(log._tails["journal", shard]) for shard in range(4)}
    for _ in range(3):
        position = log.append([Append("journal", 1, b"more")])[0]
        assert [record.payload for record in log.read("journal", 1, position)] == [b"more"]
    assert {shard: len(log._tails["journal", shard]) for shard in range(4)} == kept


def test_a_read_that_was_begun_ends_with_the_log(log: KafkaLog) -> None:
    log.append([Append("journal", 0, b"%d" % n) for n in range(3_000)])
    reading = log.read("journal", 0)
    next(reading)
    log.close()
    with pytest.raises(LogClosed):
        list(reading)
    del reading


def test_a_cluster_that_is_not_there_is_unavailable() -> None:
    with KafkaLog(KafkaSettings(bootstrap="127.0.0.1:1")) as log:
        for use in (lambda: log.end("journal", 0), lambda: log.append([Append("journal", 0, b"")])):
            with pytest.raises(LogUnavailable):
                use()

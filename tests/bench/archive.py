"""How fast a log is sealed and verified, from SQLite and from Kafka, and read back as one log.

Sealing reads every record twice, writes it, reads the file back and follows the decisions' chain;
comparing is what a truncation does before it deletes. With --kafka the same records go to topics of
a prefix of their own, which stay there.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from coordinator.core.ports import Append, Log, LogReader
from coordinator.log.archive import archive
from coordinator.log.combined import CombinedLog
from coordinator.log.segments import SegmentLog
from coordinator.log.sqlite import SqliteLog
from schemas.canonical import digest
from schemas.decisions import AllocationDecided
from schemas.entries import GENESIS, encode_output
from schemas.output_examples import output_examples
from tests.bench import journals
from tests.bench.record import finish, options

SIGNALS, DECISIONS = 60_000, 6_000
INSTRUMENTS, SOURCES = 500, 100


def records() -> Iterator[Append]:
    """A journal of signals, and a chain of decisions as large as in the published example."""
    journal, rng = journals.Journal(), random.Random(7)
    for i in range(SIGNALS):
        at = journals.START + i * journals.DAY // 20_000
        event = journals.signal(rng, i, at, instruments=INSTRUMENTS, sources=SOURCES)
        journal.add(event, at)
    made = journal.take()
    for record in made:
        yield Append("journal", 0, record.payload, record.journal_time)
    previous = GENESIS
    examples = output_examples(journals.START)
    example = next(one for one in examples if isinstance(one, AllocationDecided))
    for seq in range(DECISIONS):
        cause = made[seq * len(made) // DECISIONS]
        payload = encode_output(cause.position, 0, seq, previous, example)
        previous = digest(payload)
        yield Append("decisions", 0, payload, cause.journal_time)


def laid(log: Log, batch: int = 1_000) -> None:
    """Append everything."""
    waiting: list[Append] = []
    for one in records():
        if waiting and (len(waiting) == batch or waiting[-1].topic != one.topic):
            log.append(waiting)
            waiting = []
        waiting.append(one)
    log.append(waiting)


def rate(work: Callable[[], int]) -> dict[str, Any]:
    """Records, seconds, records a second, and a second of our own processor time."""
    before, cpu_before = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu = time.perf_counter() - before, time.process_time() - cpu_before
    return {
        "records": count,
        "seconds": round(seconds, 2),
        "records_per_s": round(count / seconds),
        "records_per_cpu_s": round(count / cpu),
    }


def read(log: LogReader) -> int:
    """Read everything; returns the number of records."""
    return sum(1 for key in log.partitions() for _ in log.read(*key))


def compared(live: LogReader, folder: Path) -> int:
    """Compare archive and log record by record, as a truncation does."""
    count = 0
    with SegmentLog(folder) as sealed:
        for key in sealed.partitions():
            pairs = zip(sealed.read(*key), live.read(*key, 0, sealed.end(*key)), strict=True)
            for one, other in pairs:
                if one != other:
                    message = f"{key} position {one.position} differs"
                    raise ValueError(message)
                count += 1
    return count


def figures(live: LogReader, folder: Path) -> dict[str, Any]:
    """Of one log."""
    found = {"read": rate(lambda: read(live))}
    found["seal_and_verify"] = rate(lambda: archive(live, folder).records)
    found["compare"] = rate(lambda: compared(live, folder))
    with SegmentLog(folder) as sealed:
        found["read_archive"] = rate(lambda: read(sealed))
        found["read_combined"] = rate(lambda: read(CombinedLog(live, sealed)))
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    payload = sum(len(one.payload) for one in records())
    found["bytes"] = {"payload": payload, "archive": size}
    return found


def measure(kafka: str | None) -> dict[str, Any]:
    """Of a SQLite log, and of topics."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "log.sqlite"
        with SqliteLog(path, durable=False) as log:
            laid(log)
        with SqliteLog(path, readonly=True) as log:
            found["sqlite"] = figures(log, Path(scratch) / "from-sqlite")
        if kafka is not None:
            found["kafka"] = measure_kafka(kafka, Path(scratch) / "from-kafka")
    return found


def measure_kafka(bootstrap: str, folder: Path) -> dict[str, Any]:
    """The same records in topics of a new prefix."""
    import asyncio  # noqa: PLC0415 - only who measures Kafka needs it

    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - as above

    from coordinator.log.kafka import KafkaLog, declared  # noqa: PLC0415 - as above
    from coordinator.log.kafka.options import client_options  # noqa: PLC0415 - as above
    from coordinator.log.kafka.topics import apply, plan  # noqa: PLC0415 - as above
    from coordinator.settings import KafkaSettings  # noqa: PLC0415 - as above

    settings = KafkaSettings(bootstrap=bootstrap, prefix=f"bench{uuid.uuid4().hex[:8]}.")

    async def make() -> None:
        admin = AIOKafkaAdminClient(**client_options(settings, "admin"))
        await admin.start()
        try:
            topics = declared(shards=1, prefix=settings.prefix)
            await apply(admin, await plan(admin, topics), replication=1)
        finally:
            await admin.close()

    asyncio.run(make())
    with closing(KafkaLog(settings)) as log:
        laid(log)
        return figures(log, folder)


if __name__ == "__main__":
    parser = options(__doc__ or "")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="measure topics there, too")
    arguments = parser.parse_args()
    finish("archive", measure(arguments.kafka), record=arguments.record)

"""Records the golden log anew: journal and decisions of two busy days, as JSON lines.

    python -m tests.golden.record

Do so only for a change that is meant to change decisions, and say in the commit which and why.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from coordinator.core.ports import Append, LogReader
from coordinator.log.memory import MemoryLog
from coordinator.solver import SolverSettings, numeric_fingerprint, pin_threads
from tests.journals import run, zero_clock
from tests.recorded import end_of, recorded

__all__ = ["GOLDEN", "SHARDS", "fingerprint", "golden_log"]

GOLDEN = Path(__file__).with_name("two_days.jsonl.gz")
SHARDS = 2
SEED = 6


def fingerprint() -> str:
    """What this machine's arithmetic gives."""
    pin_threads()
    return numeric_fingerprint(SolverSettings())


def _lines(log: LogReader) -> Iterator[str]:
    yield json.dumps({"fingerprint": fingerprint(), "shards": SHARDS})
    for topic, shard in log.partitions():
        for record in log.read(topic, shard):
            place = {"topic": topic, "shard": shard, "journal_time": record.journal_time}
            yield json.dumps(place | {"payload": record.payload.decode()})


def golden_log() -> tuple[str, MemoryLog]:
    """The fingerprint it was recorded under, and the log."""
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as file:
        head, *lines = map(json.loads, file)
    log = MemoryLog(clock=zero_clock)
    for line in lines:
        payload = line["payload"].encode()
        log.append([Append(line["topic"], line["shard"], payload, line["journal_time"])])
    return head["fingerprint"], log


def main() -> None:
    inputs = recorded(SEED, days=2)
    text = "\n".join(_lines(run(inputs, shards=SHARDS, end=end_of(inputs))))
    # Without a time in the header the same log gives the same file.
    GOLDEN.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()

"""How fast a log is projected into PostgreSQL and Redis, and how long a rebuild takes.

The demo's log, repeated with ids of its own each time, so that every row is a new one. Starts the
servers itself.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator.core.ports import Append, LogReader
from coordinator.log.memory import MemoryLog
from coordinator.log.open import open_reader
from ops.servers_base import Server
from ops.servers_postgres import PostgresServer
from ops.servers_redis import RedisServer
from projections.following import Follower
from projections.postgres.rebuild import PostgresRebuild
from projections.postgres.sink import PostgresSink
from projections.projector import Projector
from projections.rebuild import Rebuildable, rebuild
from projections.redis.rebuild import RedisRebuild
from projections.redis.sink import RedisSink
from projections.sink import Sink
from replay.demo.play import play
from schemas.base import Event
from schemas.decisions import AllocationDecided, ConflictsDetected, RoundClosed
from schemas.entries import (
    GENESIS,
    decode_journal,
    decode_output,
    encode_journal,
    encode_output,
)
from schemas.market import PricesObserved
from tests.bench.record import finish, options


def repeated(log: LogReader, times: int) -> MemoryLog:
    """The log so many times over, one behind the other, with one chain a shard."""
    made = MemoryLog()
    chains: dict[int, tuple[int, str]] = {}
    shards = sorted({shard for topic, shard in log.partitions() if topic == "journal"})
    for turn in range(times):
        for shard in shards:
            base = made.end("journal", shard)
            for record in log.read("journal", shard):
                stamp, event = decode_journal(record.payload)[:2]
                if turn and isinstance(event, PricesObserved):
                    continue  # Prices give no row; one set of them is enough to pass over.
                renamed = _renamed(event, turn, ("event_id",))
                entry = encode_journal(stamp._replace(offset=-1), renamed)
                made.append([Append("journal", shard, entry, record.journal_time)])
            for record in log.read("decisions", shard):
                entry_ = decode_output(record.payload)
                seq, prev = chains.get(shard, (0, GENESIS))
                output = encode_output(base, entry_.ordinal, seq, prev, _said(entry_.event, turn))
                chains[shard] = (seq + 1, decode_output(output).hash)
                made.append([Append("decisions", shard, output, record.journal_time)])
    return made


def _renamed(event: Event, turn: int, names: tuple[str, ...]) -> Event:
    known = {name: getattr(event, name, None) for name in names}
    return event.model_copy(
        update={name: f"{value}.{turn}" for name, value in known.items() if value is not None}
    )


def _said(event: Event, turn: int) -> Event:
    if not isinstance(event, AllocationDecided):
        own = ("decision_id",) if isinstance(event, ConflictsDetected | RoundClosed) else ()
        return _renamed(event, turn, (*own, "signal_id"))
    trades = [one.model_copy(update={"trade_id": f"{one.trade_id}.{turn}"}) for one in event.trades]
    changed = {"decision_id": f"{event.decision_id}.{turn}", "trades": tuple(trades)}
    return event.model_copy(update=changed)


def count(log: LogReader) -> tuple[int, int, float]:
    """Records and rows of a log, and the seconds of following it without writing."""
    follower = Follower(log, "nothing")
    follower.find_shards()
    records = rows = 0
    before = time.perf_counter()
    while (batch := follower.batch(rows_max=5_000, until=lambda: False)).after:
        records += batch.records
        rows += len(batch.rows)
    return records, rows, time.perf_counter() - before


def seconds_to_project(log: LogReader, sink: Sink) -> tuple[float, float]:
    """From an empty target to the log's end: by the clock, and of this process's processor."""
    projector = Projector(log, sink)
    before, used = time.perf_counter(), time.process_time()
    while projector.step():
        pass
    took, used = time.perf_counter() - before, time.process_time() - used
    projector.close()
    return took, used


@contextmanager
def _server(kind: Callable[[Path], Any]) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        server: Server = kind(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.remove()


def measure(times: int) -> dict[str, Any]:
    """Rates and durations."""
    with tempfile.TemporaryDirectory() as folder:
        made = play(Path(folder))
        with open_reader(made.log) as recorded:
            log = repeated(recorded, times)
    records, rows, following = count(log)
    figures: dict[str, Any] = {"records": records, "rows": rows, "following_s": round(following, 2)}
    with _server(PostgresServer) as server:
        target: Rebuildable = PostgresRebuild(server.dsn)
        figures["postgres"] = _figures(log, PostgresSink(server.dsn), target, rows)
    with _server(RedisServer) as server:
        target = RedisRebuild(server.url)
        figures["redis"] = _figures(log, RedisSink(server.url), target, rows)
    return figures


def _figures(log: LogReader, sink: Sink, target: Rebuildable, rows: int) -> dict[str, Any]:
    took, used = seconds_to_project(log, sink)
    report = rebuild(log, target)
    if not (report.ok and report.swapped):
        raise RuntimeError(report.differences)
    return {
        "project_s": round(took, 2),
        "project_cpu_s": round(used, 2),
        "rows_per_s": round(rows / took),
        "rebuild_compare_swap_s": round(report.seconds, 2),
    }


def main() -> None:
    """Measure, print, and keep the result with --record."""
    parser = options(__doc__ or "")
    parser.add_argument("--times", type=int, default=40, help="how often the demo's log is laid")
    args = parser.parse_args()
    finish("project", measure(args.times), record=args.record)


if __name__ == "__main__":
    main()

"""Both kinds of projections behind one face, and what disturbs their rebuilds.

Place in the flow: tests only, on real servers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
import redis

from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from projections.checkpoints import Marks
from projections.postgres.reading import PostgresView
from projections.postgres.rebuild import PostgresRebuild
from projections.postgres.sink import PostgresSink
from projections.rebuild import Rebuildable
from projections.redis.reading import RedisView
from projections.redis.rebuild import RedisRebuild
from projections.redis.sink import RedisSink
from projections.sink import Sink, View

__all__ = ["Breaking", "Feeder", "Kind", "Postgres", "Redis"]


class Kind(Protocol):
    """One kind of target, for tests that hold for both."""

    def sink(self) -> Sink: ...
    def view(self) -> View: ...
    def target(self) -> Rebuildable: ...
    def damage(self) -> None: ...
    def left(self) -> list[str]: ...


@dataclass
class Postgres:
    dsn: str
    schema: str

    def sink(self) -> Sink:
        return PostgresSink(self.dsn, self.schema)

    def view(self) -> View:
        return PostgresView(self.dsn, self.schema)

    def target(self) -> PostgresRebuild:
        return PostgresRebuild(self.dsn, self.schema)

    def damage(self) -> None:
        self.ask(f"UPDATE \"{self.schema}\".decisions SET mode = 'damaged' RETURNING 1")

    def left(self) -> list[str]:
        pattern = f"{self.schema}_%"
        return [name for (name,) in self.ask(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", pattern)]  # fmt: skip

    def ask(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def clean(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for name in (self.schema, *self.left()):
                connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@dataclass
class Redis:
    url: str
    prefix: str

    def sink(self) -> Sink:
        return RedisSink(self.url, self.prefix)

    def view(self) -> View:
        return RedisView(self.url, self.prefix)

    def target(self) -> RedisRebuild:
        return RedisRebuild(self.url, self.prefix, old_seconds=0)

    def damage(self) -> None:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            live = client.get(f"{{{self.prefix}}}:live")
            name = f"{{{self.prefix}}}:{live}:decisions"
            client.hset(name, "p-close", "damaged")

    def left(self) -> list[str]:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            live = client.get(f"{{{self.prefix}}}:live")
            names = client.scan_iter(match=f"{{{self.prefix}}}:*:checkpoints")
            return [name for name in names if f":{live}:" not in name]

    def clean(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            for key in client.scan_iter(match=f"{{{self.prefix}}}:*"):
                client.delete(key)


class Feeder(threading.Thread):
    """Appends to a log little by little."""

    def __init__(self, log: MemoryLog, appends: list[Append]) -> None:
        super().__init__()
        self._log, self._appends = log, appends

    def run(self) -> None:
        for start in range(0, len(self._appends), 20):
            self._log.append(self._appends[start : start + 20])
            time.sleep(0.01)


@dataclass
class Breaking:
    """A target whose rebuild is broken off at the k-th commit, without any clearing up."""

    target: Rebuildable
    after: int
    name: str = "breaking"
    commits: int = field(default=0)

    def claim(self) -> None:
        self.target.claim()

    def live(self) -> Any:
        return self.target.live()

    def build(self) -> Sink:
        made = self.target.build()
        commit = made.commit

        class Broken:
            name = made.name
            snapshot, open, beat = made.snapshot, made.open, made.beat
            caught_up, close = made.caught_up, made.close

            @staticmethod
            def commit(batch: Any) -> None:
                self.commits += 1
                if self.commits > self.after or self.after == 1:
                    raise KeyboardInterrupt
                commit(batch)

        return Broken()

    def swap(self, finish: Callable[[Marks], None]) -> None:
        raise KeyboardInterrupt

    def drop(self) -> None:
        """As when the process was killed: nothing is cleared up."""

    def close(self) -> None:
        self.target.close()

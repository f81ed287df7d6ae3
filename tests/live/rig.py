"""The system that chaos breaks: a broker with two doors, two routers, two workers, projectors.

Place in the flow: between the faults and the processes. The second worker comes through the proxy;
each database that could be had is filled by a projector.
A part that ends by itself is started again, as its supervisor would, so that the run goes on; but
that is counted, like a fault that did not come to pass, and chaos calls either a violation. A part
that a fault killed is no such end, nor is the halt of a worker whose deciding process it killed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.broker import TwoDoors
from tests.live.feed import Feed
from tests.live.proxy import Proxy
from tests.live.stores import Stores
from tests.live.system import Part, System, environment

__all__ = ["GONE", "LAG_MAX", "ROUTERS", "SESSION_S", "SETTINGS", "WORKERS", "NotRecovered", "Rig"]

SESSION_S = 6.0
ROUTERS, WORKERS = ("router 1", "router 2"), ("worker 1", "worker 2")
LAG_MAX, SHED_AFTER_MS = 4_000, 1_000
"""Routers hold and shed early, so that a burst of a few thousand signals is too much."""
SETTINGS = environment(
    worker__session_timeout_ms=int(SESSION_S * 1000), worker__heartbeat_ms=1_000,
    worker__checkpoint_decisions=200, worker__checkpoint_s=5, worker__journal_lag_max=LAG_MAX,
    worker__shed_after_ms=SHED_AFTER_MS,
)  # fmt: skip
GONE = "the deciding process has ended"
"""What a shard halts with, and a worker ends with, when there is nobody to decide any more."""
AGAIN_MAX = 6
"""A part that ends by itself more often than this in one round keeps failing."""


class NotRecovered(Exception):
    """The system did not come back within the bound."""


@dataclass(slots=True)
class Rig:
    """Everything that can be broken, by name."""

    broker: TwoDoors
    proxy: Proxy
    system: System
    feed: Feed
    stores: Stores
    parts: dict[str, Part] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    """How often what must not be was so: parts that ended, faults that did not come to pass."""
    bereaved: set[Path] = field(default_factory=set)
    """Logs of the workers whose deciding process a fault killed."""
    again: int = 0

    def start(self, name: str) -> Part:
        """Start a part, or its successor."""
        kind = "router" if name in ROUTERS else "engine"
        more = {}
        if name == WORKERS[1]:
            more["COORDINATOR_KAFKA__BOOTSTRAP"] = f"127.0.0.1:{self.proxy.port}"
        if name in self.projectors:
            kind, more = name.partition(" ")[2], self.stores.environment
        part = self.system.start(kind, **more)
        self.parts[name] = part
        return part

    @property
    def projectors(self) -> tuple[str, ...]:
        """One for each database."""
        return tuple(f"projector {name}" for name in self.stores.servers)

    def settle(self, within_s: float) -> None:
        """Until all parts are ready and every shard has answered since. Raises NotRecovered."""
        end = time.monotonic() + within_s
        self.again = 0
        self._until(end, lambda: all(self._is_ready(name) for name in sorted(self.parts)))
        mark = time.monotonic()
        self._until(end, lambda: self.feed.answered_since(mark))

    def _is_ready(self, name: str) -> bool:
        part = self.parts[name]
        if part.running:
            return part.ready()
        self.wrong[f"{name.partition(' ')[0]} ended with {part.process.returncode}"] += 1
        self.again += 1
        if self.again > AGAIN_MAX:
            raise NotRecovered(f"{name} keeps ending:\n{part.tail(5)[:2000]}")
        self.start(name)
        return False

    def _until(self, end: float, holds: Callable[[], bool]) -> None:
        while not holds():
            if self.feed.fault is not None:
                raise NotRecovered(f"the feed failed: {self.feed.fault!r}")
            if time.monotonic() > end:
                raise NotRecovered(self._state())
            time.sleep(0.1)

    def _state(self) -> str:
        """Who says what, for whoever reads about it."""
        lines = []
        for name, part in sorted(self.parts.items()):
            status, body = part.ask("/readyz")
            lines.append(f"{name} ({part.log.name}): {status} {body[:600]}")
        return "\n".join(lines)

    def halts(self) -> list[str]:
        """Shards that halted, from what the parts said."""
        return [
            f"{path.name}: {line[:400]}"
            for path in sorted(self.system.folder.glob("*.log"))
            for line in path.read_text(errors="replace").splitlines()
            if '"event":"shard_halted"' in line and not (path in self.bereaved and GONE in line)
        ]

    def stop(self, names: Iterable[str]) -> Mapping[str, int]:
        """SIGTERM to these; exit codes by name."""
        return {name: self.parts[name].stop() for name in sorted(names)}

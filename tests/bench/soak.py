"""Hours of steady load on the live system: does memory grow, does anybody fall behind?

`python -m tests.bench.soak [--minutes 30] [--rate 200] [--workers 1] [--record]`: starts a broker,
a router and workers of its own, feeds signals open loop and prices once a second, and looks at all
of them every 5 s. When the load has ended the lag must go to zero. Exit code 1 where it does not,
or where a process ended.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ops.servers_base import CannotStart
from ops.servers_kafka import KafkaServer
from schemas.entries import opening
from schemas.registry import INPUT_TOPICS
from schemas.verdicts import SignalExpired, SignalRejected
from tests.bench.growth import memory, warm_up
from tests.bench.load import Load, used_by_round
from tests.bench.record import finish, options, quantile
from tests.live.system import Part, System, environment
from tests.live.world import World

__all__ = ["Told"]

PREFIX, GROUP = "soak.", "soak"
SAMPLE_S, MINUTE_S = 5.0, 60.0
MEGABYTE = 1e6
OPTIONS: tuple[tuple[str, float, str], ...] = (
    ("minutes", 30.0, "of load"), ("rate", 200.0, "signals per second"), ("portfolios", 10, ""),
    ("instruments", 100, ""), ("workers", 1, ""), ("drain", 120.0, "seconds for the lag to go"),
)  # fmt: skip
_VERDICTS = opening(SignalExpired, SignalRejected)


@dataclass(slots=True)
class Told:
    """Counts what the decisions say, and passes on which signals a round used."""

    decisions: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)

    def __call__(self, value: bytes) -> tuple[str, list[str]] | None:
        """One record of the decisions topic."""
        if value.startswith(b'{"type":"AllocationDecided"'):
            self.decisions += 1
        elif value.startswith(_VERDICTS):
            entry = json.loads(value)
            kind = "expired" if entry["type"] == "SignalExpired" else "rejected"
            self.verdicts[f"{kind}: {entry['event'].get('reason', 'time')}"] += 1
        return used_by_round(value)


class Lags:
    """Who has what before it, by the broker: where topics end, and what the groups have noted."""

    def __init__(self, bootstrap: str, shards: int) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._journals = [TopicPartition(f"{PREFIX}journal", shard) for shard in range(shards)]
        self._inputs: list[TopicPartition] = []

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._admin.start()
        known = await self._consumer._client.fetch_all_metadata()
        self._inputs = [
            TopicPartition(PREFIX + topic, partition)
            for topic in INPUT_TOPICS
            for partition in sorted(known.partitions_for_topic(PREFIX + topic) or ())
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self._consumer.stop(), self._admin.close())

    async def now(self) -> dict[str, int]:
        """Records that are not routed yet, and by shard those that no engine has applied yet."""
        ends = await self._consumer.end_offsets([*self._inputs, *self._journals])
        routed = await self._admin.list_consumer_group_offsets(f"{PREFIX}{GROUP}.router")
        applied = await self._admin.list_consumer_group_offsets(f"{PREFIX}{GROUP}.applied")
        return {"inputs": sum(_behind(ends, routed, where) for where in self._inputs)} | {
            f"journal/{where.partition}": _behind(ends, applied, where) for where in self._journals
        }


def _behind(ends: Any, noted: Any, where: TopicPartition) -> int:
    done = 0 if where not in noted else max(0, noted[where].offset)
    return max(0, int(ends[where]) - done)


@dataclass(slots=True)
class Watch:
    """What was seen of the processes, every few seconds, and of the latencies, every minute."""

    parts: dict[str, Part]
    load: Load
    lags: Lags
    began: float = field(default_factory=time.monotonic)
    rss: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)
    lag_worst: int = 0
    minutes: list[dict[str, Any]] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled, or until a process has ended."""
        due, minute = 0.0, MINUTE_S
        while not self.ended:
            await self.sample()
            if self.passed >= minute:
                self.close_minute()
                minute += MINUTE_S
            due += SAMPLE_S
            await asyncio.sleep(max(0.0, due - self.passed))

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    async def sample(self) -> None:
        """One look at all."""
        for name, part in self.parts.items():
            if not part.running:
                self.ended[name] = part.process.returncode
                print(f"{name} ended:\n{part.tail()}", file=sys.stderr, flush=True)
                continue
            process = psutil.Process(part.process.pid)
            family = [process, *process.children(recursive=True)]
            rss = sum(one.memory_info().rss for one in family) / MEGABYTE
            self.rss.setdefault(name, []).append((self.passed, rss))
        self.lag = await self.lags.now()
        self.lag_worst = max(self.lag_worst, *self.lag.values())

    def close_minute(self) -> None:
        """A row of figures, a line for whoever waits; signals of before the last minute go."""
        found = [seconds * 1000 for seconds in self.load.latencies] or [float("nan")]
        self.load.latencies = []
        row = {
            "at_s": round(self.passed), "sent": self.load.world.issued,
            "p50_ms": round(quantile(found, 0.5), 1), "p99_ms": round(quantile(found, 0.99), 1),
            "lag": sum(self.lag.values()),
            "rss_mb": {name: round(points[-1][1], 1) for name, points in self.rss.items()},
        }  # fmt: skip
        self.minutes.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
        since = time.time() - 2 * MINUTE_S
        self.load.sent = {name: at for name, at in self.load.sent.items() if at > since}
        self.load.seen = {one for one in self.load.seen if one[1] in self.load.sent}


async def _feed(load: Load, rate: float, seconds: float) -> None:
    """Open loop: signals are due by the clock, and prices once a second."""
    began, done, priced = time.monotonic(), 0, 0
    while (passed := time.monotonic() - began) < seconds:
        while done < passed * rate:
            await load.signal()
            done += 1
        if passed >= priced:
            await load.send(load.world.quotes())
            priced += 1
        await asyncio.sleep(0.005)


async def _soaked(system: System, parts: dict[str, Part], args: Any) -> dict[str, Any]:
    """The whole run: load, then the time until nobody is behind."""
    world, told = World(portfolios=args.portfolios, instruments=args.instruments), Told()
    async with (
        Load(system.bootstrap, PREFIX, f"{PREFIX}decisions", world, told) as load,
        Lags(system.bootstrap, system.shards) as lags,
    ):
        for message in world.opening():
            await load.send(message, wait=True)
        watch = Watch(parts, load, lags)
        if await _drained(watch, args.drain) is None:
            raise RuntimeError("what comes before the first signal was not taken in")
        watch = Watch(parts, load, lags)
        watching = asyncio.create_task(watch.run())
        feeding = asyncio.create_task(_feed(load, args.rate, args.minutes * 60))
        await asyncio.wait({watching, feeding}, return_when=asyncio.FIRST_COMPLETED)
        seconds = watch.passed
        feeding.cancel()
        watching.cancel()
        for gone in await asyncio.gather(feeding, watching, return_exceptions=True):
            if isinstance(gone, Exception):
                raise gone
        drained = await _drained(watch, args.drain)
        watch.close_minute()
        await load.settled(within_s=10)  # what was said last is read, and counted
    return _figures(watch, told, world, seconds=seconds, drained=drained)


async def _drained(watch: Watch, within_s: float) -> float | None:
    """Seconds until nothing is left before anybody; None: not within the bound."""
    began = time.monotonic()
    while time.monotonic() - began < within_s and not watch.ended:
        await watch.sample()
        if not any(watch.lag.values()):
            return round(time.monotonic() - began, 1)
        await asyncio.sleep(0.5)
    print(f"not drained within {within_s:g} s: {watch.lag}", file=sys.stderr, flush=True)
    return None


def _figures(
    watch: Watch, told: Told, world: World, *, seconds: float, drained: float | None
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 1),
        "signals": world.issued,
        "decisions": told.decisions,
        "verdicts": dict(sorted(told.verdicts.items())),
        "signals without an end yet": world.issued - told.verdicts.total(),
        "processes": {
            name: memory([p for p in points if p[0] <= seconds], warm_s=warm_up(seconds))
            for name, points in watch.rss.items()
        },
        "warm after seconds": round(warm_up(seconds)),
        "largest lag of one shard, records": watch.lag_worst,
        "lag at the end, records": watch.lag,
        "seconds until no lag": drained,
        "ended by themselves": watch.ended,
        "minutes": watch.minutes,
    }


def _on(bootstrap: str, folder: Path, args: Any) -> dict[str, Any]:
    settings = environment(worker__group=GROUP)
    with System(bootstrap, PREFIX, folder, environment=settings) as system:
        system.topics()
        parts = {"router": system.start("router")}
        parts |= {f"worker {n + 1}": system.start("engine") for n in range(args.workers)}
        system.await_ready(*parts.values())
        return asyncio.run(_soaked(system, parts, args))


def main() -> int:
    """Run, print, keep; 1 where somebody is behind at the end, or has ended."""
    parser = options(__doc__ or "")
    for name, default, what in OPTIONS:
        parser.add_argument(f"--{name}", type=type(default), default=default, help=what)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    kafka = KafkaServer(folder / "kafka")
    try:
        kafka.start()
        figures = _on(kafka.bootstrap, folder, args)
    except CannotStart as failure:
        sys.exit(str(failure))
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
    finish("soak", figures, record=args.record)
    well = figures["seconds until no lag"] is not None and not figures["ended by themselves"]
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

"""Latency of the live system on a real Kafka, beside a bare pipeline in the same run.

`python -m tests.bench.live [--bursts N] [--seconds S] [--workers N] [--record]`: starts a broker, a
router and workers of its own; 100 signals at once, then 100/s and 500/s, 10 portfolios over 100
instruments on 3 of 8 shards; then one worker stops for a minute under 500/s and catches up. The
first seconds of a stream stand apart: the engine finds its pace, the broker compiles. After
that the same loads with two workers, and with the portfolios on all shards, where they share less
of their work. What each process took of a core tells what saturates first.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.servers_kafka import KafkaServer
from tests.bench.bare import used_by_bare
from tests.bench.load import Figures, Load
from tests.bench.record import finish, options
from tests.live.system import Part, System
from tests.live.world import World

STAGES = ("route", "ingest", "queue", "window", "solve", "publish", "total", "checkpoint")
WARM_UP = 5
FIRST_S = 10.0
BUSY_SHARDS = 3


def main() -> None:
    """Measure, print, keep."""
    parser = options(__doc__ or "")
    parser.add_argument("--bursts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--away", type=float, default=60.0, help="how long a worker is stopped")
    parser.add_argument("--portfolios", type=int, default=10)
    parser.add_argument("--instruments", type=int, default=100)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="live-"))
    kafka = KafkaServer(folder / "kafka")
    try:
        kafka.start()
        figures = {
            "bare": asyncio.run(_bare(kafka, args)),
            "live": _live(kafka, folder / "one", args),
            "live, two workers": _live(kafka, folder / "two", args, workers=2),
            "live, all shards busy": _live(kafka, folder / "all", args, busy=0),
        }
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name in [name for name in figures if name != "bare"]:
        for phase, bare in figures["bare"].items():
            ratio = figures[name][phase]["p99_ms"] / bare["p99_ms"]
            figures[name][phase]["p99_over_bare"] = round(ratio, 2)
    finish("live", figures, record=args.record)


async def _phases(load: Load, args: Any, cores: Cores) -> dict[str, Any]:
    """The same three loads for all."""
    await load.bursts(WARM_UP, size=100, pause_s=1.0)
    phases: dict[str, Callable[[], Awaitable[Figures]]] = {
        "100 at once": lambda: load.bursts(args.bursts, size=100, pause_s=1.0),
        "100/s, its first seconds": lambda: load.steady(100, seconds=FIRST_S),
        "100/s": lambda: load.steady(100, seconds=args.seconds),
        "500/s": lambda: load.steady(500, seconds=args.seconds),
    }
    found = {}
    for name, phase in phases.items():
        cores.begin()
        found[name] = {**asdict(await phase()), "cores": cores.taken()}
        print(name, found[name], file=sys.stderr, flush=True)
        await load.settled(within_s=60)
    return found


class Cores:
    """What processes take of a core, by name."""

    def __init__(self, pids: Mapping[str, int | None]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._began, self._before = time.monotonic(), self._seconds()

    def taken(self) -> dict[str, float]:
        """Cores since then."""
        passed = time.monotonic() - self._began
        now = self._seconds()
        return {name: round((now[name] - self._before[name]) / passed, 2) for name in now}

    def _seconds(self) -> dict[str, float]:
        found = {}
        for name, process in self._processes.items():
            family = [process] if name == "load" else [process, *process.children(recursive=True)]
            found[name] = sum(sum(one.cpu_times()[:2]) for one in family)
        return found


async def _bare(kafka: KafkaServer, args: Any) -> dict[str, Any]:
    prefix, bootstrap = "bare.", kafka.bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    times = {"message.timestamp.type": "LogAppendTime"}
    names = ("signals", "journal", "decisions")
    await admin.create_topics([NewTopic(prefix + n, 1, 1, topic_configs=times) for n in names])
    await admin.close()
    hops = [
        subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [sys.executable, "-m", "tests.bench.bare", hop, bootstrap, prefix,
             str(args.portfolios), str(args.instruments)],
            stdout=subprocess.PIPE,
        )
        for hop in ("copy", "solve")
    ]  # fmt: skip
    try:
        for hop in hops:
            if hop.stdout is None or hop.stdout.readline() != b"ready\n":
                raise RuntimeError("a hop did not start")
        world = World(portfolios=args.portfolios, instruments=args.instruments, run="b")
        async with Load(bootstrap, prefix, f"{prefix}decisions", world, used_by_bare) as load:
            pids = {"broker": kafka.pid, "copy": hops[0].pid, "solve": hops[1].pid, "load": None}
            return await _phases(load, args, Cores(pids))
    finally:
        for hop in hops:
            hop.kill()
            hop.wait()
            if hop.stdout is not None:
                hop.stdout.close()


def _live(
    kafka: KafkaServer, folder: Path, args: Any, *, busy: int = BUSY_SHARDS, workers: int = 1
) -> dict[str, Any]:
    folder.mkdir()
    with System(kafka.bootstrap, f"{folder.name}.", folder) as system:
        system.topics()
        router = system.start("router")
        engines = [system.start("engine") for _ in range(workers)]
        system.await_ready(router, *engines)
        pids = {"broker": kafka.pid, "router": router.process.pid, "load": None}
        pids |= {f"worker {n}": one.process.pid for n, one in enumerate(engines, 1)}
        world = World(portfolios=args.portfolios, instruments=args.instruments, busy=busy)
        away = args.away if busy and workers == 1 else 0.0
        parts = [router, *engines]
        return asyncio.run(_measured(system, parts, world, args, Cores(pids), away))


async def _measured(
    system: System, parts: list[Part], world: World, args: Any, cores: Cores, away: float
) -> dict[str, Any]:
    async with Load(system.bootstrap, system.prefix, f"{system.prefix}decisions", world) as load:
        for message in world.opening():
            await load.send(message, wait=True)
        found = await _phases(load, args, cores)
        found["stages of all phases, mean ms"] = await asyncio.to_thread(_stages, system, parts)
        if away:
            found["stopped worker"] = await _caught_up(system, parts[1:], load, away)
        return found


async def _caught_up(
    system: System, workers: list[Part], load: Load, away_s: float
) -> dict[str, Any]:
    """All workers stop, 500/s go on; how long the backlog takes once one is back."""
    for worker in workers:
        await asyncio.to_thread(worker.stop)
    await load.steady(500, seconds=away_s)
    began = time.monotonic()
    again = system.start("engine")
    await asyncio.to_thread(system.await_ready, again, within_s=600)
    ready = time.monotonic() - began
    settled = ready + await load.settled(within_s=600)
    return {
        "seconds_away": away_s,
        "signals_waiting": int(away_s * 500),
        "seconds_to_ready": round(ready, 1),
        "seconds_to_caught_up": round(settled, 1),
    }


def _stages(system: System, parts: list[Part]) -> dict[str, float]:
    found = {}
    for stage in STAGES:
        total = count = 0.0
        for part in (part for part in parts if part.running):
            series = system.metrics(part)
            total += series.get(f'coordinator_stage_seconds_sum{{stage="{stage}"}}', 0.0)
            count += series.get(f'coordinator_stage_seconds_count{{stage="{stage}"}}', 0.0)
        if count:
            found[stage] = round(total / count * 1000, 2)
    return found


if __name__ == "__main__":
    main()

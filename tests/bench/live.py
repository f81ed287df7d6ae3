"""Latency of the live system on a real Kafka, beside a bare pipeline in the same run.

`python -m tests.bench.live [--bursts N] [--seconds S] [--workers N] [--record]`: starts a broker, a
router and workers of its own; 100 signals at once, then 100/s and 500/s, 10 portfolios over 100
instruments on 3 of 8 shards; then one worker stops for a minute under 500/s and catches up. After
that the same loads with the portfolios on all shards, where they share less of their work.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.servers_kafka import KafkaServer
from tests.bench.bare import used_by_bare
from tests.bench.load import Load
from tests.bench.record import finish, options
from tests.live.system import Part, System
from tests.live.world import World

STAGES = ("route", "ingest", "queue", "window", "solve", "publish", "total", "checkpoint")
WARM_UP = 5
BUSY_SHARDS = 3


def main() -> None:
    """Measure, print, keep."""
    parser = options(__doc__ or "")
    parser.add_argument("--bursts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--away", type=float, default=60.0, help="how long a worker is stopped")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--portfolios", type=int, default=10)
    parser.add_argument("--instruments", type=int, default=100)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="live-"))
    kafka = KafkaServer(folder / "kafka")
    try:
        kafka.start()
        figures = {
            "bare": asyncio.run(_bare(kafka.bootstrap, args)),
            "live": _live(kafka.bootstrap, folder, args),
            "live, all shards busy": _live(kafka.bootstrap, folder, args, busy=0),
        }
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for name in [name for name in figures if name != "bare"]:
        for phase, bare in figures["bare"].items():
            ratio = figures[name][phase]["p99_ms"] / bare["p99_ms"]
            figures[name][phase]["p99_over_bare"] = round(ratio, 2)
    finish("live", figures, record=args.record)


async def _phases(load: Load, args: Any) -> dict[str, Any]:
    """The same three loads for both."""
    await load.bursts(WARM_UP, size=100, pause_s=1.0)
    found = {"100 at once": asdict(await load.bursts(args.bursts, size=100, pause_s=1.0))}
    for rate in (100, 500):
        found[f"{rate}/s"] = asdict(await load.steady(rate, seconds=args.seconds))
        print(rate, found[f"{rate}/s"], file=sys.stderr, flush=True)
        await load.settled(within_s=60)
    return found


async def _bare(bootstrap: str, args: Any) -> dict[str, Any]:
    prefix = "bare."
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
            return await _phases(load, args)
    finally:
        for hop in hops:
            hop.kill()
            hop.wait()
            if hop.stdout is not None:
                hop.stdout.close()


def _live(bootstrap: str, folder: Path, args: Any, busy: int = BUSY_SHARDS) -> dict[str, Any]:
    here = folder / f"busy{busy}"
    here.mkdir()
    with System(bootstrap, f"live{busy}.", here) as system:
        system.topics()
        router = system.start("router")
        workers = [system.start("engine") for _ in range(args.workers)]
        system.await_ready(router, *workers)
        found = asyncio.run(_measured(system, workers, args, busy))
        found["stages of all phases, mean ms"] = _stages(system, [router, *workers])
        return found


async def _measured(system: System, workers: list[Part], args: Any, busy: int) -> dict[str, Any]:
    world = World(portfolios=args.portfolios, instruments=args.instruments, busy=busy)
    async with Load(system.bootstrap, system.prefix, f"{system.prefix}decisions", world) as load:
        for message in world.opening():
            await load.send(message, wait=True)
        found = await _phases(load, args)
        if args.away and busy:
            found["stopped worker"] = await _caught_up(system, workers, load, args.away)
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

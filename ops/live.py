"""Starts servers, topics and a worker, plays the demo's recording to them, and shows decisions.

Run by ops/live. What is played happened in autumn 2025: it is told again as if it happened now, one
session every few seconds, and every decided trade is filled at the next session's open. Owns the
servers and processes that it starts, and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, suppress
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from coordinator.log.kafka.headers import key_of
from ops.servers_base import CannotStart
from ops.servers_kafka import KafkaServer
from ops.servers_postgres import PostgresServer
from ops.servers_redis import RedisServer
from replay.demo.messages import Message, messages
from replay.demo.recording import load

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
SHARDS = 8
PREFIX = "demo."
READY_S = 90.0
ASK_S = 5.0
NEEDED = ("router", "engine")
TRADES_SHOWN = 3
NANOSECOND = 1_000_000_000


def main() -> int:
    """Until Ctrl-C, or the last session."""
    parser = argparse.ArgumentParser(prog="ops/live", description=__doc__)
    parser.add_argument("--pace", type=float, default=2.0, help="seconds a session takes")
    parser.add_argument("--sessions", type=int, default=0, help="end after so many; 0: never")
    args = parser.parse_args()
    # Ctrl-C and SIGTERM both end it the same way, with everything that was started; also where a
    # script that started it in the background has Ctrl-C ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="coordinator-live-"))
    try:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            settings = servers(folder, stack)
            worker(settings, folder, stack)
            asyncio.run(_play(settings["COORDINATOR_KAFKA__BOOTSTRAP"], args))
    except KeyboardInterrupt:
        say("ended")
    except (CannotStart, RuntimeError) as error:
        say(f"cannot start: {error}")
        return 1
    return 0


def say(text: str) -> None:
    """For people; decisions alone go to stdout."""
    sys.stderr.write(f"live: {text}\n")
    sys.stderr.flush()


def servers(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Kafka, and the databases where they can start; the settings that lead to them."""
    settings: dict[str, str] = {}
    for kind in (KafkaServer, PostgresServer, RedisServer):
        server = kind(folder / kind.__name__)
        try:
            server.start()
        except CannotStart as error:
            if kind is KafkaServer:
                raise
            say(f"goes on without {kind.__name__}: {error}")
            continue
        stack.callback(server.remove)
        settings |= server.settings()
    say("servers are up: " + ", ".join(sorted(settings)))
    return settings


def worker(settings: dict[str, str], folder: Path, stack: ExitStack) -> None:
    """The topics, and a worker with all its parts."""
    environment = {
        **os.environ,
        **settings,
        "COORDINATOR_KAFKA__PREFIX": PREFIX,
        "COORDINATOR_WORKER__SHARDS": str(SHARDS),
        "COORDINATOR_HTTP__PORT": "0",
    }
    command = (sys.executable, "-P", "-m", "coordinator")
    made = subprocess.run(
        (*command, "topics", "apply"), env=environment, cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise RuntimeError(made.stderr.strip())
    log = folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            (*command, "run"), env=environment, cwd=ROOT, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    stack.callback(_end, process)
    until = time.monotonic() + READY_S
    while not ready(log.read_text(errors="replace")):
        if process.poll() is not None or time.monotonic() > until:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            message = f"the worker did not start; it said:\n{end}"
            raise RuntimeError(message)
        time.sleep(0.1)
    say(f"a worker decides for {SHARDS} shards")


def ready(said: str) -> bool:
    """Whether the parts that decisions need answer so. said: their log; a part's last word counts.

    The engine is ready once every shard of its own decides.
    """
    doors: dict[str, str] = {}
    for line in said.splitlines():
        if '"event":"part_started"' in line:
            started = json.loads(line)
            doors[started["part"]] = started["http"]
    return all(name in doors and _is_ready(doors[name]) for name in NEEDED)


def _is_ready(door: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{door}/readyz", timeout=ASK_S) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # not there yet, or not ready
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(40)
    if process.poll() is None:
        process.kill()


async def _play(bootstrap: str, args: argparse.Namespace) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    consumer.assign([TopicPartition(f"{PREFIX}decisions", number) for number in range(SHARDS)])
    market = _Market(producer)
    try:
        await both(_tell(market, args), _show(consumer, market))
    finally:
        await producer.stop()
        await consumer.stop()


async def both(telling: Coroutine[Any, Any, None], showing: Coroutine[Any, Any, None]) -> None:
    """Until all is told. Raises what either of them raises, and RuntimeError when nobody shows."""
    tasks = told, shown = asyncio.create_task(telling), asyncio.create_task(showing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if shown.done():
            shown.result()
            message = "decisions are shown no more"
            raise RuntimeError(message)
        await told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(market: _Market, args: argparse.Namespace) -> None:
    for step in _retold(args.sessions):
        for message in step:
            await market.tell(message)
        await asyncio.sleep(args.pace / 2)
    await asyncio.sleep(args.pace)


def _retold(sessions: int) -> Iterator[Sequence[Message]]:
    """What happened at one moment, moment after moment; the trading again from the start."""
    recorded = messages(load())
    moments = [list(run) for _, run in groupby(recorded, key=lambda one: one.journal_time)]
    yield moments[0]
    told = 0
    while True:
        for moment in moments[1:]:
            yield moment
            told += any(b'"session_close":true' in one.raw.payload for one in moment)
            if sessions and told >= sessions:
                return


class _Market:
    """Tells the recording as of now, and fills what was decided at the next open."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._count = 0
        self._decided: list[dict[str, Any]] = []

    def decided(self, decision: dict[str, Any]) -> None:
        """These trades are filled at the next open."""
        self._decided += [
            trade | {"portfolio": decision["portfolio"]} for trade in decision["trades"]
        ]

    async def tell(self, message: Message) -> None:
        """One message, with a time and an id of its own."""
        event = json.loads(message.raw.payload)
        await self._send(message.raw.topic, event)
        if event.get("kind") == "open":
            opens = dict(zip(event["instruments"], event["price"], strict=True))
            trades, self._decided = self._decided, []
            for trade in trades:
                if opens.get(trade["instrument"]) is not None:
                    await self._fill(trade, opens[trade["instrument"]])

    async def _fill(self, trade: dict[str, Any], price: float) -> None:
        fill = {
            "type": "OrderFilled", "event_id": trade["trade_id"], "portfolio": trade["portfolio"],
            "instrument": trade["instrument"], "trade_id": trade["trade_id"],
            "quantity": trade["quantity"], "price": f"{price:.4f}",
        }  # fmt: skip
        await self._send("orders", fill)

    async def _send(self, topic: str, event: dict[str, Any]) -> None:
        self._count += 1
        event["event_time"] = time.time_ns()
        event["event_id"] = f"{event['event_id']}#{self._count}"
        value = json.dumps(event).encode()
        key = event.get("source") or event.get("portfolio") or event.get("instrument") or topic
        await self._producer.send_and_wait(PREFIX + topic, value, key=str(key).encode())


async def _show(consumer: AIOKafkaConsumer, market: _Market) -> None:
    """One line a decision, on stdout."""
    async for record in consumer:
        value = record.value or b""
        if not value.startswith(b'{"type":"AllocationDecided"'):
            continue
        decision = json.loads(value)["event"]
        market.decided(decision)
        took = time.time() - decision["decided_at"] / NANOSECOND
        largest = sorted(decision["trades"], key=lambda trade: -abs(trade["weight"]))
        shown = ", ".join(
            f"{float(trade['quantity']):+,.0f} {trade['instrument']}"
            for trade in largest[:TRADES_SHOWN]
        )
        more = len(largest) - TRADES_SHOWN
        portfolio = (key_of(value) or b"?").decode()
        sys.stdout.write(
            f"{portfolio:<14} round {decision['round']:>3}  {len(decision['signals']):>4} signals  "
            f"{len(largest):>3} trades  {decision['solver']['rung']:<8} {took * 1000:>6.0f} ms  "
            f"{shown}{f' and {more} more' if more > 0 else ''}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

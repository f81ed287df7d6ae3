"""A consumer without our package: plain aiokafka and the published JSON Schemas."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from jsonschema import Draft202012Validator

from tests.live.reader import Reader
from tests.live.system import System, environment
from tests.live.world import World

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas/published"
SHARDS = 4
WANTED = {
    "AllocationDecided", "RoundClosed", "SignalExpired", "SignalRejected", "InputRejected",
    "PortfolioViewUpdated",
}  # fmt: skip
WITHIN_S = 60.0


@cache
def validator(name: str, version: int) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.v{version}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def examine(entry: dict[str, Any], record: Any) -> None:
    """The event by its schema, the headers by what the page says of them."""
    validator(entry["type"], entry["version"]).validate(entry["event"])
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == f"coordinator.{entry['type']}.v{entry['version']}"
    assert headers["ce_source"] == f"/{record.topic}/{record.partition}"
    assert headers["ce_id"] == f"{record.partition}:{entry['seq']}"
    subject = entry["event"].get("portfolio") or entry["event"].get("source")
    assert headers.get("ce_subject") == subject
    assert record.key == (None if subject is None else subject.encode())


async def produce(bootstrap: str, prefix: str) -> None:
    world = World(instruments=6, portfolios=4)
    unknown = {"direction": 1, "source": "s0", "strategy": "s0", "instrument": "NONE"}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:

        async def send(message: Any) -> None:
            await producer.send_and_wait(
                prefix + message.topic, message.value, key=message.key.encode()
            )

        for message in world.opening():
            await send(message)
        for _ in range(60):  # each (source, instrument) three times over: some are superseded
            await send(world.signal())
        await send(world.message("signals", "s0", "SignalIssued", **unknown))
        await send(
            world.message(
                "orders", "p0", "OrderCancelled", portfolio="p0", instrument="I000", trade_id="none"
            )
        )


async def read(bootstrap: str, prefix: str) -> Counter[str]:
    """Validate every output until all kinds that were brought about have been seen."""
    places = [TopicPartition(f"{prefix}decisions", shard) for shard in range(SHARDS)]
    readers, seen = {place: Reader() for place in places}, Counter[str]()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    async with asyncio.timeout(WITHIN_S):
        await consumer.start()
        try:
            consumer.assign(places)
            while not seen.keys() >= WANTED:
                for place, run in (await consumer.getmany(timeout_ms=200)).items():
                    for record in run:
                        entry = readers[place].take(record.value, record.headers)
                        if entry is not None:
                            examine(entry, record)
                            seen[entry["type"]] += 1
        finally:
            await consumer.stop()
    return seen


@pytest.mark.integration
def test_a_stranger_validates_every_output(
    kafka_servers: str, kafka_prefix: str, tmp_path: Path
) -> None:
    settings = environment(worker__session_timeout_ms=6000)
    with System(kafka_servers, kafka_prefix, tmp_path, SHARDS, settings) as system:
        system.topics()
        parts = [system.start("router"), system.start("engine")]
        system.await_ready(*parts)
        asyncio.run(produce(kafka_servers, kafka_prefix))
        seen = asyncio.run(read(kafka_servers, kafka_prefix))
    assert seen["AllocationDecided"] >= 1


def test_a_wrong_output_would_be_seen() -> None:
    with pytest.raises(Exception, match=r"is not of type 'integer'|is a required property"):
        validator("RoundClosed", 1).validate({"decided_at": "yesterday"})

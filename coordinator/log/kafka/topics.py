"""Every topic there is: partitions, keys, retention and limits, declared in one place.

Place in the flow: before anything else runs. `plan` compares the cluster with the declaration,
`apply` creates what is missing and sets what differs. A wrong number of partitions is refused: a
portfolio's shard, and a key's partition, would be another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from coordinator.log.redriven import REDRIVEN
from schemas.registry import INPUT_TOPICS

__all__ = [
    "BATCH_BYTES_MAX",
    "ENTRY_BYTES_MAX",
    "INPUT_BYTES_MAX",
    "LOG_TOPICS",
    "VIEW_TOPICS",
    "Difference",
    "PartitionsDiffer",
    "Topic",
    "TopicPlan",
    "apply",
    "declared",
    "plan",
]

MIB = 1 << 20
DAY_MS = 86_400_000
INPUT_BYTES_MAX = MIB + MIB // 8
"""Of a message on an input topic, with its key, headers and framing; the event itself: 1 MiB."""
ENTRY_BYTES_MAX = 2 * MIB
"""Of a record that we write, with its framing; consumers fetch 3 MiB."""
BATCH_BYTES_MAX = MIB
"""Records are sent together up to this size."""
LOG_TOPICS = ("journal", "decisions", "checkpoints")
VIEW_TOPICS = ("views.latest", "views.windows")
"""Changelogs of the tables of portfolio views: Faust restores them, nobody else reads them."""
INPUT_PARTITIONS = {"control": 1}
INPUT_PARTITIONS_DEFAULT = 8
INPUT_RETENTION_DAYS = 30
KEYS = {
    "signals": "source",
    "market": "instrument",
    "portfolios": "portfolio",
    "orders": "portfolio",
    "constraints": "portfolio or strategy",
    "outcomes": "decision or source",
    "control": "name",
    REDRIVEN: "none",
    "journal": "none: the shard is the partition",
    "decisions": "portfolio, else source; the shard is the partition",
    "checkpoints": "none: the shard is the partition",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it must be. key: what producers key by, in words."""

    name: str
    partitions: int
    key: str
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """How the cluster differs from the declaration in one respect of one topic."""

    topic: str
    kind: Literal["missing", "partitions", "config"]
    what: str
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What `apply` would do, and what it refuses."""

    topics: tuple[Topic, ...]
    differences: tuple[Difference, ...]

    @property
    def refused(self) -> tuple[Difference, ...]:
        """What nobody can mend but by a new topic: another number of partitions."""
        return tuple(one for one in self.differences if one.kind == "partitions")

    @property
    def refusal(self) -> str:
        """Why it is refused, and what to do."""
        named = ", ".join(f"{one.topic} has {one.found}, not {one.wanted}" for one in self.refused)
        return (
            f"partitions differ: {named}; a key would change its place. Use another prefix, or "
            "delete the topic if it holds nothing"
        )


class PartitionsDiffer(Exception):
    """A topic has another number of partitions than declared: nothing was changed."""

    def __init__(self, plan: TopicPlan) -> None:
        super().__init__(plan.refusal)
        self.refused = plan.refused


def declared(*, shards: int, prefix: str = "") -> tuple[Topic, ...]:
    """All topics of one coordinator, in the order of the data flow."""
    inputs = [
        Topic(prefix + name, INPUT_PARTITIONS.get(name, INPUT_PARTITIONS_DEFAULT), KEYS[name],
              _config(INPUT_BYTES_MAX, days=INPUT_RETENTION_DAYS))
        for name in INPUT_TOPICS
    ]  # fmt: skip
    letters = [
        Topic(f"{prefix}{name}.dlq", 1, "as the message had it", _config(ENTRY_BYTES_MAX))
        for name in INPUT_TOPICS
    ]
    logs = [
        Topic(prefix + name, shards, KEYS[name], _config(ENTRY_BYTES_MAX)) for name in LOG_TOPICS
    ]
    changelogs = [
        Topic(prefix + name, shards, "portfolio, and its window; the shard is the partition",
              {**_config(ENTRY_BYTES_MAX), "cleanup.policy": "compact"})
        for name in VIEW_TOPICS
    ]  # fmt: skip
    notes = Topic(prefix + REDRIVEN, 1, KEYS[REDRIVEN], _config(ENTRY_BYTES_MAX))
    return (*inputs, *letters, notes, *logs, *changelogs)


def _config(bytes_max: int, *, days: int | None = None) -> dict[str, str]:
    """Times are the broker's own; without days, records stay until somebody archives them."""
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(bytes_max),
        "retention.ms": "-1" if days is None else str(days * DAY_MS),
        "retention.bytes": "-1",
    }


async def plan(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> TopicPlan:
    """What the cluster lacks of the declared topics. Reads only."""
    there = {one["topic"]: one for one in await admin.describe_topics()}
    found: list[Difference] = []
    for topic in topics:
        here = there.get(topic.name)
        if here is None:
            found.append(
                Difference(topic.name, "missing", "topic", "none", f"{topic.partitions} partitions")
            )
        elif len(here["partitions"]) != topic.partitions:
            count = str(len(here["partitions"]))
            found.append(
                Difference(topic.name, "partitions", "partitions", count, str(topic.partitions))
            )
    present = [topic for topic in topics if topic.name in there]
    settings = await _configs(admin, [topic.name for topic in present])
    for topic in present:
        found += [
            Difference(topic.name, "config", key, settings[topic.name].get(key, ""), value)
            for key, value in sorted(topic.config.items())
            if settings[topic.name].get(key) != value
        ]
    return TopicPlan(tuple(topics), tuple(found))


async def apply(admin: AIOKafkaAdminClient, wanted: TopicPlan, *, replication: int) -> None:
    """Create and set what the plan names. Raises PartitionsDiffer before anything is changed."""
    if wanted.refused:
        raise PartitionsDiffer(wanted)
    by_name = {topic.name: topic for topic in wanted.topics}
    missing = [by_name[one.topic] for one in wanted.differences if one.kind == "missing"]
    if missing:
        answer = await admin.create_topics(
            [
                NewTopic(one.name, one.partitions, replication, topic_configs=dict(one.config))
                for one in missing
            ]
        )
        _refuse_errors(answer.topic_errors)
    differing = {one.topic for one in wanted.differences if one.kind == "config"}
    for name in sorted(differing):
        # The whole set at once: this call replaces what a topic was given before.
        settings = ConfigResource(
            ConfigResourceType.TOPIC, name, configs=dict(by_name[name].config)
        )
        for response in await admin.alter_configs([settings]):
            for code, message, *_ in response.resources:
                if code:
                    raise for_code(code)(message)


def _refuse_errors(errors: Sequence[tuple[str, int, str]]) -> None:
    """Another one may have created a topic meanwhile; anything else is an error."""
    exists = 36
    for name, code, *words in errors:
        if code not in {0, exists}:
            raise for_code(code)(f"{name}: {words[0] if words else ''}")


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of each topic as the brokers have them."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    if not names:
        return found
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(asked):
        for code, message, _, name, entries in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found

"""Dead letters in Kafka: the bytes as they came, where they came from and why, in headers.

Place in the flow: a router writes them (its headers are the last ones), `KafkaLog` and the command
`dlq` read them. The bytes are other people's: they must never be taken for a record of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.core.route import DeadLetter, encode_dead_letter
from coordinator.log.kafka.headers import Headers
from coordinator.log.kafka.tail import Found

__all__ = ["ORIGIN_HEADERS", "Letter", "Origin"]

ORIGIN_HEADERS = (
    "origin_topic", "origin_topic_id", "origin_partition", "origin_offset", "origin_time", "error",
)  # fmt: skip
"""What a router adds behind the producer's own headers."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dead letter stood as a message; two letters of one origin are one letter."""

    topic: str
    topic_id: str
    partition: int
    offset: int


class Letter:
    """One dead letter. topic: of the port, such as "signals.dlq"."""

    def __init__(self, topic: str, found: Found) -> None:
        self.topic = topic
        self.position = found.offset
        self.journal_time = found.time_ms * 1_000_000
        self.key = found.key
        self.payload = found.value
        self.headers = found.headers
        self._said = {
            name: value.decode(errors="replace")
            for name, value in found.headers
            if name in ORIGIN_HEADERS  # the last of a name is the router's
        }

    @property
    def reason(self) -> str:
        """Why it is none of ours."""
        return self._said.get("error", "no reason given")

    @property
    def origin(self) -> Origin | None:
        """Where it stood; None where its headers do not tell."""
        said = self._said
        try:
            return Origin(
                said["origin_topic"], said["origin_topic_id"], int(said["origin_partition"]),
                int(said["origin_offset"]),
            )  # fmt: skip
        except (KeyError, ValueError):
            return None

    @property
    def own_headers(self) -> Headers:
        """What its producer said beside it: the headers before the router's."""
        names = [name for name, _ in self.headers]
        count = len(ORIGIN_HEADERS)
        ours = tuple(names[-count:]) == ORIGIN_HEADERS
        return self.headers[:-count] if ours else list(self.headers)

    def letter(self) -> DeadLetter:
        """As the core has it."""
        origin = self.origin
        where = (
            f"partition {origin.partition} offset {origin.offset}"
            if origin is not None
            else "unknown"
        )
        return DeadLetter(self.topic.removesuffix(".dlq"), where, self.reason, self.payload)

    def encoded(self) -> bytes:
        """The letter's bytes as every log holds them."""
        return encode_dead_letter(self.letter())

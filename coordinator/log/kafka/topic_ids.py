"""The id that Kafka gives a topic when it is made: a topic made anew has another.

Place in the flow: routers stamp it on every input, so that offsets of a recreated topic are not
taken for old ones. aiokafka speaks metadata up to version 5, which has no ids; this is version 10,
by Kafka's protocol guide, on aiokafka's own connection.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

__all__ = ["topic_ids"]

_API_KEY = 3
_VERSION = 10
_TEXT = CompactString("utf-8")


class _Uuid(AbstractType[bytes]):  # type: ignore[misc] # aiokafka publishes no types
    """Sixteen bytes as they are."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):  # type: ignore[misc] # as above
    API_KEY = _API_KEY
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16), ("partition", Int32), ("leader", Int32),
                        ("leader_epoch", Int32), ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)), ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("operations", Int32),
        ("tags", TaggedFields),
    )  # fmt: skip


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc] # as above
    FLEXIBLE_VERSION = True
    API_KEY = _API_KEY
    API_VERSION = _VERSION
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc] # as above
    API_KEY = _API_KEY

    def __init__(self, topics: Sequence[str]) -> None:
        nothing: dict[int, bytes] = {}
        self._topics = [(bytes(16), name, nothing) for name in topics]

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        nothing: dict[int, bytes] = {}
        return request_struct_class(self._topics, False, False, False, nothing)  # noqa: FBT003 - positions of the protocol


async def topic_ids(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, str]:
    """The id of each topic, as text. Raises KafkaError for a topic that is not there."""
    answer: Any = await client.send(client.get_random_node(), _MetadataRequest(topics))
    found = {}
    for error_code, name, topic_id, *_ in answer.topics:
        if error_code:
            raise for_code(error_code)(name)
        found[name] = str(uuid.UUID(bytes=topic_id))
    return found

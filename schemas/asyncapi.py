"""The AsyncAPI 3.0 document: every channel, message and neighbour on one page that tools can read.

Place in the flow: a pure function of the models; `coordinator schema` writes what it gives. Written
from the engine's side: it receives inputs and sends decisions. Every message carries an example
that is an instance of its model.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from schemas.base import Event, InputEvent
from schemas.canonical import canonical_bytes
from schemas.entries import GENESIS, Stamp, encode_journal, encode_output
from schemas.examples import EXAMPLES
from schemas.export import Document, event_schema, stem
from schemas.neighbours import CONSUMERS, PRODUCERS, TOPICS, Topic, events_of
from schemas.registry import EVENTS

__all__ = ["asyncapi"]

ROUTED = "RoutedInput"
_ABOUT = """The coordination engine turns conflicting trading signals into one coordinated
allocation per portfolio. It receives events on its input topics, keeps them in one ordered journal
per shard, and sends what it decides to one topic. Operations are tagged with the neighbour that
sends or receives."""
_APPENDED = 1_759_320_000_250_000_000  # a quarter of a second after the examples' own time
_TEXT: Document = {"type": "string"}
_WHOLE: Document = {"type": "integer"}


def asyncapi() -> Document:
    """The whole document. Its references stay inside it."""
    names = sorted({one.name for one in PRODUCERS} | {one.name for one in CONSUMERS})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Coordination engine",
            "version": "1.0.0",
            "description": _ABOUT,
            "tags": [{"name": name, "description": _neighbour(name)} for name in names],
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {**_received(), **_sent()},
        "components": {
            "messages": _messages(),
            "schemas": _schemas(),
            "messageTraits": {"cloudEvent": _cloud_event()},
        },
    }


def _neighbour(name: str) -> str:
    """What a neighbour sends and takes, in words."""
    sends = [
        f"Sends {', '.join(producer.events)} on {producer.topic}."
        for producer in PRODUCERS
        if producer.name == name
    ]
    takes = [
        f"Takes {', '.join(consumer.events)}{f'; also {consumer.also}' if consumer.also else ''}."
        for consumer in CONSUMERS
        if consumer.name == name
    ]
    return " ".join(sends + takes)


def _names(topic: Topic) -> tuple[str, ...]:
    own = events_of(topic.name)
    return (ROUTED, *own) if topic.name == "journal" else own


def _message_id(name: str) -> str:
    return stem(EVENTS[name]) if name in EVENTS else name


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "title": topic.name.capitalize(),
        "description": f"{topic.what} Keyed by {topic.key}.",
        "x-key": topic.key,
        "messages": {
            name: {"$ref": f"#/components/messages/{_message_id(name)}"} for name in _names(topic)
        },
    }


def _operation(action: str, neighbour: str, topic: str, events: tuple[str, ...]) -> Document:
    said = "sends" if action == "receive" else "takes"
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "title": f"{neighbour} {said} {topic}",
        "summary": f"{neighbour} {said} {', '.join(events)}.",
        "tags": [{"name": neighbour}],
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in events],
    }


def _received() -> Document:
    return {
        f"{_joined(one.name)}.sends.{one.topic}": _operation(
            "receive", one.name, one.topic, one.events
        )
        for one in PRODUCERS
    }


def _sent() -> Document:
    return {
        f"{_joined(one.name)}.takes.decisions": _operation(
            "send", one.name, "decisions", one.events
        )
        for one in CONSUMERS
    }


def _joined(name: str) -> str:
    return name.replace(" ", "")


def _messages() -> Document:
    keys = {topic.name: topic.key for topic in TOPICS}
    found = {stem(cls): _message(cls, keys[cls.topic]) for cls in EVENTS.values()}
    signal = EXAMPLES["SignalIssued"]
    inputs = [cls for cls in EVENTS.values() if issubclass(cls, InputEvent)]
    routed = [cls for cls in inputs if cls.topic != "journal"]
    found[ROUTED] = {
        "name": ROUTED,
        "title": "Any input, as it stands in the journal",
        "summary": "Its event, and where it came from.",
        "bindings": _key("shard"),
        "payload": _journal_entry(
            {"enum": [cls.__name__ for cls in routed]},
            _WHOLE,
            {"anyOf": [_ref(cls.__name__) for cls in routed]},
        ),
        "examples": [{"name": signal.__class__.__name__, "payload": _routed_example(signal)}],
    }
    return found


def _message(cls: type[Event], key: str) -> Document:
    name = cls.__name__
    summary = (cls.__doc__ or "").split("\n\n", maxsplit=1)[0].replace("\n    ", " ")
    example = EXAMPLES[name]
    headers = {"type": "object", "properties": {"ce_type": {"type": "string", "const": stem(cls)}}}
    return {
        "name": name,
        "title": f"{name}, version {cls.version}",
        "summary": summary,
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "headers": headers,
        "bindings": _key(key),
        "payload": _payload(cls),
        "examples": [{"name": name, "summary": summary, "payload": _example(example)}],
    }


def _key(key: str) -> Document:
    return {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}}


def _payload(cls: type[Event]) -> Document:
    """The bytes of a message: an input beside its type, or the entry of a log around the event."""
    kind: Document = {"const": cls.__name__}
    version: Document = {"const": cls.version}
    event = _ref(cls.__name__)
    if cls.topic == "journal":
        return _journal_entry(kind, version, event)
    if issubclass(cls, InputEvent):
        beside = {
            "type": "object",
            "properties": {"type": kind, "version": version},
            "required": ["type"],
        }
        return {"allOf": [beside, event]}
    return _entry(
        {
            "type": kind,
            "version": version,
            "position": {**_WHOLE, "description": "Of the journal record that caused it."},
            "ordinal": {**_WHOLE, "description": "Which of that record's outputs, from 0."},
            "seq": {**_WHOLE, "description": "Counts the shard's outputs without gaps."},
            "prev": {**_TEXT, "description": "SHA-256 of the entry with the seq before."},
            "event": event,
        }
    )


def _journal_entry(kind: Document, version: Document, event: Document) -> Document:
    return _entry(
        {
            "type": kind,
            "version": version,
            "topic": {**_TEXT, "description": "The input topic it came from."},
            "topic_id": {**_TEXT, "description": "Tells a recreated topic from the one before."},
            "partition": {**_WHOLE, "description": "Of the input topic."},
            "offset": {**_WHOLE, "description": "In that partition; below 0: from no topic."},
            "appended_at": {**_WHOLE, "description": "The input topic's time, nanoseconds UTC."},
            "event": event,
        }
    )


def _entry(properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _example(event: Event) -> Any:
    """What the bytes of the example's message would hold."""
    if event.topic == "journal":
        return _journal_example(event)
    if isinstance(event, InputEvent):
        head = {"type": type(event).__name__, "version": event.version}
        return {**head, **from_json(canonical_bytes(event))}
    return from_json(encode_output(position=17, ordinal=0, seq=0, prev=GENESIS, event=event))


def _journal_example(event: Event) -> Any:
    return from_json(encode_journal(Stamp("journal", "", 0, -1, _APPENDED), event))


def _routed_example(event: Event) -> Any:
    return from_json(encode_journal(Stamp(event.topic, "f3a1", 0, 42, _APPENDED), event))


def _schemas() -> Document:
    """The events' schemas and those of their parts, side by side under their names."""
    found: Document = {}
    for name, cls in EVENTS.items():
        schema = event_schema(cls)
        parts = schema.pop("$defs", {})
        del schema["$id"], schema["$schema"]
        for part, definition in {**parts, name: schema}.items():
            moved = _moved(definition)
            if found.setdefault(part, moved) != moved:
                message = f"two different schemas are called {part}; rename one of the classes"
                raise ValueError(message)
    return found


def _moved(node: Any) -> Any:
    """The node with its references pointed at the components."""
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _moved(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_moved(value) for value in node]
    return node


def _cloud_event() -> Document:
    """Attributes of CloudEvents 1.0 in binary mode, as headers of the message."""
    return {
        "headers": {
            "type": "object",
            "description": "CloudEvents 1.0, binary mode: each value is UTF-8 text.",
            "required": ["ce_id", "ce_source", "ce_specversion", "ce_type"],
            "properties": {
                "ce_id": {
                    **_TEXT,
                    "description": "The event_id of an input; shard and seq of an output, as 3/17.",
                },
                "ce_source": {**_TEXT, "description": "The service that sends it."},
                "ce_specversion": {**_TEXT, "const": "1.0"},
                "ce_time": {
                    **_TEXT,
                    "format": "date-time",
                    "description": "RFC 3339; when the producer says it happened.",
                },
                "ce_type": {**_TEXT, "description": "Name and version: SignalIssued.v1."},
            },
        }
    }

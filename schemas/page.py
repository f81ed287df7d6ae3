"""The page about all events for people, which is kept as `ops/docs/events.md`.

Place in the flow: a pure function of the models; `coordinator schema --markdown` says it. A test
fails when the page is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.base import Event, InputEvent
from schemas.export import Document, event_schema, stem
from schemas.neighbours import CONSUMERS, TOPICS, Topic, events_of
from schemas.registry import EVENTS

__all__ = ["events_page"]

_HEAD = """# Events

Made by `coordinator schema --markdown`; the models in `schemas/` are the source. Times are UTC:
integer nanoseconds or RFC 3339 on input, integer nanoseconds on output. Decimals are strings.
Weights, returns and probabilities are fractions. A field with a default or without a value may be
left out; unknown fields are ignored.
"""


def events_page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *_neighbours(), *(line for topic in TOPICS for line in _topic(topic))])


def _neighbours() -> Iterator[str]:
    yield "## Who takes what\n"
    yield "| service | takes |"
    yield "| --- | --- |"
    for one in CONSUMERS:
        also = f"; also {one.also}" if one.also else ""
        everything = len(one.events) == len(events_of("decisions"))
        yield f"| {one.name} | {'everything' if everything else ', '.join(one.events)}{also} |"
    yield ""


def _topic(topic: Topic) -> Iterator[str]:
    yield f"## Topic `{topic.name}`\n"
    yield f"{topic.what} Keyed by {topic.key}.\n"
    yield "| event | version | origin | meaning |"
    yield "| --- | --- | --- | --- |"
    for name in events_of(topic.name):
        cls = EVENTS[name]
        origin = cls.origin.value if issubclass(cls, InputEvent) else "output"
        meaning = (cls.__doc__ or "").split("\n")[0]
        yield f"| [{name}](#{name.lower()}) | {cls.version} | {origin} | {_cell(meaning)} |"
    yield ""
    for name in events_of(topic.name):
        yield from _event(EVENTS[name])


def _event(cls: type[Event]) -> Iterator[str]:
    schema = event_schema(cls)
    yield f"### {cls.__name__}\n"
    yield f"{schema['description']} Schema: `{stem(cls)}.json`.\n"
    yield from _fields(schema, schema.get("$defs", {}))
    for name, part in sorted(schema.get("$defs", {}).items()):
        if "properties" in part:
            yield f"`{name}`: {part['description']}\n"
            yield from _fields(part, schema["$defs"])


def _fields(schema: Document, parts: Document) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = schema.get("required", ())
    for name, node in schema["properties"].items():
        default = "required" if name in required else _default(node)
        # A schema does not repeat what the part it refers to already says.
        part = parts.get(node.get("$ref", "").rsplit("/", maxsplit=1)[-1], {})
        meaning = node.get("description") or part.get("description", "")
        yield f"| `{name}` | {_type(node)} | {default} | {_cell(meaning)} |"
    yield ""


def _default(node: Document) -> str:
    value = node.get("default")
    if value is None:
        return ""
    if value == "":
        return "empty"
    if isinstance(value, dict | list):
        return "none" if not value else "see there"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(node: Any) -> str:
    """The node's type in a word or two."""
    if "$ref" in node:
        return f"`{node['$ref'].rsplit('/', maxsplit=1)[-1]}`"
    if "anyOf" in node:
        kinds = [_type(one) for one in node["anyOf"] if one.get("type") != "null"]
        return "time" if kinds == ["integer", "date-time"] else " or ".join(kinds)
    if "const" in node or "enum" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if "prefixItems" in node:
        return f"({', '.join(_type(one) for one in node['prefixItems'])})"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    return str(node.get("format") or node.get("type"))


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")

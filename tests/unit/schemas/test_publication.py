"""What is published is up to date, complete, and never breaks what was published before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas import registry
from schemas.asyncapi import asyncapi
from schemas.examples import EXAMPLES
from schemas.export import Document, event_schema, json_bytes, stem
from schemas.neighbours import CONSUMERS, PRODUCERS
from schemas.page import events_page
from schemas.publication import broken_promises, differences, documents, revised
from schemas.registry import EVENTS, OUTPUTS
from tests.unit.schemas.validator import violations

_ROOT = Path(schemas.__file__).parent
_FOLDER = _ROOT / "published"
_FILE = "SignalIssued.v1.json"


def _published() -> dict[str, bytes]:
    return {
        file.relative_to(_FOLDER).as_posix(): file.read_bytes()
        for file in sorted(_FOLDER.rglob("*.json"))
    }


def _edited(published: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The folder with another SignalIssued in it."""
    schema = json.loads(published[_FILE])
    schema["properties"].update(changes)
    return {**published, _FILE: json_bytes(schema)}


def test_every_schema_ever_published_can_still_be_read() -> None:
    assert broken_promises(_published()) == []


def test_the_published_files_are_up_to_date() -> None:
    assert differences(_published()) == []


def test_the_page_of_events_is_up_to_date() -> None:
    page = _ROOT.parent / "ops" / "docs" / "events.md"
    assert page.read_text(encoding="utf-8") == events_page(), "run `coordinator schema --markdown`"


def test_the_bytes_are_the_same_every_time_and_name_no_host() -> None:
    assert documents() == documents()
    for data in documents().values():
        text = data.decode().replace('"https://json-schema.org/draft/2020-12/schema"', "")
        assert "://" not in text


def test_a_promise_of_the_present_or_of_the_past_that_breaks_is_named() -> None:
    narrower = {"type": "array", "items": {}}
    for file in (_FILE, "history/SignalIssued.v1.1.json"):
        old = json.loads(_published()[_FILE])
        old["properties"]["source"] = narrower
        [problem] = broken_promises({**_published(), file: json_bytes(old)})
        assert problem == f"{file}: event.source: type array became string"


def test_a_published_event_version_may_not_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken_promises({"Forgotten.v1.json": b"{}"}) == [
        "Forgotten.v1.json: the event version vanished"
    ]
    assert broken_promises({"SignalIssued.v2.json": b"{}"}) == [
        "SignalIssued.v2.json: the event version vanished"
    ]
    monkeypatch.setattr(registry.EVENTS["SignalIssued"], "version", 2)
    unread = _published()
    assert f"{_FILE}: no upcast from version 1 to 2" in broken_promises(unread)
    monkeypatch.setitem(registry.UPCASTS, ("SignalIssued", 1), dict)
    assert broken_promises(unread) == []
    del unread[_FILE]
    assert f"{_FILE}: an older version's schema is missing" in broken_promises(unread)


def test_a_stale_missing_foreign_or_broken_file_is_named() -> None:
    published = _published()
    assert differences(_edited(published, source={"type": "string"}))[0].startswith(
        f"{_FILE}: line"
    )
    assert differences({k: v for k, v in published.items() if k != _FILE}) == [f"{_FILE}: missing"]
    assert differences({**published, "notes.txt": b""}) == ["notes.txt: not one of ours"]
    assert broken_promises({**published, _FILE: b"<<<<<<<"}) == [f"{_FILE}: not JSON any more"]


def test_a_replaced_schema_is_kept_as_history_and_one_with_other_words_is_not() -> None:
    published = _published()
    assert revised(published) == {
        name: data for name, data in published.items() if "history/" not in name
    }
    other = _edited(published, retired={"type": "string"})
    known = sum(name.startswith("history/SignalIssued.v1.") for name in published)
    first = revised(other)
    assert first[f"history/SignalIssued.v1.{known + 1}.json"] == other[_FILE]
    later = {**published, **first, _FILE: other[_FILE]}
    assert f"history/SignalIssued.v1.{known + 2}.json" in revised(later)
    source = json.loads(published[_FILE])["properties"]["source"]
    reworded = _edited(published, source={**source, "description": "Other words.", "default": "x"})
    assert not any(name.startswith("history/") for name in revised(reworded))


def test_a_removed_field_may_not_come_back_as_another_type() -> None:
    # Each step alone is compatible; the first revision and the last are not.
    past = json.loads(_published()[_FILE])
    past["properties"]["strategy"] = {"type": "integer"}
    past["required"].remove("strategy")
    history = {"history/SignalIssued.v1.1.json": json_bytes(past)}
    found = broken_promises({**_published(), **history})
    assert any("strategy: type integer became string" in problem for problem in found)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_field_says_what_it_means(name: str) -> None:
    schema = event_schema(EVENTS[name])
    parts = {name: schema, **schema.get("$defs", {})}
    for part, definition in parts.items():
        assert definition["description"], part
        for field, node in definition.get("properties", {}).items():
            target = parts.get(node.get("$ref", "").rsplit("/", maxsplit=1)[-1], {})
            assert node.get("description") or target.get("description"), f"{part}.{field}"


def test_every_schema_names_itself_its_version_topic_and_origin() -> None:
    for cls in EVENTS.values():
        schema = event_schema(cls)
        assert schema["$id"] == f"{stem(cls)}.json"
        assert schema["title"] == cls.__name__
        assert schema["version"] == cls.version
        assert schema["x-topic"] == cls.topic
        origin = getattr(cls, "origin", None)
        assert schema["x-origin"] == (origin.value if origin else "output")


_DOCUMENT = asyncapi()


@pytest.mark.parametrize("message", sorted(_DOCUMENT["components"]["messages"]))
def test_every_message_has_an_example_that_fits_its_payload(message: str) -> None:
    found = _DOCUMENT["components"]["messages"][message]
    assert found["examples"]
    for example in found["examples"]:
        assert violations(example["payload"], found["payload"], _DOCUMENT) == []


def test_a_wrong_example_would_not_fit() -> None:
    payload = _DOCUMENT["components"]["messages"]["OrderFilled.v1"]["payload"]
    example = _DOCUMENT["components"]["messages"]["OrderFilled.v1"]["examples"][0]["payload"]
    for field, value in (("price", 1.5), ("type", "OrderRejected"), ("quantity", "many")):
        assert violations({**example, field: value}, payload, _DOCUMENT) != []


def test_every_reference_of_the_document_leads_somewhere() -> None:
    def targets(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [one for value in node.values() for one in targets(value)]
        if isinstance(node, list):
            return [one for value in node for one in targets(value)]
        return []

    for target in targets(_DOCUMENT):
        place: Document = _DOCUMENT
        for part in target.removeprefix("#/").split("/"):
            place = place[part]


def test_every_event_has_an_example_a_sender_and_a_reader() -> None:
    assert set(EXAMPLES) == set(EVENTS)
    sent = {name for producer in PRODUCERS for name in producer.events}
    assert sent == {*EVENTS, "RoutedInput"} - set(OUTPUTS)
    assert {name for consumer in CONSUMERS for name in consumer.events} == set(OUTPUTS)
    for producer in PRODUCERS:
        for name in producer.events:
            assert name == "RoutedInput" or EVENTS[name].topic == producer.topic


def test_two_parts_of_one_name_cannot_be_published(monkeypatch: pytest.MonkeyPatch) -> None:
    class Costs(schemas.base.InputEvent):
        """Not what a portfolio's costs are."""

        topic = "market"
        origin = schemas.base.Origin.EXOGENOUS

    planted = {**registry.EVENTS, "Costs": Costs}
    monkeypatch.setattr("schemas.asyncapi.EVENTS", planted)
    monkeypatch.setattr("schemas.asyncapi.EXAMPLES", {**EXAMPLES, "Costs": EXAMPLES["ClockTicked"]})
    with pytest.raises(ValueError, match="two different schemas are called Costs"):
        asyncapi()

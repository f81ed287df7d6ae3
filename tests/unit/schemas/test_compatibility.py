"""The comparison catches every kind of change that makes old events unreadable, and no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from schemas.compatibility import compare
from schemas.export import Document, event_schema, reader_schema
from schemas.registry import EVENTS

_OLD: Document = {
    "type": "object",
    "required": ["id", "part"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^a"},
        "note": {"type": "string"},
        "side": {"enum": ["buy", "hold", "sell"], "type": "string"},
        "kind": {"const": "bar", "type": "string"},
        "count": {"type": "integer", "minimum": 0, "maximum": 10},
        "rate": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
        "money": {"type": "string", "x-minimum": "0", "x-maximum": "100"},
        "when": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        "part": {"$ref": "#/$defs/Part"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "maxItems": 5},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "string"}, {"type": "number"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "$defs": {
        "Part": {
            "type": "object",
            "title": "Part",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer"},
                "unit": {"type": "string", "default": "lot"},
                "inner": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
            },
        }
    },
}

Change = Callable[[Document], Any]


def _of(field: str, **changes: Any) -> Change:
    return lambda schema: schema["properties"][field].update(changes)


def _without(field: str, key: str) -> Change:
    return lambda schema: schema["properties"][field].pop(key)


def _part(schema: Document) -> Document:
    found: Document = schema["$defs"]["Part"]
    return found


_BREAKING: dict[str, tuple[Change, str]] = {
    "new required field": (lambda s: s["required"].append("fresh"), "fresh: required, and new"),
    "optional made required": (lambda s: s["required"].append("note"), "note: required"),
    "number became integer": (_of("rate", type="integer"), "type number became integer"),
    "string became integer": (_of("note", type="integer"), "type string became integer"),
    "enum value removed": (_of("side", enum=["buy", "sell"]), "values removed: ['hold']"),
    "free text became enum": (_of("note", enum=["a"]), "any value became one of"),
    "const changed": (_of("kind", const="quote"), "values removed: ['bar']"),
    "minimum raised": (_of("count", minimum=1), "minimum was 0, now 1"),
    "minimum made exclusive": (_of("count", exclusiveMinimum=0), "count: minimum"),
    "maximum lowered": (_of("count", maximum=9), "maximum was 10, now 9"),
    "maximum added": (_of("rate", maximum=1e9), "maximum was not set"),
    "exclusive minimum raised": (_of("rate", exclusiveMinimum=0.1), "rate: minimum"),
    "multiple changed": (_of("rate", multipleOf=1), "multipleOf was 0.5, now 1"),
    "decimal minimum raised": (_of("money", **{"x-minimum": "0.01"}), "x-minimum was 0"),
    "decimal maximum lowered": (_of("money", **{"x-maximum": "99"}), "x-maximum was 100"),
    "length shortened": (_of("id", maxLength=9), "maxLength was 10, now 9"),
    "length demanded": (_of("id", minLength=2), "minLength was 1, now 2"),
    "length bounded": (_of("note", maxLength=5), "maxLength was not set"),
    "pattern changed": (_of("id", pattern="^ab"), "pattern was ^a"),
    "pattern added": (_of("note", pattern="^ab"), "pattern was not set"),
    "named pattern added": (_of("note", **{"x-pattern": "^ab"}), "x-pattern was not set"),
    "format added": (_of("note", format="date-time"), "format was not set"),
    "union member removed": (
        lambda s: s["properties"]["when"]["anyOf"].pop(1),
        "string is no alternative",
    ),
    "null refused": (lambda s: s["properties"]["when"]["anyOf"].pop(2), "null is no alternative"),
    "union member narrowed": (
        lambda s: s["properties"]["when"]["anyOf"][0].update(minimum=0),
        "when: minimum was not set",
    ),
    "definition's type narrowed": (
        lambda s: _part(s)["properties"]["size"].update(minimum=1),
        "part.size: minimum",
    ),
    "definition's field required": (
        lambda s: _part(s)["required"].append("unit"),
        "list[].unit: required",
    ),
    "other definition": (
        lambda s: (
            s["properties"]["part"].update({"$ref": "#/$defs/Other"})
            or s["$defs"].update(Other={"type": "string"})
        ),
        "part: type object became string",
    ),
    "items narrowed": (_of("list", items={"type": "string"}), "list[]: type object became string"),
    "fewer items": (_of("list", maxItems=4), "maxItems was 5, now 4"),
    "items demanded": (_of("list", minItems=1), "minItems was not set"),
    "unique items": (_of("list", uniqueItems=True), "uniqueItems was not set"),
    "tuple's place narrowed": (
        _of("pair", prefixItems=[{"type": "string"}, {"type": "integer"}]),
        "pair[1]: type number became integer",
    ),
    "tuple grew": (_of("pair", minItems=3, maxItems=3), "minItems was 2, now 3"),
    "map's values narrowed": (
        _of("map", additionalProperties={"type": "integer", "minimum": 0}),
        "map.*: minimum",
    ),
    "map closed": (_of("map", additionalProperties=False), "map.*: nothing is accepted"),
    "map's name narrowed": (
        _of("map", properties={"a": {"type": "string"}}),
        "map.a: type integer became string",
    ),
    "object closed": (lambda s: s.update(additionalProperties=False), "event.*: nothing"),
    "object closed over a removed field": (
        lambda s: s["properties"].pop("note") and s.update(additionalProperties=False),
        "event.note: nothing is accepted",
    ),
    "keyword nobody knows": (_of("note", contentEncoding="base64"), "cannot be compared"),
}

_COMPATIBLE: dict[str, Change] = {
    "nothing": lambda _: None,
    "optional field removed": lambda s: s["properties"].pop("note"),
    "optional field added": lambda s: s["properties"].update(fresh={"type": "string"}),
    "required field removed": lambda s: s["properties"].pop("part") and s["required"].pop(),
    "required made optional": lambda s: s["required"].remove("part"),
    "integer became number": _of("count", type="number"),
    "enum value added": _of("side", enum=["buy", "sell", "hold", "short"]),
    "enum opened": _without("side", "enum"),
    "const became enum": lambda s: s["properties"].update(kind={"enum": ["bar", "tick"]}),
    "bounds widened": _of("count", minimum=-1, maximum=11),
    "bounds dropped": lambda s: s["properties"].update(count={"type": "integer"}),
    "exclusive became inclusive": lambda s: s["properties"].update(
        rate={"type": "number", "minimum": 0, "multipleOf": 0.5}
    ),
    "decimal bounds widened": _of("money", **{"x-minimum": "-1", "x-maximum": "100.5"}),
    "length widened": _of("id", minLength=0, maxLength=11),
    "pattern dropped": _without("id", "pattern"),
    "union member added": lambda s: s["properties"]["when"]["anyOf"].append({"type": "boolean"}),
    "one type became a union": lambda s: s["properties"].update(
        note={"anyOf": [{"type": "null"}, {"type": "string"}]}
    ),
    "anything accepted": lambda s: s["properties"].update(note={}),
    "reference written out": lambda s: s["properties"].update(part=copy.deepcopy(_part(s))),
    "more items": _of("list", maxItems=6),
    "map opened": _without("map", "additionalProperties"),
    "words changed": _of("note", description="Something else.", title="Note"),
}


def _changed(change: Change) -> Document:
    new = copy.deepcopy(_OLD)
    change(new)
    return new


@pytest.mark.parametrize("kind", _BREAKING)
def test_a_breaking_change_is_caught_and_named(kind: str) -> None:
    change, words = _BREAKING[kind]
    problems = compare(_OLD, _changed(change))
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("kind", _COMPATIBLE)
def test_a_compatible_change_passes(kind: str) -> None:
    assert compare(_OLD, _changed(_COMPATIBLE[kind])) == []


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_we_read_what_we_write(name: str) -> None:
    assert compare(event_schema(EVENTS[name]), reader_schema(EVENTS[name])) == []


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_no_field_of_a_real_event_may_become_required_or_a_number(name: str) -> None:
    old = event_schema(EVENTS[name])
    for field in old["properties"]:
        new = copy.deepcopy(old)
        new["properties"][field] = {"type": "boolean", "const": "never"}
        assert compare(old, new) != [], field
        new = copy.deepcopy(old)
        new["required"] = sorted({*old["required"], field})
        assert (compare(old, new) == []) == (field in old["required"])

"""JSON Schema of every event version, as neighbours who do not speak Python read it.

Place in the flow: pure functions of the models; `coordinator schema` writes what they give. Inputs
are described as we read them, outputs as we write them. Nothing here reads a file, and no address
of a host stands in what it makes, except the name of the dialect.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from schemas.base import Event, InputEvent

__all__ = ["Document", "event_schema", "json_bytes", "reader_schema", "stem"]

Document = dict[str, Any]
"""A JSON object; what it holds is for other programs to say."""


class _Published(GenerateJsonSchema):
    """pydantic's own schema, less its titles of fields, true to canonical bytes."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """A title would only say the field's name again."""
        del schema
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - the base class calls it so
    ) -> bool:
        """Canonical bytes hold defaults too, but leave out what is None."""
        if self.mode == "validation":
            return super().field_is_required(field, total)
        inner = field["schema"]
        return not (inner["type"] == "default" and inner.get("default", ...) is None)


def stem(cls: type[Event]) -> str:
    """Name of an event version, of its file and of its CloudEvents type: SignalIssued.v1."""
    return f"{cls.__name__}.v{cls.version}"


def event_schema(cls: type[Event]) -> Document:
    """What is published of an event: what a producer may write, or a reader may expect."""
    return _schema(cls, "validation" if issubclass(cls, InputEvent) else "serialization")


def reader_schema(cls: type[Event]) -> Document:
    """The shape that we read, for inputs and outputs alike."""
    return _schema(cls, "validation")


def json_bytes(document: Document) -> bytes:
    """The document's one spelling: sorted, indented, with an end of line."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _schema(cls: type[Event], mode: JsonSchemaMode) -> Document:
    origin = cls.origin.value if issubclass(cls, InputEvent) else "output"
    return {
        **cls.model_json_schema(mode=mode, schema_generator=_Published),
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"{stem(cls)}.json",
        "version": cls.version,
        "x-topic": cls.topic,
        "x-origin": origin,
    }

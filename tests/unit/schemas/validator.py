"""Just enough of a JSON Schema validator to hold what we write against what we publish.

Written against the standard and not against our models, so that a mistake in the export shows.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from schemas.export import Document

__all__ = ["violations"]

_TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


def violations(value: Any, node: Document, root: Document, path: str = "$") -> list[str]:
    """Where value does not fit the schema; references are looked up in root."""
    found = []
    if "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found += violations(value, target, root, path)
    if "anyOf" in node and all(violations(value, one, root, path) for one in node["anyOf"]):
        found.append(f"{path}: {value!r} fits no alternative")
    for one in node.get("allOf", ()):
        found += violations(value, one, root, path)
    if "type" in node:
        fits = isinstance(value, _TYPES[node["type"]])
        if not fits or (isinstance(value, bool) and node["type"] != "boolean"):
            return [*found, f"{path}: {value!r} is no {node['type']}"]
    if "const" in node and value != node["const"]:
        found.append(f"{path}: {value!r} is not {node['const']!r}")
    if "enum" in node and value not in node["enum"]:
        found.append(f"{path}: {value!r} is none of {node['enum']}")
    if isinstance(value, str):
        found += _text(value, node, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found += _number(value, node, path)
    elif isinstance(value, list):
        found += _list(value, node, root, path)
    elif isinstance(value, dict):
        found += _object(value, node, root, path)
    return found


def _text(value: str, node: Document, path: str) -> list[str]:
    found = []
    if not node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value)):
        found.append(f"{path}: length {len(value)}")
    if "pattern" in node and re.search(node["pattern"], value) is None:
        found.append(f"{path}: {value!r} does not match")
    if (
        not found
        and "x-minimum" in node
        and not (Decimal(node["x-minimum"]) <= Decimal(value) <= Decimal(node["x-maximum"]))
    ):
        found.append(f"{path}: {value!r} out of bounds")
    return found


def _number(value: float, node: Document, path: str) -> list[str]:
    fits = (
        node.get("minimum", value) <= value <= node.get("maximum", value)
        and ("exclusiveMinimum" not in node or node["exclusiveMinimum"] < value)
        and ("exclusiveMaximum" not in node or value < node["exclusiveMaximum"])
    )
    return [] if fits else [f"{path}: {value!r} out of bounds"]


def _list(value: list[Any], node: Document, root: Document, path: str) -> list[str]:
    found = []
    if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)):
        found.append(f"{path}: {len(value)} items")
    prefix = node.get("prefixItems", [])
    for at, one in enumerate(value):
        part = prefix[at] if at < len(prefix) else node.get("items", {})
        found += violations(one, part, root, f"{path}[{at}]")
    return found


def _object(value: Document, node: Document, root: Document, path: str) -> list[str]:
    found = [f"{path}.{name}: missing" for name in node.get("required", ()) if name not in value]
    for name, part in node.get("properties", {}).items():
        if name in value:
            found += violations(value[name], part, root, f"{path}.{name}")
    return found

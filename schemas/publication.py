"""What is published of the language, and whether it still keeps what was promised.

Place in the flow: between the models and the folder `schemas/published`, given as file names and
bytes; `coordinator schema` reads and writes the files. A published event version may change only so
that everything ever written under it can still be read (BACKWARD_TRANSITIVE), and may not vanish:
revisions that were replaced stay in `history/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.asyncapi import asyncapi
from schemas.compatibility import compare
from schemas.export import event_schema, json_bytes, reader_schema, stem
from schemas.registry import EVENTS, UPCASTS

__all__ = ["broken_promises", "differences", "documents", "revised"]

Files = Mapping[str, bytes]

_CURRENT = re.compile(r"([A-Za-z]+)\.v([1-9][0-9]*)\.json")
_PAST = re.compile(r"history/([A-Za-z]+)\.v([1-9][0-9]*)\.([1-9][0-9]*)\.json")


def documents() -> Files:
    """File name to bytes of everything that the present models publish, sorted by name."""
    found = {f"{stem(cls)}.json": json_bytes(event_schema(cls)) for cls in EVENTS.values()}
    found["asyncapi.json"] = json_bytes(asyncapi())
    return MappingProxyType(dict(sorted(found.items())))


def broken_promises(published: Files) -> list[str]:
    """What was published, now or in the past, and does not hold any more; one line each."""
    found = []
    for file in sorted(published):
        match = _CURRENT.fullmatch(file) or _PAST.fullmatch(file)
        if match is not None:
            found += _broken(file, match[1], int(match[2]), published[file])
    for name, cls in EVENTS.items():
        found += [
            f"{name}.v{version}.json: an older version's schema is missing"
            for version in range(1, cls.version)
            if f"{name}.v{version}.json" not in published
        ]
    return found


def differences(published: Files) -> list[str]:
    """In which files the folder is out of date; one line each."""
    wanted = documents()
    found = []
    for file in sorted({*wanted, *published}):
        if file not in published:
            found.append(f"{file}: missing")
        elif file in wanted:
            where = _first_difference(published[file], wanted[file])
            found += [f"{file}: {where}"] if where else []
        elif not (_CURRENT.fullmatch(file) or _PAST.fullmatch(file)):
            found.append(f"{file}: not one of ours")
    return found


def revised(published: Files) -> Files:
    """The files to write: the present documents, and what they replace as history.

    A revision that differs in words or defaults alone is not kept: it promised the same, because
    canonical bytes hold what was the default when they were written.
    """
    found = dict(documents())
    for file in sorted(published):
        match = _CURRENT.fullmatch(file)
        if match is None or file not in found or not _changes(published[file], found[file]):
            continue
        past = filter(None, map(_PAST.fullmatch, published))
        last = max((int(one[3]) for one in past if one.group(1, 2) == match.group(1, 2)), default=0)
        found[f"history/{match[1]}.v{match[2]}.{last + 1}.json"] = published[file]
    return MappingProxyType(dict(sorted(found.items())))


def _broken(file: str, name: str, version: int, schema: bytes) -> list[str]:
    """Promises of one published schema that the present models do not keep."""
    cls = EVENTS.get(name)
    if cls is None or version > cls.version:
        return [f"{file}: the event version vanished"]
    if version < cls.version:
        return [
            f"{file}: no upcast from version {step} to {step + 1}"
            for step in range(version, cls.version)
            if (name, step) not in UPCASTS
        ]
    try:
        old = json.loads(schema)
    except ValueError:
        return [f"{file}: not JSON any more"]
    return [f"{file}: {problem}" for problem in compare(old, reader_schema(cls))]


def _changes(before: bytes, after: bytes) -> bool:
    """Whether more than words and defaults changed."""
    return bool(_wordless(json.loads(before)) != _wordless(json.loads(after)))


def _wordless(node: Any, *, names: bool = False) -> Any:
    """The node without what reading does not depend on. names: its keys are names of fields."""
    if isinstance(node, dict):
        return {
            key: _wordless(value, names=not names and key in ("properties", "$defs"))
            for key, value in node.items()
            if names or key not in ("default", "description", "title")
        }
    if isinstance(node, list):
        return [_wordless(value) for value in node]
    return node


def _first_difference(before: bytes, after: bytes) -> str:
    """The first line in which two texts differ, or nothing."""
    if before == after:
        return ""
    old, new = before.decode(errors="replace").split("\n"), after.decode().split("\n")
    for number, (was, now) in enumerate(zip(old, new, strict=False), start=1):
        if was != now:
            return f"line {number} is {was.strip()[:80]!r}, should be {now.strip()[:80]!r}"
    return f"has {len(old)} lines, should have {len(new)}"

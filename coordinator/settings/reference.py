"""Every setting with its type, default and meaning, as data and as a page for people.

Place in the flow: read by ops/docs/settings.md, which a test holds to it, and by a command's help.
Must never show a value that somebody set: defaults only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from coordinator.settings.load import NESTING, PREFIX
from coordinator.settings.sections import Section, Settings

__all__ = ["Setting", "reference", "reference_page"]

_WORDS: dict[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret",
    dict: "table",
    list: "list",
    tuple: "list",
}

_HEAD = """\
# Settings

A setting can be given in three places; the first that gives it wins: a flag of the command, the
environment, a TOML file (`--config FILE`, or `COORDINATOR_CONFIG`). What nobody gives has its
default. A name that does not exist is an error, in every place, which names the nearest that does.

    # coordinator.toml
    [kafka]
    bootstrap = "broker-1:9092,broker-2:9092"
    security_protocol = "SASL_SSL"
    sasl_mechanism = "SCRAM-SHA-512"
    sasl_username = "coordinator"
    sasl_password_file = "/run/secrets/kafka-password"

    [kafka.producer]
    compression_type = "lz4"

The same in the environment: two underscores go one level down, tables are JSON or one level deeper.
An empty variable was not given.

    COORDINATOR_KAFKA__BOOTSTRAP=broker-1:9092,broker-2:9092
    COORDINATOR_KAFKA__PRODUCER='{"compression_type": "lz4"}'
    COORDINATOR_KAFKA__PRODUCER__COMPRESSION_TYPE=lz4

A secret is given itself or as the path of a file that holds it, not both. The file is read at the
start; one line end at its end does not count. Secrets are hidden wherever settings or logs are
shown.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. name: dotted, as in the file; default: as it is written in the file, or ''."""

    name: str
    variable: str
    kind: str
    default: str
    meaning: str


def reference() -> tuple[Setting, ...]:
    """Every setting, in the order of the groups."""
    return tuple(_settings(Settings, ()))


def reference_page() -> str:
    """The page of all settings, in Markdown: one table a group."""
    lines = [_HEAD]
    groups: dict[str, list[Setting]] = {}
    for setting in reference():
        groups.setdefault(setting.name.partition(".")[0], []).append(setting)
    for group, settings in groups.items():
        section = Settings.model_fields[group].annotation
        lines += [f"## {group}", "", f"{_first_line(section)}", ""]
        lines += ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{one.name}` | {one.kind} | {f'`{one.default}`' if one.default else ''} "
            f"| {one.meaning} |"
            for one in settings
        ]
        lines.append("")
    return "\n".join(lines)


def _first_line(section: object) -> str:
    return (getattr(section, "__doc__", None) or "").strip().partition("\n")[0]


def _settings(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Setting]:
    for name, info in model.model_fields.items():
        here = (*path, name)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _settings(kind, here)
        else:
            yield Setting(
                name=".".join(here),
                variable=PREFIX + NESTING.join(here).upper(),
                kind=_kind(kind),
                default=_default(info),
                meaning=info.description or "",
            )


def _kind(annotation: object) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if origin is Union or origin is UnionType:
        return ", ".join(_kind(part) for part in get_args(annotation) if part is not NoneType)
    return _WORDS[origin or annotation]


def _default(info: FieldInfo) -> str:
    """The default as TOML and JSON write it; none where it is made at the start or absent."""
    if info.default is None or info.default is PydanticUndefined:
        return "{}" if info.default_factory is dict else ""
    return json.dumps(info.default)

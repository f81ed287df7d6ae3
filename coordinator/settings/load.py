"""Merge the layers of settings: flag over environment over TOML file over default.

Place in the flow: called once, by a command. Every name that is given must be known, in every
layer: a misspelt setting that silently does nothing is found in an incident. Must never echo a
value, which may be a secret.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from coordinator.settings.errors import SettingsError
from coordinator.settings.sections import Section, Settings

__all__ = ["PREFIX", "known_names", "load_settings"]

PREFIX = "COORDINATOR_"
NESTING = "__"
CONFIG = f"{PREFIX}CONFIG"

# What Kubernetes puts into the environment for a service called coordinator: nobody's settings.
_SERVICE_LINK = re.compile(
    r"(?:[A-Z0-9]+_)*?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_LINK_VALUE = re.compile(r"(?:tcp|udp|sctp)://")

Tree = dict[str, Any]


@dataclass(slots=True)
class _Layers:
    """What was given so far. origins: the dotted name of each setting, to who gave it."""

    values: Tree = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def put(self, path: tuple[str, ...], value: object, origin: str) -> None:
        """A setting of this layer; what a lower layer said of it, or of its file, is forgotten."""
        *groups, name = path
        place = self.values
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = value
        self.origins[".".join(path)] = origin
        partner = name.removesuffix("_file") if name.endswith("_file") else f"{name}_file"
        if self.origins.get(".".join((*groups, partner)), origin) != origin:
            place.pop(partner, None)


def load_settings(config: Path | None = None, **flags: object) -> Settings:
    """The settings of this process.

    config: the TOML file; without it, the one that COORDINATOR_CONFIG names, if any. flags: groups
    (`kafka={"bootstrap": ...}`) or single settings (`kafka__bootstrap=...`); None is not given.
    Raises SettingsError.
    """
    layers = _Layers()
    named = config if config is not None else os.environ.get(CONFIG)
    if named:
        for path, value in _settings(_read_toml(Path(named)), f"in {named}"):
            layers.put(path, value, f"in {named}")
    for path, value, variable in _from_environment():
        layers.put(path, value, f"in the environment variable {variable}")
    for path, value in _from_flags(flags):
        layers.put(path, value, "as a flag")
    try:
        return Settings(**layers.values)
    except ValidationError as error:
        # From None: the library's error holds the values, and some are secrets.
        raise SettingsError("; ".join(_reasons(error, layers.origins))) from None


def known_names(model: type[BaseModel] = Settings) -> tuple[str, ...]:
    """The dotted name of every setting, in the order of their models."""
    return tuple(".".join(path) for path in _paths(model))


def _paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        if section := _section(info.annotation):
            yield from ((name, *path) for path in _paths(section))
        else:
            yield (name,)


def _section(annotation: object) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _read_toml(path: Path) -> Tree:
    try:
        with path.expanduser().open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        where = re.search(r"\(at .*\)", str(error))
        raise SettingsError(
            f"settings file {path} is not TOML {where.group() if where else ''}".rstrip()
        ) from None  # The parser's message quotes the line, which may hold a secret.


def _from_flags(flags: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each setting of the flags: `kafka__bootstrap` is kafka's bootstrap; None was not given."""
    for name, value in flags.items():
        *groups, last = name.split(NESTING)
        tree = {last: value}
        for group in reversed(groups):
            tree = {group: tree}
        yield from _settings(tree, "as a flag")


def _settings(
    tree: Mapping[str, Any],
    origin: str,
    model: type[BaseModel] = Settings,
    path: tuple[str, ...] = (),
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each setting in a tree, by its path. Raises SettingsError for a name that does not exist."""
    for name, value in tree.items():
        here = (*path, name)
        info = model.model_fields.get(name)
        if info is None:
            raise _unknown(".".join(here), origin, known_names())
        section = _section(info.annotation)
        if section is None:
            if value is not None:
                yield here, value
        elif isinstance(value, Section):
            yield from _settings(value.model_dump(exclude_unset=True), origin, section, here)
        elif isinstance(value, dict):
            yield from _settings(value, origin, section, here)
        else:
            raise SettingsError(f"{'.'.join(here)} {origin} is one value; it is a group of them")


def _from_environment() -> Iterator[tuple[tuple[str, ...], object, str]]:
    """Each setting of the environment: (path, value, variable). An empty one was not given."""
    # A group before what is inside it, so that the narrower name wins: KAFKA before KAFKA__PREFIX.
    for variable in sorted(os.environ, key=lambda name: (name.count(NESTING), name)):
        text = os.environ[variable]
        if not variable.startswith(PREFIX) or variable == CONFIG or not text:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split(NESTING))
        if not _exists(path):
            if _is_service_link(variable, text):
                continue
            names = (
                PREFIX + name.replace(".", NESTING).upper() for name in ("config", *known_names())
            )
            raise _unknown(variable, "in the environment", tuple(names))
        annotation = _annotation(path)
        if section := _section(annotation):
            group = _parsed(text, variable)
            if not isinstance(group, dict):
                raise SettingsError(f"{variable} is a group of settings; give a JSON object")
            origin = f"in the environment variable {variable}"
            found = _settings(group, origin, section, path)
            yield from ((inner, value, variable) for inner, value in found)
        elif annotation is None:
            yield path, _lenient(text), variable
        else:
            yield path, _parsed(text, variable) if _is_complex(annotation) else text, variable


def _exists(path: tuple[str, ...]) -> bool:
    model: type[BaseModel] = Settings
    for number, name in enumerate(path, start=1):
        info = model.model_fields.get(name)
        if info is None:
            return False
        section = _section(info.annotation)
        if section is None:
            inside = path[number:]
            return not inside or (len(inside) == 1 and _is_complex(info.annotation))
        model = section
    return True


def _annotation(path: tuple[str, ...]) -> object:
    """The type of the setting or group at a path; None inside a mapping, which takes any."""
    model: type[BaseModel] = Settings
    annotation: object = Settings
    for number, name in enumerate(path, start=1):
        annotation = model.model_fields[name].annotation
        section = _section(annotation)
        if section is None:
            return annotation if number == len(path) else None
        model = section
    return annotation


def _is_complex(annotation: object) -> bool:
    """Whether a value of this type is written as JSON: a mapping or a sequence."""
    origin = get_origin(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return any(_is_complex(part) for part in get_args(annotation))
    kind = origin or annotation
    return isinstance(kind, type) and issubclass(kind, dict | list | tuple | set | frozenset)


def _is_service_link(variable: str, text: str) -> bool:
    rest = variable.removeprefix(PREFIX)
    if NESTING in rest:
        return False
    bare = rest == "PORT" or rest.endswith("_PORT")
    return bool(_SERVICE_LINK.fullmatch(rest)) or (bare and bool(_LINK_VALUE.match(text)))


def _parsed(text: str, variable: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        # From None: the parser's error holds the text.
        raise SettingsError(f"{variable} in the environment is not JSON") from None


def _lenient(text: str) -> object:
    """What JSON reads, or the text: 5 is a number and zstd is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unknown(name: str, origin: str, known: tuple[str, ...]) -> SettingsError:
    # Cutoff 0: the nearest name is told however far it is.
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return SettingsError(f"unknown setting {name} {origin}; the nearest known one is {near[0]}")


def _reasons(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        name = ".".join(str(part) for part in one["loc"])
        origin = next(
            (said for path, said in origins.items() if name == path or name.startswith(f"{path}.")),
            "",
        )
        message = one["msg"].removeprefix("Value error, ")
        yield f"setting {name} {origin}".rstrip() + f": {message[:1].lower()}{message[1:]}"

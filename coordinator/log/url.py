"""What stands behind --log: the path of a file or folder, or the URL of a log in Kafka.

Place in the flow: parsed first, by `open` and by commands that must not write over what they read.
Opens nothing and never repeats a password.

    runs/day.sqlite, archive/                      a SQLite log, a folder of segments
    kafka://HOST:PORT[,HOST:PORT]/[PREFIX][?archive=DIR]
    kafka:[PREFIX][?archive=DIR]                   brokers, and prefix if none, from the settings
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from coordinator.log.errors import NotALog

__all__ = ["LOG_HELP", "KafkaPlace", "local_paths", "name_of", "parse_log"]

LOG_HELP = (
    "SQLite file, folder of segments, kafka:[PREFIX], or kafka://HOST:PORT/[PREFIX]; [?archive=DIR]"
)
_SCHEME = "kafka:"
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,100}")
_PORT_MAX = 65_535
_SHAPE = (
    "write kafka://HOST:PORT[,HOST:PORT]/[PREFIX][?archive=DIR], or kafka:[PREFIX] for the brokers "
    "of the settings"
)


@dataclass(frozen=True, slots=True)
class KafkaPlace:
    """A log in Kafka. bootstrap, prefix None: as the settings say. archive: what topics lost."""

    bootstrap: str | None
    prefix: str | None
    archive: Path | None


def parse_log(log: str | Path) -> Path | KafkaPlace:
    """Where a log stands. Raises NotALog, and says what to write instead."""
    if isinstance(log, Path):
        return log
    if not log.lower().startswith(_SCHEME):
        if _OTHER_SCHEME.match(log):
            scheme = log.partition("://")[0]
            raise NotALog(
                f"{scheme}://...", f"{scheme} is no kind of log", remedy=f"give a path, or {_SHAPE}"
            )
        return Path(log)
    address, _, query = log[len(_SCHEME) :].partition("?")
    archive = _archive(query)
    if not address:
        return KafkaPlace(None, None, archive)
    if _PREFIX.fullmatch(address):
        return KafkaPlace(None, address, archive)
    if not address.startswith("//"):
        raise _refused("it lacks the two slashes before the broker")
    brokers, _, prefix = address[2:].partition("/")
    if not _PREFIX.fullmatch(prefix):
        raise _refused(f"the prefix {prefix!r} may hold at most 100 of A-Z a-z 0-9 . _ -")
    return KafkaPlace(_bootstrap(brokers), prefix, archive)


def local_paths(log: str | Path) -> tuple[Path, ...]:
    """Files and folders that reading a log reads: what nobody may write over meanwhile."""
    place = parse_log(log)
    if isinstance(place, Path):
        return (place,)
    return () if place.archive is None else (place.archive,)


def name_of(log: str | Path) -> str:
    """What to call a log in a title: a file's or folder's name, or the brokers and the prefix."""
    place = parse_log(log)
    if isinstance(place, Path):
        return place.name
    if place.bootstrap is None:
        return f"kafka:{place.prefix}" if place.prefix else "kafka"
    return f"kafka://{place.bootstrap}/{place.prefix}"


def _bootstrap(brokers: str) -> str:
    if "@" in brokers:
        raise _refused("names and passwords belong into the settings, not into a URL")
    if not brokers:
        raise _refused("it names no broker")
    for broker in brokers.split(","):
        match = _BROKER.fullmatch(broker)
        if match is None or not 0 < int(match[2]) <= _PORT_MAX:
            raise _refused(f"{broker!r} is no HOST:PORT")
    return brokers


def _archive(query: str) -> Path | None:
    if not query:
        return None
    found: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name != "archive":
            raise _refused(f"{name!r} is no option of it; there is archive=DIR")
        found.append(unquote(value))
    if len(found) > 1 or not found[0]:
        raise _refused("archive=DIR names one folder")
    return Path(found[0])


def _refused(what: str) -> NotALog:
    return NotALog("the URL", what, remedy=_SHAPE)

"""Open whatever log stands at a path or in Kafka, for reading.

Place in the flow: commands and replay take what the user gave as --log and get a reader; they never
ask what kind it is. Kafka's client is loaded only when a URL asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.log.combined import CombinedLog
from coordinator.log.errors import NotALog
from coordinator.log.integrity import ChainedReader
from coordinator.log.segments import SegmentLog
from coordinator.log.sqlite import SqliteLog
from coordinator.log.sqlite_file import MAGIC
from coordinator.log.url import KafkaPlace, parse_log

if TYPE_CHECKING:
    from coordinator.log.kafka.log import KafkaLog
    from coordinator.settings import KafkaSettings

__all__ = ["open_kafka", "open_live", "open_reader"]

_PARQUET = b"PAR1"


def open_reader(log: str | Path) -> ChainedReader:
    """A reader of the SQLite log or the folder of segments at a path, or of a log in Kafka.

    A URL as in `coordinator.log.url`; with ?archive=DIR, topics and archive are one log.
    Raises NotALog (missing, empty or foreign, and says what to give instead), LogUnreadable,
    LogUnavailable.
    """
    place = parse_log(log)
    if isinstance(place, Path):
        return _at_path(place)
    archive = None if place.archive is None else SegmentLog(place.archive)
    live = open_kafka(place)
    try:
        return CombinedLog(live, archive)
    except BaseException:
        live.close()
        raise


def open_live(log: str | Path) -> SqliteLog | SegmentLog | KafkaLog:
    """A log alone, without an archive: what `archive` seals from. Raises like open_reader."""
    place = parse_log(log)
    if isinstance(place, Path):
        return _at_path(place)
    if place.archive is not None:
        raise NotALog("the URL", "the log to seal has no ?archive", remedy="say with --to where")
    return open_kafka(place)


def open_kafka(place: KafkaPlace) -> KafkaLog:
    """The log in Kafka. Connects when it is first asked something."""
    from coordinator.log.kafka.log import KafkaLog  # noqa: PLC0415 - others need not pay for it

    return KafkaLog(_kafka_settings(place))


def _kafka_settings(place: KafkaPlace) -> KafkaSettings:
    """The settings, with what the URL says about the cluster."""
    from coordinator.settings import SettingsError, load_settings  # noqa: PLC0415 - as above

    try:
        return load_settings(kafka={"bootstrap": place.bootstrap, "prefix": place.prefix}).kafka
    except SettingsError as error:
        remedy = "mend the settings"
        raise NotALog("kafka:", f"the settings are wrong: {error}", remedy=remedy) from error


def _at_path(place: Path) -> SqliteLog | SegmentLog:
    try:
        if place.is_dir():
            return SegmentLog(place)
        with place.open("rb") as file:
            start = file.read(len(MAGIC))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NotALog(
            str(place), f"it cannot be opened ({reason})", remedy="check the path"
        ) from error
    if start == MAGIC:
        return SqliteLog(place, readonly=True)
    if start.startswith(_PARQUET):
        remedy = f"give its folder, {place.parent}"
        raise NotALog(str(place), "one Parquet file is only a part of a log", remedy=remedy)
    what = "it is empty" if not start else "it is neither SQLite nor a folder of segments"
    raise NotALog(str(place), what, remedy="check the path, or import your files first")

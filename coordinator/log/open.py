"""Open whatever log stands at a path, for reading.

Place in the flow: commands and replay take a path from the user and get a reader; they never ask
what kind it is.
"""

from __future__ import annotations

from pathlib import Path

from coordinator.log.errors import NotALog
from coordinator.log.integrity import ChainedReader
from coordinator.log.segments import SegmentLog
from coordinator.log.sqlite import SqliteLog
from coordinator.log.sqlite_file import MAGIC

__all__ = ["open_reader"]

_PARQUET = b"PAR1"


def open_reader(path: str | Path) -> ChainedReader:
    """A reader of the SQLite log or the folder of segments at `path`.

    Raises NotALog (missing, empty or foreign, and says what to give instead), LogUnreadable.
    """
    place = Path(path)
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

"""Why an import stops, as one tree.

    ImportFailed         a file, a setting or their combination cannot be used; nothing was written
    ├── InputsMissing    what was given is no whole import: a table or a setting is missing
    └── RowRefused       the first bad row of a strict import

Place in the flow: raised by every importer, shown by the command line. A single bad row of a
tolerant import is never an exception: it is a reject, counted and kept.
"""

from __future__ import annotations

__all__ = ["SHOWN_MAX", "ImportFailed", "InputsMissing", "RowRefused", "shortened"]

SHOWN_MAX = 200
"""Characters of each part of a message: it may hold what a stranger wrote."""
_REMEDY_MAX = 1_000  # it may list the keys of the language


def shortened(text: str, most: int = SHOWN_MAX) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= most else text[: most - 3] + "..."


class ImportFailed(Exception):
    """An import cannot go on. where: file or setting; what is wrong; remedy. Each is cut.

    remedy: empty where what is wrong says it already.
    """

    def __init__(self, where: str, what: str, *, remedy: str = "") -> None:
        where, what, remedy = shortened(where), shortened(what), shortened(remedy, _REMEDY_MAX)
        super().__init__(f"{where}: {what}; {remedy}" if remedy else f"{where}: {what}")
        self.where = where
        self.what = what
        self.remedy = remedy


class InputsMissing(ImportFailed):
    """An import is given too little to make a log of."""


class RowRefused(ImportFailed):
    """A row of a strict import is bad. row: 1-based, the header of a CSV file is row 1."""

    def __init__(self, file: str, row: int, reason: str) -> None:
        super().__init__(
            f"{file} row {row}", reason, remedy="mend the row, or import without --strict"
        )
        self.row = row

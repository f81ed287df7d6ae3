"""Why an import stops, as one tree.

    ImportFailed         a file, a setting or their combination cannot be used; nothing was written
    └── RowRefused       the first bad row of a strict import

Place in the flow: raised by every importer, shown by the command line. A single bad row of a
tolerant import is never an exception: it is a reject, counted and kept.
"""

from __future__ import annotations

__all__ = ["ImportFailed", "RowRefused"]


class ImportFailed(Exception):
    """An import cannot go on. where: file or setting; what is wrong; remedy."""

    def __init__(self, where: str, what: str, *, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.where = where
        self.what = what
        self.remedy = remedy


class RowRefused(ImportFailed):
    """A row of a strict import is bad. row: 1-based, the header of a CSV file is row 1."""

    def __init__(self, file: str, row: int, reason: str) -> None:
        super().__init__(
            f"{file} row {row}", reason, remedy="mend the row, or import without --strict"
        )
        self.row = row

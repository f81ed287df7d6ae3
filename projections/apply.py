"""What each entry of a log changes in the views: one entry in, rows out.

Place in the flow: after the truth (journal and decisions), before any sink. Pure: the same entry
gives the same rows, nothing is looked up and nothing is added to what was there, so a sink only
assigns a row when its `as_of` is newer. It must never decide anything, read a clock or know where
the rows are kept.
"""

from __future__ import annotations

from projections.inputs import rows_of_input
from projections.outputs import rows_of_output
from projections.rows import AsOf, Row
from schemas.entries import JournalEntry, OutputEntry

__all__ = ["apply"]


def apply(entry: OutputEntry | JournalEntry, as_of: AsOf) -> list[Row]:
    """The rows that entry gives, stamped with as_of; empty for an entry that no view shows.

    as_of: shard and seq of an output, shard and position of a journal entry.
    """
    if isinstance(entry, JournalEntry):
        return rows_of_input(entry, as_of)
    return rows_of_output(entry, as_of)

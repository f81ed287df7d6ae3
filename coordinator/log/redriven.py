"""Redriven: which dead letters were sent to their input topic again, noted in the log itself.

Place in the flow: beside `coordinator dlq`, in a topic of its own, in every kind of log. A note is
written behind the send that it tells of: what is noted was sent, what is not may have been. It must
never change a letter, nor be needed to read one.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic_core import from_json, to_json

from coordinator.core.ports import Append, LogReader

__all__ = ["REDRIVEN", "note_of", "sent_again"]

REDRIVEN = "redriven"
"""The topic of the notes: one partition, kept without end."""
_LETTERS = "letters"


def note_of(letters: Iterable[str]) -> Append:
    """The note that these letters, by what tells each from all others, were sent again."""
    return Append(REDRIVEN, 0, to_json({_LETTERS: list(letters)}))


def sent_again(reader: LogReader) -> dict[str, int]:
    """When each letter was sent again, ns UTC: the last time that is noted.

    Bytes that are no note of ours tell nothing: a letter is rather sent twice than not at all.
    """
    found: dict[str, int] = {}
    for record in reader.read(REDRIVEN, 0):
        for letter in _letters_in(record.payload):
            found[letter] = record.journal_time
    return found


def _letters_in(payload: bytes) -> list[str]:
    try:
        note = from_json(payload)
    except ValueError:
        return []
    letters = note.get(_LETTERS) if isinstance(note, dict) else None
    if not isinstance(letters, list):
        return []
    return [letter for letter in letters if isinstance(letter, str)]

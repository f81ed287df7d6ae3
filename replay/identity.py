"""Whether a log's decisions are this engine's own.

Place in the flow: before bytes are compared. Another build, other numeric libraries or another
processor may decide otherwise in the last bits, and that is no fault of the log.
"""

from __future__ import annotations

from coordinator.bootstrap import identity
from coordinator.core.ports import Record
from replay.errors import IdentityDifference, OtherEngine
from schemas.entries import decode_journal, opening
from schemas.journal import EngineStarted
from schemas.registry import SchemaError

__all__ = ["refuse_other_engine"]

_STARTED = opening(EngineStarted)
_FIELDS = ("build", "dependencies", "fingerprint")


def refuse_other_engine(record: Record) -> None:
    """Raise OtherEngine when the journal record says that another engine decides from here on."""
    if not record.payload.startswith(_STARTED):
        return
    try:
        event = decode_journal(record.payload).event
    except SchemaError:
        return  # the engine's to quarantine
    if isinstance(event, EngineStarted):
        theirs = (event.build, event.dependencies, event.fingerprint)
        parts = tuple(
            IdentityDifference(field, recorded, here)
            for field, recorded, here in zip(_FIELDS, theirs, identity(), strict=True)
            if recorded != here
        )
        if parts:
            raise OtherEngine(record.shard, record.position, parts)

"""Whether a log's decisions are this engine's own.

Place in the flow: before bytes are compared. Another build, other numeric libraries or another
processor may decide otherwise in the last bits, and that is no fault of the log.
"""

from __future__ import annotations

from coordinator.bootstrap import Identity, identity
from coordinator.core.ports import Record
from replay.errors import IdentityDifference, OtherEngine
from replay.ranges import started_in

__all__ = ["differs_from_ours", "refuse_other_engine"]

_FIELDS = ("build", "dependencies", "fingerprint")


def differs_from_ours(engine: Identity | None) -> tuple[IdentityDifference, ...]:
    """What of an engine's identity is not this process's; empty where nothing is, or is known."""
    if engine is None:
        return ()
    return tuple(
        IdentityDifference(field, recorded, here)
        for field, recorded, here in zip(_FIELDS, engine, identity(), strict=True)
        if recorded != here
    )


def refuse_other_engine(record: Record) -> None:
    """Raise OtherEngine when the journal record says that another engine decides from here on."""
    parts = differs_from_ours(started_in(record))
    if parts:
        raise OtherEngine(record.shard, record.position, parts)

"""Every way a replay can fail, as one tree.

    ReplayError
    ├── NothingToReplay   the log holds no journal, or no decisions where some are needed
    ├── OutputExists      the file to be written is there already, or is the one that is read
    ├── OtherEngine       the log was written by another build, libraries or numeric fingerprint
    ├── CannotFollow      a journal that no engine takes
    ├── EngineFailed      another environment's engine could not be run, or said nothing of use
    ├── TimeOutOfRange    a journal record's time is none that an event can have
    ├── CannotMeasure     what was asked about a portfolio has no answer: nothing is known of it
    ├── NoCheckpoint      asked to start from a checkpoint, and there is none that can be used
    ├── OtherProblem      a decision that this process, or this log, does not lead to
    ├── UnknownSource     a source that the log did not register before a decision
    └── NotVerified       an audit found that the log's decisions do not follow from its own journal

Place in the flow: commands turn these into exit codes; a difference that a check found is no error.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CannotFollow",
    "CannotMeasure",
    "EngineFailed",
    "IdentityDifference",
    "NoCheckpoint",
    "NotVerified",
    "NothingToReplay",
    "OtherEngine",
    "OtherProblem",
    "OutputExists",
    "ReplayError",
    "TimeOutOfRange",
    "UnknownSource",
]


class ReplayError(Exception):
    """A replay could not be done."""


class NothingToReplay(ReplayError):
    """The log lacks what a replay starts from."""


class OutputExists(ReplayError):
    """Writing would overwrite something."""


class TimeOutOfRange(ReplayError):
    """A journal record's time (ns UTC) lies before 1970 or after 2116: no clock said that."""

    def __init__(self, shard: int, position: int, time: int) -> None:
        super().__init__(
            f"journal/{shard} position {position}: journal time {time} is no time of an event "
            "(nanoseconds UTC from 1970 to 2116)"
        )
        self.shard = shard
        self.position = position


class NoCheckpoint(ReplayError):
    """No checkpoint of the shard can be used."""


class NotVerified(ReplayError):
    """What is recorded is not what its journal leads to: nothing further can be shown with it."""

    def __init__(self, shard: int, position: int) -> None:
        super().__init__(
            f"shard {shard} position {position}: the recorded decisions do not follow from the "
            "journal; coordinator replay --verify shows where they part"
        )
        self.shard = shard
        self.position = position


@dataclass(frozen=True, slots=True)
class IdentityDifference:
    """One part of the engine's identity. field: "build", "dependencies" or "fingerprint"."""

    field: str
    recorded: str
    here: str


class EngineFailed(ReplayError):
    """Another environment's engine could not verify anything."""


class CannotFollow(ReplayError):
    """A journal that no engine takes: it does not begin as one, or ends in a record that fails."""


class CannotMeasure(ReplayError):
    """A portfolio without a value, or an instrument without a name, a price or a rate."""


class OtherEngine(ReplayError):
    """The log's decisions are another engine's: equal hashes cannot be expected."""

    def __init__(self, shard: int, position: int, parts: tuple[IdentityDifference, ...]) -> None:
        named = ", ".join(f"{part.field} {part.recorded} (here {part.here})" for part in parts)
        super().__init__(
            f"shard {shard} position {position}: the log was written by another engine: {named}; "
            "run that build, or compare anyway with --this-engine"
        )
        self.shard = shard
        self.position = position
        self.parts = parts


class OtherProblem(ReplayError):
    """A decision's problem cannot be put together again, so nothing can be said of it.

    parts: in what its engine differs from this process's; empty where it does not.
    """

    def __init__(
        self, decision_id: str, found: str, parts: tuple[IdentityDifference, ...] = ()
    ) -> None:
        named = ", ".join(f"{part.field} {part.recorded} (here {part.here})" for part in parts)
        remedy = (
            f"it was decided by another engine: {named}; run that build"
            if parts
            else "its log does not lead to it; coordinator replay --verify shows where they part"
        )
        super().__init__(f"decision {decision_id!r}: {found}; {remedy}")
        self.decision_id = decision_id
        self.parts = parts


class UnknownSource(ReplayError):
    """A source that nobody registered before the decision. known: those that were heard in it."""

    def __init__(self, source: str, known: tuple[str, ...]) -> None:
        heard = ", ".join(known) or "nobody"
        super().__init__(f"no source {source!r} was registered by then; heard in it: {heard}")
        self.source = source
        self.known = known

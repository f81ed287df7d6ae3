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
    "OutputExists",
    "ReplayError",
    "TimeOutOfRange",
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

"""What can go wrong between a log and a projection, by what the projector does about it.

    ProjectionError
    ├── TargetAway       the database does not answer: try again, for ever, losing nothing
    ├── TargetBusy       another writer is active: wait as a standby
    ├── TargetChanged    a rebuild was swapped in, or the target lost what it held: open it anew
    └── ProjectionStopped  nobody but a person can help: say so and end
        ├── RowRefused       the database refuses a row; names the view and the database's reason
        ├── SchemaRefused    migrations that differ from the applied ones, or a newer database
        └── LogRefused       the log is not what was read before, or lacks what it must hold

Place in the flow: sinks translate the drivers' errors into these, at the edge.
"""

from __future__ import annotations

__all__ = [
    "LogRefused",
    "ProjectionError",
    "ProjectionStopped",
    "RowRefused",
    "SchemaRefused",
    "TargetAway",
    "TargetBusy",
    "TargetChanged",
]


class ProjectionError(Exception):
    """Base of all that a projection raises. target: "postgres" or "redis"."""

    def __init__(self, target: str, message: str) -> None:
        super().__init__(f"{target}: {message}")
        self.target = target


class TargetAway(ProjectionError):
    """The database does not answer, or said that it cannot now; the same batch may be tried again.

    Whether a batch that was under way is in it is not known: open again and read the checkpoint.
    """


class TargetBusy(ProjectionError):
    """Another instance writes this projection; this one may wait for its turn."""


class TargetChanged(ProjectionError):
    """The target is no longer what was opened; nothing of the batch was written. Open it again."""


class ProjectionStopped(ProjectionError):
    """Trying again would end the same way; nothing of the batch was written."""


class RowRefused(ProjectionStopped):
    """The database refuses a row for what it says. view: whose; reason: in the database's words."""

    def __init__(self, target: str, view: str, reason: str) -> None:
        super().__init__(target, f"a row of {view} is refused: {reason}; nothing was skipped")
        self.view = view
        self.reason = reason


class SchemaRefused(ProjectionStopped):
    """The target's schema is not one that this build may write."""


class LogRefused(ProjectionStopped):
    """The log cannot be followed from the checkpoint on."""

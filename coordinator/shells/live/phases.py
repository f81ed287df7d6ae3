"""Phases: where a shard is in its owner's hands, and what the owner is told.

Place in the flow: between an owner and the worker that watches it. It must never hold a rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["OwnerSettings", "Phase", "SealedByThisBuild"]


class Phase(StrEnum):
    """Where a shard is in its owner's hands."""

    RECOVERING = "recovering"
    RUNNING = "running"
    WAITING = "waiting for the log"
    SEALED = "sealed"
    HALTED = "halted"
    STOPPED = "stopped"


class SealedByThisBuild(Exception):
    """The journal was sealed while this very build decided: it starts again only when told so."""


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """What an owner is told. checkpoint_s: longest time between two checkpoints."""

    queue_records_max: int
    checkpoint_decisions: int
    checkpoint_s: float
    unseal: bool = False

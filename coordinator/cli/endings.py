"""Endings: what a command that reads or decides a log ends with, by what stopped it.

Place in the flow: between what the shards and logs raise and a command's exit code. It must never
name a cause that was not raised.
"""

from __future__ import annotations

from coordinator.cli.console import DIFFERENT, FAILED, OTHER_ENGINE, complain
from coordinator.core.chain import ChainBroken
from coordinator.core.engine import EngineError
from coordinator.core.shard import Diverged, OtherBuild
from coordinator.log.errors import LogError

__all__ = ["ENDINGS", "ended"]

ENDINGS = (OtherBuild, Diverged, ChainBroken, LogError, EngineError, OSError)
"""What `ended` has a code for."""


def ended(error: Exception, advice: str = "") -> int:
    """Say it, and the exit code. advice: what to do where another build decides."""
    if isinstance(error, OtherBuild):
        complain(f"{error}{advice}")
        return OTHER_ENGINE
    complain(error)
    return DIFFERENT if isinstance(error, Diverged | ChainBroken) else FAILED

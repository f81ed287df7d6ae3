"""Events that only a journal holds: time, the engine's own life, and what a router had to shed."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.base import InputEvent, Name, Origin, Text

__all__ = ["ClockTicked", "EngineSealed", "EngineStarted", "RoundsPaced", "SignalsShed"]


class JournalEvent(InputEvent):
    """Written by a shard's owner, a router or the seal command."""

    topic: ClassVar[str] = "journal"
    origin: ClassVar[Origin] = Origin.CLOCK


class ClockTicked(JournalEvent):
    """Time passed: due timers fire before anything later. Early or doubled ticks do nothing."""


class EngineStarted(JournalEvent):
    """From here on decisions are made by this build; every journal begins with one."""

    build: Name
    """Hash of the deciding source code."""
    dependencies: Name
    """Hash of the numeric libraries' versions."""
    fingerprint: Name
    """Hash of a fixed factorisation and solve on this machine."""
    shards: Annotated[int, Field(ge=1, le=100_000)]
    """Number of shards the journals are laid out for."""


class EngineSealed(JournalEvent):
    """The running build decides nothing after this."""

    reason: Text = ""
    """Why, for people."""


class RoundsPaced(JournalEvent):
    """A shard's owner could not decide as fast as it was asked to, or can again.

    Measured time enters the journal here, as a fact, so that every replay has the same rounds.
    """

    round_spacing_ms: Annotated[int, Field(ge=0, le=60_000)]
    """Least time between two rounds of a portfolio of this shard from now on, where it is more than
    the parameters'; 0: the parameters' alone."""
    stagger_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Least time between two rounds of different portfolios that wait for that spacing, so that
    they come one after the other and not all at once; 0: none."""


class SignalsShed(JournalEvent):
    """Signals a router dropped under overload, by name."""

    origin: ClassVar[Origin] = Origin.EXOGENOUS

    source: Name
    """Whose signals were dropped."""
    signal_ids: Annotated[tuple[Name, ...], Field(min_length=1, max_length=10_000)]
    """`event_id` of each."""

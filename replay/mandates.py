"""Mandates: the versions of a portfolio's mandate as its log has them, and what each one changed.

Place in the flow: asked by `coordinator portfolio --mandates`. What counts as accepted is the
engine's word: the journal is folded by one that follows, and whatever raised the portfolio's
version did so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coordinator.core.mandates import contradictions, strangers
from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shard_of
from coordinator.core.state import State
from replay.source import Progress, shards_of
from replay.standing import Moment, standing
from schemas.entries import decode_journal
from schemas.mandates import Mandate
from schemas.portfolios import MandateChanged, PortfolioOpened

__all__ = ["MandateChange", "MandateHistory", "MandateVersion", "mandate_history"]


@dataclass(frozen=True, slots=True)
class MandateChange:
    """One field that a version has other than the one before; before is None in the first one."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class MandateVersion:
    """One accepted mandate. position, journal_time (ns UTC), event and event_id: of what said it.

    changes: fields of the mandate; of the first version, those that are not at their default.
    """

    version: int
    position: int
    journal_time: int
    event: str
    event_id: str
    mode: str
    mandate: Mandate
    changes: tuple[MandateChange, ...]


@dataclass(frozen=True, slots=True)
class MandateHistory:
    """All versions that the log still tells of, oldest first.

    since: the journal position that was read from; above 0, older ones are not in this log.
    strangers: names in the mandate in force that no instrument is or has yet. conflicts: soft and
    hard limits of it that cannot all hold, so that some give way; empty where all can. further:
    other such sets that are left when the soft ones of those before have given way.
    """

    portfolio: str
    position: int
    since: int
    versions: tuple[MandateVersion, ...]
    strangers: tuple[str, ...]
    conflicts: tuple[str, ...]
    further: tuple[tuple[str, ...], ...]


def mandate_history(
    reader: LogReader, name: str, moment: Moment, *, progress: Progress | None = None
) -> MandateHistory | None:
    """The mandates of a portfolio up to a moment; None where it is not there.

    Raises as `standing`.
    """
    found = _Versions(name)
    shard = shard_of(name, shards_of(reader))
    stood = standing(reader, shard, moment, progress=progress, watch=found.see)
    portfolio = stood.state.portfolios.get(name)
    if portfolio is None:
        return None
    market = stood.state.market
    conflicts = contradictions(portfolio.mandate, market)
    return MandateHistory(
        portfolio=name,
        position=stood.position,
        since=stood.since,
        versions=found.in_order(),
        strangers=strangers(portfolio.mandate, market),
        conflicts=conflicts[0] if conflicts else (),
        further=conflicts[1:],
    )


class _Versions:
    """Collects versions as they appear; one that is seen again is the same."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._seen: dict[int, MandateVersion] = {}
        self._last: tuple[int, Mandate] | None = None

    def see(self, state: State, record: Record) -> None:
        """Take down the version that a record brought, if it brought one."""
        portfolio = state.portfolios.get(self._name)
        if portfolio is None:
            self._last = None
            return
        version, last = portfolio.mandate_version, self._last
        if last is not None and last[0] == version:
            return
        self._last = (version, portfolio.mandate)
        event = decode_journal(record.payload).event
        if not isinstance(event, PortfolioOpened | MandateChanged):
            return  # a state that was restored had it already
        before = None if last is None else last[1]
        self._seen[version] = MandateVersion(
            version,
            record.position,
            record.journal_time,
            type(event).__name__,
            event.event_id,
            portfolio.mode,
            portfolio.mandate,
            tuple(_changes(before, portfolio.mandate)),
        )

    def in_order(self) -> tuple[MandateVersion, ...]:
        """Oldest first."""
        return tuple(self._seen[version] for version in sorted(self._seen))


def _changes(before: Mandate | None, after: Mandate) -> Iterator[MandateChange]:
    old = (Mandate() if before is None else before).model_dump(mode="json")
    for field, value in after.model_dump(mode="json").items():
        if value != old[field]:
            yield MandateChange(field, None if before is None else old[field], value)

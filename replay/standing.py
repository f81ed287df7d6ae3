"""Standing: a shard's state at any position of its journal, without deciding anything again.

Place in the flow: asked by commands that show portfolios, signals or sources as they were. The
journal is folded by an engine that follows: what was decided is read, not made, so the answer is
that of the recorded run whatever build it was, and a log of inputs alone has open nothing. It
begins at the newest recorded state that it can read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

from coordinator.bootstrap import build_engine
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import Engine, EngineError, EvolveFailed
from coordinator.core.ports import LogReader, Record
from coordinator.core.state import State
from coordinator.log.live import begin_of
from replay.errors import CannotFollow
from replay.source import Progress, shards_of
from replay.states import RecordedStates
from schemas.base import Event, OutputEvent
from schemas.books import PortfolioViewUpdated
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.entries import decode_output, opening
from schemas.sleeves import SleevesBooked
from schemas.verdicts import InputRejected, RecordQuarantined

__all__ = [
    "Decided",
    "Due",
    "Failures",
    "Moment",
    "Standing",
    "Watch",
    "restore_newest",
    "standing",
    "stepping_over",
]

Watch = Callable[[State, Record], None]
"""Sees the state after each record of the journal, some of them more than once."""
Failures = Mapping[int, Mapping[str, str]]
"""By position of the journal: which units fail half-way, and with what error."""
Made = TypeVar("Made")

_FOLLOWED = opening(
    AllocationDecided, SleevesBooked, RoundClosed, PortfolioViewUpdated, RecordQuarantined
)
_REJECTED = opening(InputRejected)
_PROGRESS_RECORDS = 256
REJECTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Moment:
    """The end of what is folded: a journal position, or a time in ns UTC; neither: everything."""

    position: int | None = None
    time: int | None = None

    def holds(self, record: Record) -> bool:
        """Whether the record lies no later."""
        if self.position is not None:
            return record.position <= self.position
        return self.time is None or record.journal_time <= self.time


@dataclass(frozen=True, slots=True)
class Standing:
    """A shard's state after a position of its journal. time: of that record, ns UTC.

    rejected: the first inputs about a portfolio that changed nothing, of rejected_count that were
    read; the journal was read from the position `since`. at_end: no record follows.
    """

    state: State
    position: int
    time: int
    since: int
    rejected: tuple[InputRejected, ...]
    rejected_count: int
    at_end: bool


def standing(
    reader: LogReader,
    shard: int,
    moment: Moment,
    *,
    about: str | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Standing:
    """The state of one shard as of a moment. about: the portfolio whose rejected inputs are told.

    watch: sees all that the log still has of the journal, which is then read from its beginning.

    Raises NothingToReplay for a log without journals, CannotFollow for a journal that no engine
    takes, LogError for one that cannot be read.
    """
    return stepping_over(
        lambda failures: _folded(reader, shard, moment, about, failures, progress, watch)
    )


def stepping_over(fold: Callable[[Failures], Made]) -> Made:
    """What a fold gives, begun anew each time that something fails half-way that must not.

    What the recorded run stepped over, this one does, too. Raises CannotFollow.
    """
    failures: dict[int, dict[str, str]] = {}
    while True:
        try:
            return fold(failures)
        except EvolveFailed as error:
            known = failures.setdefault(error.position, {})
            if error.unit in known:
                raise CannotFollow(str(error)) from error
            known[error.unit] = error.error
        except EngineError as error:
            raise CannotFollow(str(error)) from error


def _folded(
    reader: LogReader,
    shard: int,
    moment: Moment,
    about: str | None,
    failures: Failures,
    progress: Progress | None,
    watch: Watch | None,
) -> Standing:
    engine = build_engine(shard=shard, shards=shards_of(reader))
    if watch is None or begin_of(reader, "journal", shard):
        restore_newest(engine, reader, shard, moment)
    engine.state.follows = True
    decided = Decided(reader, shard, after=engine.position)
    time, total, done = engine.clock, reader.end("journal", shard), 0
    rejected: list[InputRejected] = []
    count = 0
    start = max(engine.position + 1, begin_of(reader, "journal", shard))
    for record in takewhile(moment.holds, reader.read("journal", shard, start)):
        followed = engine.follow(
            record, decided.by(record.position), failures=failures.get(record.position, {})
        )
        for output in followed:
            if output.startswith(_REJECTED) and (one := _rejection(output)).portfolio == about:
                count += 1
                if len(rejected) < REJECTED_MAX:
                    rejected.append(one)
        time, done = record.journal_time, done + 1
        if watch is not None:
            watch(engine.state, record)
        if progress is not None and done % _PROGRESS_RECORDS == 0:
            progress(record.position, total, time)
    at_end = engine.position + 1 >= total
    return Standing(engine.state, engine.position, time, start, tuple(rejected), count, at_end)


def _rejection(output: bytes) -> InputRejected:
    event = decode_output(output).event
    if not isinstance(event, InputRejected):
        message = f"an output that is no InputRejected: {type(event).__name__}"
        raise TypeError(message)
    return event


def restore_newest(engine: Engine, reader: LogReader, shard: int, moment: Moment) -> None:
    """Begin at the newest state of no later than the moment that this build can read."""
    if moment.time is not None:
        return
    last = reader.end("journal", shard) if moment.position is None else moment.position
    for state in RecordedStates(reader, shard).newest(last):
        try:
            engine.restore(state)
        except CheckpointError:
            continue
        return


Due = tuple[int, str, OutputEvent]
"""When something was said, by which timer, and what."""


def _due(event: Event) -> Due:
    """A quarantined record was no timer's: all that was due before it comes first."""
    if isinstance(event, AllocationDecided | SleevesBooked | RoundClosed | PortfolioViewUpdated):
        return event.decided_at, f"round\t{event.portfolio}", event
    if isinstance(event, RecordQuarantined):
        return event.decided_at, event.event_id if event.event == "timer" else "", event
    message = f"an output that is not followed: {type(event).__name__}"
    raise TypeError(message)


class Decided:
    """What was decided in a shard, by the journal position that caused it."""

    def __init__(self, reader: LogReader, shard: int, *, after: int) -> None:
        self._found = self._read(reader, shard, after)
        self._next: tuple[int, Due] | None = next(self._found, None)

    @staticmethod
    def _read(reader: LogReader, shard: int, after: int) -> Iterator[tuple[int, Due]]:
        said = -1
        for record in reader.read("decisions", shard, begin_of(reader, "decisions", shard)):
            if not record.payload.startswith(_FOLLOWED):
                continue
            entry = decode_output(record.payload)
            # A repeat is passed over, as every reader of the chain does.
            if entry.seq > said and entry.position > after:
                said = entry.seq
                yield entry.position, _due(entry.event)

    def by(self, position: int) -> Iterator[Due]:
        """Those of positions up to this one that were not asked for before."""
        while self._next is not None and self._next[0] <= position:
            yield self._next[1]
            self._next = next(self._found, None)

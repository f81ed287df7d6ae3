"""Look-ahead audit: shows on a user's own log that no decision used what came later.

Place in the flow: decides the log again and stops at several times. There the engine's state is
handed to fresh engines that get another future: prices and volumes scaled, signals turned,
everything else the world said and all feedback gone, or nothing at all any more. Every output up
to that time must be the recorded one, bit for bit. Beside that come rules on the data itself. It
must never change anything at or before a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from pydantic_core import from_json

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.fold import Fold
from coordinator.core.ports import LogReader, Record
from coordinator.core.shards import shards_in
from replay.datarules import Finding, findings
from replay.divergence import Difference, differences_of_bytes
from replay.errors import NothingToReplay, NotVerified
from replay.identity import refuse_other_engine
from replay.perturb import cut_off, perturbed
from replay.source import NO_DECISIONS, EngineFactory, Progress, Watch, opened, shards_of
from schemas.decisions import AllocationDecided
from schemas.entries import opening

__all__ = ["CUTS", "CUTS_MAX", "Cut", "LookaheadReport", "audit_lookahead"]

CUTS = 5
CUTS_MAX = 1_000
"""Each costs two engines for every shard; more would show nothing new."""
TAIL_RECORDS = 200
"""Records of the other future that each engine gets; the first fires every timer up to the cut."""
_DECIDED = opening(AllocationDecided)
_FUTURES: tuple[tuple[str, Callable[[Record], Record]], ...] = (
    ("changed", perturbed),
    ("cut off", cut_off),
)


@dataclass(frozen=True, slots=True)
class Cut:
    """One shard at one time with one other future.

    decisions: made before the cut, and found as recorded. outputs: those up to `at` that the first
    records after it brought about. differences: empty when none of them depends on what came later.
    """

    at: int
    shard: int
    future: str
    decisions: int
    outputs: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """What the audit found. cuts: by shard and time; findings: broken rules of the data."""

    cuts: tuple[Cut, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no decision used later data and no rule is broken."""
        return not self.findings and not any(cut.differences for cut in self.cuts)


def audit_lookahead(
    log: LogReader | str | Path,
    *,
    cuts: int = CUTS,
    at: int | None = None,
    progress: Progress | None = None,
    engines: EngineFactory = build_engine,
) -> LookaheadReport:
    """Audit a log that holds decisions.

    cuts: how many times are tried, 1 to 1000, spread evenly over the times of its decisions. at:
    one time more, ns UTC. Raises NothingToReplay, OtherEngine, NotVerified, TimeOutOfRange,
    LogError, and ValueError for another number of cuts.
    """
    if not 1 <= cuts <= CUTS_MAX:
        message = f"cuts must be 1 to {CUTS_MAX}, not {cuts}"
        raise ValueError(message)
    with opened(log) as reader:
        shards = shards_of(reader)
        times = cut_times(reader, cuts=cuts, at=at)
        watch = Watch(reader, shards, progress)
        done: list[Cut] = []
        found: list[Finding] = []
        for shard in range(shards):
            audit = _ShardAudit(reader, shard, shards, engines)
            done += audit.run(times, watch)
            found += findings(reader, shard)
        return LookaheadReport(tuple(done), tuple(found))


def cut_times(reader: LogReader, *, cuts: int, at: int | None) -> tuple[int, ...]:
    """Times of decisions, evenly spread, and the one asked for; ascending."""
    decided = sorted(
        {
            _said_at(record)
            for shard in shards_in(reader, "decisions")
            for record in reader.read("decisions", shard)
            if record.payload.startswith(_DECIDED)
        }
    )
    if not decided:
        raise NothingToReplay(NO_DECISIONS)
    count = len(decided)
    picked = {decided[(2 * i + 1) * count // (2 * cuts)] for i in range(cuts)}
    return tuple(sorted(picked | ({at} if at is not None else picked)))


class _ShardAudit:
    """One pass over a shard's journal, with a look at other futures at each cut."""

    def __init__(self, reader: LogReader, shard: int, shards: int, engines: EngineFactory) -> None:
        self._reader = reader
        self._shard = shard
        self._shards = shards
        self._engines = engines
        self._fold = Fold(reader, self._fresh())
        self._recorded = reader.read("decisions", shard)
        self._next = 0
        self._decisions = 0

    def run(self, times: tuple[int, ...], watch: Watch) -> Iterator[Cut]:
        """The cuts, in the order of time."""
        waiting = list(times)
        for record in self._fold.journal():
            while waiting and record.journal_time > waiting[0]:
                at = waiting.pop(0)
                if self._fold.engine.position >= 0:
                    yield from self._cut(at, record.position)
            refuse_other_engine(record)
            for output in self._fold.step(record):
                self._confirm(output, record.position)
            watch.saw(record.journal_time)
        if next(self._recorded, None) is not None:
            raise NotVerified(self._shard, self._fold.engine.position)

    def _fresh(self) -> Engine:
        return self._engines(shard=self._shard, shards=self._shards)

    def _confirm(self, output: bytes, position: int) -> None:
        """The unchanged past must be as recorded, or no future proves anything."""
        found = next(self._recorded, None)
        if found is None or found.payload != output:
            raise NotVerified(self._shard, position)
        self._next = found.position + 1
        self._decisions += output.startswith(_DECIDED)

    def _cut(self, at: int, position: int) -> Iterator[Cut]:
        """Compare what is said up to `at` when the journal from a position on is another."""
        state = self._fold.engine.checkpoint()
        recorded = [
            one.payload
            for one in takewhile(
                lambda one: _said_at(one) <= at,
                self._reader.read("decisions", self._shard, self._next),
            )
        ]
        for name, change in _FUTURES:
            engine = self._fresh()
            engine.restore(state)
            tail = islice(self._reader.read("journal", self._shard, position), TAIL_RECORDS)
            derived = [
                output
                for record in tail
                for output in engine.step(change(record))
                if _decided_at(output) <= at
            ]
            yield Cut(
                at, self._shard, name, self._decisions, len(recorded), _apart(recorded, derived)
            )


def _apart(recorded: list[bytes], derived: list[bytes]) -> tuple[Difference, ...]:
    for left, right in zip(recorded, derived, strict=False):
        if left != right:
            return differences_of_bytes(left, right)
    if len(recorded) != len(derived):
        return (Difference("number of outputs", len(recorded), len(derived)),)
    return ()


def _said_at(record: Record) -> int:
    """When a recorded output says it was made. Raises NotVerified where it says nothing."""
    try:
        at = _decided_at(record.payload)
    except (ValueError, KeyError, TypeError) as error:
        raise NotVerified(record.shard, record.position) from error
    if type(at) is not int:
        raise NotVerified(record.shard, record.position)
    return at


def _decided_at(output: bytes) -> int:
    decided_at: int = from_json(output)["event"]["decided_at"]
    return decided_at

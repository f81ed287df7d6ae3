"""A shard and its owner's duties: fold the journal, publish, audit, checkpoint, recover.

Place in the flow: what every shell runs. All through the Log port; no clock of its own. Outputs
that the log already holds are compared instead of appended, so every restart is an audit of
determinism.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from coordinator.core.chain import follow
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.deciding import Deciding
from coordinator.core.engine import EngineSealedError
from coordinator.core.fold import Fold, checkpoints
from coordinator.core.ports import Append, Log, Record, Unreadable
from schemas.entries import Stamp, decode_head, decode_journal, encode_journal, opening
from schemas.journal import ClockTicked, EngineStarted
from schemas.registry import SchemaError

__all__ = ["Diverged", "JournalReplaced", "OtherBuild", "Recovery", "Shard", "Snapshot"]

_STARTED = opening(EngineStarted)


class OtherBuild(Exception):
    """The journal says that another engine decides here: go on with that one, or seal it first."""

    def __init__(self, shard: int, build: str) -> None:
        super().__init__(f"shard {shard}: build {build[:12]} decides here, not this one")
        self.shard = shard


class Diverged(Exception):
    """The engine says something else than the log holds: halt, something is not deterministic.

    position: of the journal, or of what `of` says.
    """

    def __init__(
        self, shard: int, position: int, reason: str, *, of: str = "journal position"
    ) -> None:
        super().__init__(f"shard {shard}, {of} {position}: {reason}")
        self.shard = shard
        self.position = position


class JournalReplaced(Exception):
    """The journal is not the one that the state was made from: it was cut, or made anew."""

    def __init__(self, shard: int, position: int, reason: str) -> None:
        super().__init__(
            f"shard {shard}: {reason} at position {position}, where the state stands; bring the "
            "journal back, or begin a new system with another prefix"
        )
        self.shard = shard
        self.position = position


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a restart found. from_position: journal position of the checkpoint, -1 without one."""

    from_position: int
    records: int
    outputs_equal: int
    outputs_missing: int


class Snapshot(NamedTuple):
    """A state that is to be a checkpoint: what to append, and where the engine stood."""

    append: Append
    position: int
    seq: int
    next_output: int


class Shard:
    """One shard on one log. Call `recover` first, then `pump` whenever the journal has grown.

    ours: the EngineStarted of the running build; where the journal names another, OtherBuild is
    raised before anything is said in its name. None: whatever the journal names.
    behind_seal: set by whoever goes on behind a seal; until then what stands there is refused.
    """

    def __init__(
        self,
        log: Log,
        engine: Deciding,
        *,
        checkpoint_every: int = 500,
        ours: EngineStarted | None = None,
    ) -> None:
        self._log = log
        self._fold = Fold(log, engine)
        self.engine = engine
        self.number = engine.state.shard
        self._checkpoint_every = checkpoint_every
        self._ours = ours
        self.behind_seal = False
        self._checkpointed = 0
        self._recorded: deque[Record] = deque()
        self._equal = self._missing = 0
        self._from_position = -1
        self._known = (0, 0)
        """A seq, and a position before which no output with that seq or a later one stands."""

    def recover(self) -> Recovery:
        """Start from the newest checkpoint, fold the rest, publish what is missing.

        Raises Diverged when the log holds another output than the engine gives.
        """
        self.begin()
        return self.recovered(self.pump())

    def begin(self) -> None:
        """Restore the newest checkpoint, and learn which outputs the log holds beyond it.

        What the journal holds after that is the caller's to apply, up to an end it asks for after
        this; then `recovered` says whether the journal explains them all.
        """
        decisions_from = self._restore()
        self._known = (self.engine.seq, decisions_from)
        self.refuse_other_journal()
        self._from_position = self.engine.position
        self._checkpointed = self.engine.decisions
        tail = self._log.read("decisions", self.number, decisions_from)
        links = follow(tail, seq=self.engine.seq - 1, last_hash=self.engine.last_hash)
        self._recorded = deque(link.record for link in links)
        self._equal = self._missing = 0

    def recovered(self, records: int) -> Recovery:
        """What was found, once the journal's records since `begin` are applied. Raises Diverged."""
        if self._recorded:
            message = f"the log holds {len(self._recorded)} outputs the journal does not explain"
            raise Diverged(self.number, self.engine.position, message)
        return Recovery(self._from_position, records, self._equal, self._missing)

    def _restore(self) -> int:
        """Restore the newest readable checkpoint; the decisions position to read on from."""
        for body, decisions_from in checkpoints(self._log, self.number):
            try:
                self._fold.start(body)
            except CheckpointError:
                continue
            self._refuse_other_build()
            return decisions_from
        self._fold.start(None)
        return 0

    def refuse_other_journal(self) -> None:
        """Raises JournalReplaced unless the record applied last still stands where it stood.

        The clock is at least at its time; a journal made anew has later records there, or none.
        Where that part was archived and cut away, nothing can be said.
        """
        position = self.engine.position
        if position < 0:
            return
        try:
            there = next(iter(self._log.read("journal", self.number, position, position + 1)), None)
        except Unreadable:
            return
        if there is None:
            raise JournalReplaced(self.number, position, "the journal holds no record")
        if there.journal_time > self.engine.clock:
            raise JournalReplaced(self.number, position, "the journal holds another record")

    def pump(self) -> int:
        """Apply what the journal holds beyond the engine; returns the records applied."""
        count = 0
        for record in self._fold.journal():
            self.apply(record)
            count += 1
        return count

    def pump_to_seal(self) -> int:
        """As `pump`, up to a seal behind which no build has started; returns the records applied.

        Records that stand between a seal and this build's start are its own to decide. Raises
        OtherBuild, before anything is said to them, where another one started there.
        """
        count = 0
        for record in self._fold.journal():
            if self.engine.state.sealed and not self.behind_seal:
                self.behind_seal = self._goes_on(record.position)
                if not self.behind_seal:
                    break
            self.apply(record)
            count += 1
            self.behind_seal &= self.engine.state.sealed
        return count

    def _goes_on(self, position: int) -> bool:
        """Whether a build started from there on, behind a seal."""
        for record in self._log.read("journal", self.number, position):
            event = _start_in(record)
            if event is not None:
                self._refuse_unless_ours(event.build, event.dependencies, event.fingerprint)
                return True
        return False

    def apply(self, record: Record) -> list[bytes]:
        """Apply one record of the journal, publish its outputs, and return them."""
        outputs, fresh = self._said(record)
        if fresh:
            self._log.append(
                [Append("decisions", self.number, entry, record.journal_time) for entry in fresh]
            )
        if self.engine.decisions - self._checkpointed >= self._checkpoint_every:
            self.checkpoint()
        return outputs

    def step(self, record: Record) -> list[bytes]:
        """Apply one record; returns the outputs that the log does not hold yet.

        They are the caller's to publish: in order, and before the next checkpoint.
        """
        return self._said(record)[1]

    def _said(self, record: Record) -> tuple[list[bytes], list[bytes]]:
        """All outputs of a record, and those of them that the log does not hold."""
        if self.engine.state.sealed and not self.behind_seal:
            self._refuse_behind_seal(record)
        outputs = self._fold.step(record)
        self._refuse_other_build()
        fresh = [entry for entry in outputs if not self._held(record, entry)]
        self._missing += len(fresh)
        return outputs, fresh

    def _refuse_behind_seal(self, record: Record) -> None:
        """The sealed build decides nothing more: what comes now is the next one's."""
        if record.position > self.engine.position and not _is_start(record):
            message = f"position {record.position}: the journal was sealed; start the next build"
            raise EngineSealedError(f"{message} first")

    def _refuse_other_build(self) -> None:
        """Before anything is published: does this build decide here? A sealed one may follow."""
        state = self.engine.state
        if state.build and not state.sealed:
            self._refuse_unless_ours(state.build, state.dependencies, state.fingerprint)

    def _refuse_unless_ours(self, *theirs: str) -> None:
        ours = self._ours
        if ours is not None and theirs != (ours.build, ours.dependencies, ours.fingerprint):
            raise OtherBuild(self.number, theirs[0])

    def _held(self, record: Record, entry: bytes) -> bool:
        """Whether the log holds that output already."""
        if not self._recorded:
            return False
        if self._recorded.popleft().payload != entry:
            raise Diverged(self.number, record.position, "another output than the log holds")
        self._equal += 1
        return True

    def tick(self, at: int) -> None:
        """Put the passing of time into the journal: timers due before `at` fire with it."""
        event = ClockTicked(event_id=f"tick {at}", event_time=at)
        entry = encode_journal(Stamp("journal", "", 0, -1, at), event)
        self._log.append([Append("journal", self.number, entry, at)])

    @property
    def decided(self) -> int:
        """Decisions since the state was last taken for a checkpoint."""
        return self.engine.decisions - self._checkpointed

    def checkpoint(self) -> int:
        """Write the state down, to recover from. Returns the checkpoint's position.

        Everything said so far must have been published.
        """
        taken = self.snapshot()
        position = self._log.append([taken.append])[0]
        self.wrote(taken)
        return position

    def snapshot(self) -> Snapshot:
        """The state as it is now, to be appended, with where its next output stands or will.

        Everything said so far must have been published. Records may be applied meanwhile; `wrote`
        says that it stands in the log.
        """
        self._checkpointed = self.engine.decisions
        next_output = self._next_output()
        payload = b"%d\n%b" % (next_output, self.engine.checkpoint())
        append = Append("checkpoints", self.number, payload, self.engine.clock)
        return Snapshot(append, self.engine.position, self.engine.seq, next_output)

    def wrote(self, taken: Snapshot) -> None:
        """The log has that state from now on."""
        self._fold.rebase(taken.position)
        self._known = (taken.seq, taken.next_output)

    def _next_output(self) -> int:
        """Where the first output stands that the engine has not said, or will stand.

        That is the log's end, unless somebody else has gone further meanwhile: a zombie that wakes
        writes its state down, too. Where there are just our own outputs, nobody has.
        """
        if self._recorded:
            return self._recorded[0].position
        seq, position = self._known
        end = self._log.end("decisions", self.number)
        if end - position == self.engine.seq - seq:
            return end
        for record in self._log.read("decisions", self.number, position, end):
            if decode_head(record.payload).seq >= self.engine.seq:
                return record.position
        return end


def _is_start(record: Record) -> bool:
    return record.payload.startswith(_STARTED)


def _start_in(record: Record) -> EngineStarted | None:
    """The start that a record tells of; one that cannot be read is the engine's to quarantine."""
    if not _is_start(record):
        return None
    try:
        event = decode_journal(record.payload).event
    except SchemaError:
        return None
    return event if isinstance(event, EngineStarted) else None

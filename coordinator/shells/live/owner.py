"""Owner: one shard in a thread of its own, from recovery to hand-over.

Place in the flow: between the delivery of journal records and the decisions topic. It recovers as
the design says (checkpoint, decisions' tail, journal), applies what is delivered, reads what was
not, publishes, tells the time and writes checkpoints. It must never hold a rule of the engine, nor
go on after the log and the engine disagree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice

import structlog

from coordinator.core.chain import ChainBroken
from coordinator.core.checkpoint import checkpoint_position
from coordinator.core.deciding import Deciding
from coordinator.core.engine import EngineError
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append, Record
from coordinator.core.shard import Diverged, JournalReplaced, OtherBuild, Shard
from coordinator.log.errors import LogClosed, LogUnavailable
from coordinator.log.kafka import KafkaLog
from coordinator.log.kafka.headers import key_of
from coordinator.shells.live.broker_time import BrokerTime
from coordinator.shells.live.decider import DeciderGone
from coordinator.shells.live.inbox import Inbox
from coordinator.shells.live.keeping import sooner
from coordinator.shells.live.observing import Observer
from coordinator.shells.live.pacing import Pace, Pacer, Told
from coordinator.shells.live.phases import OwnerSettings, Phase, SealedByThisBuild
from coordinator.shells.live.remote_engine import Replaced
from coordinator.shells.live.session import Session
from coordinator.shells.live.timing import Ticker
from schemas.decisions import RoundClosed
from schemas.entries import Stamp, encode_journal, opening
from schemas.journal import EngineStarted

__all__ = ["Owner", "OwnerSettings", "Phase"]

_STARTED = opening(EngineStarted)
_ROUND = opening(RoundClosed)
BATCH_RECORDS = 16
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
READ_TOGETHER = 128
LOOK_FOR_MORE_S = 1.0
"""A shard that hears nothing asks the log itself this often."""
TICK_REST = 50_000_000
"""A tick that stands behind records not delivered yet is not repeated for this long, ns."""


class Owner:
    """Runs one shard. `start`, then `deliver` what comes; `stop` hands it over.

    open_log: makes a log of its own for each try. engine: makes an engine. started: makes the event
    that says this build begins. pace: shared by the shards of one process. broker_time: of this
    shard's broker, for as long as we live.
    """

    def __init__(
        self,
        number: int,
        *,
        open_log: Callable[[], KafkaLog],
        engine: Callable[[], Deciding],
        started: Callable[[int], EngineStarted],
        settings: OwnerSettings,
        observer: Observer,
        pace: Pace | None = None,
        broker_time: BrokerTime | None = None,
    ) -> None:
        self.number = number
        self._open_log = open_log
        self._engine = engine
        self._started = started
        self._settings = settings
        self._observer = observer
        self._broker_time = BrokerTime() if broker_time is None else broker_time
        self._pace = pace if pace is not None else Pace()
        self._inbox = Inbox(records_max=settings.queue_records_max)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shard-{number}", daemon=True)
        self._log = structlog.get_logger("owner").bind(shard=number)
        self.phase = Phase.RECOVERING
        self.reason = ""
        self.position = -1
        self.moved_at = time.monotonic()
        self.fault: BaseException | None = None

    # -- from other threads ------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to recover."""
        self._thread.start()

    def deliver(self, *records: Record) -> None:
        """Records of this shard's journal in order; never waits."""
        self._inbox.put(*records)

    def stop(self) -> None:
        """Ask it to finish: what was said is published, a checkpoint written."""
        self._stopping.set()
        self._inbox.wake()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def drained(self) -> bool:
        """Whether it is at the seal of its own build, which is no fault where it had decided."""
        return self.phase is Phase.SEALED or isinstance(self.fault, SealedByThisBuild)

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._own()
            except (LogUnavailable, LogClosed) as error:
                failures = 0 if time.monotonic() - began > BACKOFF_S[-1] * 2 else failures + 1
                self._enter(Phase.WAITING, str(error))
                self._stopping.wait(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            except Replaced as error:
                self._enter(Phase.STOPPED, str(error))
                return
            except BaseException as error:  # noqa: BLE001 - whatever it is, this shard halts and says so
                self._halt(error)
                return
            else:
                if self.phase is not Phase.SEALED:
                    self._enter(Phase.STOPPED)
                return
        self._enter(Phase.STOPPED)

    def _enter(self, phase: Phase, reason: str = "") -> None:
        if (phase, reason) != (self.phase, self.reason):
            self._log.info("shard_phase", phase=phase.value, reason=reason, position=self.position)
        self.phase, self.reason = phase, reason

    def _halt(self, error: BaseException) -> None:
        """Halt loudly: a difference, another build, a broken chain, or no memory left."""
        self.fault = error
        if isinstance(error, Diverged | ChainBroken):
            self._observer.diverged()
        known = isinstance(
            error,
            Diverged
            | ChainBroken
            | OtherBuild
            | JournalReplaced
            | EngineError
            | SealedByThisBuild
            | DeciderGone,
        )
        self._enter(Phase.HALTED, f"{type(error).__name__}: {error}")
        self._log.error("shard_halted", error=str(error), exc_info=None if known else error)

    def _own(self) -> None:
        """From recovery to the stop, on one connection to the log."""
        self._enter(Phase.RECOVERING)
        self._observer.recovering()
        began = time.monotonic()
        with self._open_log() as log:
            shard = Shard(
                log, self._engine(), checkpoint_every=1 << 60, ours=self._started(time.time_ns())
            )
            session = Session(
                log, shard, wake=self._inbox.wake, observer=self._observer,
                broker_time=self._broker_time,
            )  # fmt: skip
            self._recover(session, began)
            if not self._stopping.is_set() and self.phase is not Phase.SEALED:
                self._enter(Phase.RUNNING)
                self._serve(session)
            session.flush()
            if self.phase is Phase.SEALED or shard.decided:
                session.checkpoint()
            session.checkpoints.settle(wait=True)

    def _recover(self, session: Session, began: float) -> None:
        """Checkpoint, decisions' tail, journal up to its present end; says that we begin.

        began: when this shard was taken, monotonic seconds.
        """
        log, shard = session.log, session.shard
        if not log.end("journal", self.number):
            self._begin_build(log)
        shard.begin()
        records = self._read_on(session, log.end("journal", self.number))
        while shard.engine.state.sealed and not self._stopping.is_set():
            records += self._pass_seal(session)
        session.publisher.flush()
        if self._stopping.is_set():  # the journal was not read to its end: nothing can be judged
            return
        found = shard.recovered(records)
        self._broker_time.heard(shard.engine.clock)
        took = time.monotonic() - began
        self._observer.recovered(took)
        self._log.info(
            "shard_recovered", seconds=round(took, 3), from_position=found.from_position,
            records=records, outputs_equal=found.outputs_equal,
            outputs_missing=found.outputs_missing, position=shard.engine.position,
        )  # fmt: skip

    def _begin_build(self, log: KafkaLog) -> None:
        """Say in the journal that from now on this build decides."""
        event = self._started(time.time_ns())
        entry = encode_journal(Stamp("journal", "", 0, -1, event.event_time), event)
        log.append([Append("journal", self.number, entry)])

    def _pass_seal(self, session: Session) -> int:
        """Another build goes on behind a seal; the one that was sealed, only when told so.

        Returns the records applied. What routers appended behind the seal is the next build's.
        """
        log, shard = session.log, session.shard
        position = shard.engine.position
        behind = log.read("journal", self.number, position + 1)
        if not any(record.payload.startswith(_STARTED) for record in behind):
            if shard.engine.state.build == self._started(time.time_ns()).build:
                self._refuse_seal(session)
            self._begin_build(log)
        shard.behind_seal = True
        count = self._read_on(session, log.end("journal", self.number))
        shard.behind_seal = False
        return count

    def _refuse_seal(self, session: Session) -> None:
        """Our own build was sealed: it leaves the checkpoint that the next one begins at."""
        if self._settings.unseal:
            return
        kept = checkpoints(session.log, self.number)
        at = session.shard.engine.position
        if all(checkpoint_position(body) != at for body, _ in kept):
            session.checkpoint()
            session.checkpoints.settle(wait=True)
        message = (
            f"shard {self.number} was sealed for another build; start that one, or this one "
            "with --unseal"
        )
        raise SealedByThisBuild(message)

    def _read_on(self, session: Session, end: int) -> int:
        """Apply what the journal holds beyond the engine, up to `end`; returns the records.

        It ends at a seal, unless the shard goes on behind one.
        """
        count = 0
        shard = session.shard
        state = shard.engine.state
        if not state.sealed or shard.behind_seal:
            there = session.log.read("journal", self.number, state.position + 1, end)
            while (records := list(islice(there, READ_TOGETHER))) and self._goes_on(shard):
                shard.engine.expect(records)
                for record in records:
                    self._apply(session, record)
                    count += 1
                    shard.behind_seal &= shard.engine.state.sealed
                    if not self._goes_on(shard):
                        break
        return count

    def _goes_on(self, shard: Shard) -> bool:
        """Whether the next record is applied: not at a seal; a stop waits for what is decided."""
        if shard.engine.state.sealed and not shard.behind_seal:
            return False
        return shard.engine.ahead or not self._stopping.is_set()

    def _serve(self, session: Session) -> None:
        """Apply what comes until the stop or a seal."""
        shard = session.shard
        ticker = Ticker(self._broker_time)
        pacer = Pacer(self.number, self._pace)
        asked = time.monotonic()
        checkpointed = asked - self._settings.checkpoint_s * sooner(self.number)
        records: list[Record] = []
        while not self._stopping.is_set():
            deaf_s = ticker.seconds_deaf(shard.engine)
            quiet = shard.engine.next_begin() is None
            records = self._inbox.take(
                most=READ_TOGETHER if quiet else BATCH_RECORDS,
                timeout_s=min(ticker.seconds_until(shard.engine), 0.5),
                gather_s=deaf_s if records and not quiet else 0.0,
                linger_s=deaf_s if quiet else 0.0,
            )
            shard.engine.expect(records)
            self._note_waiting(shard, records)
            for record in records:
                if self._stopping.is_set() and not shard.engine.ahead:
                    break
                self._take(session, record)
                asked = time.monotonic()
            self._keep_pace(session, pacer)
            if self._inbox.beyond(shard.engine.position):
                self._look_for_more(session)
            session.publish_soon()
            session.checkpoints.settle()
            now = time.monotonic()
            if not self._inbox.waiting and now - asked > LOOK_FOR_MORE_S:
                asked = now
                self._look_for_more(session)
            if shard.engine.state.sealed:
                self._enter(Phase.SEALED, "the journal was sealed")
                return
            if not self._inbox.waiting and ticker.due(shard.engine):
                self._tick(session, ticker)
            full = shard.decided >= self._settings.checkpoint_decisions
            if full or now - checkpointed > self._settings.checkpoint_s:
                checkpointed = now
                session.checkpoint()

    def _look_for_more(self, session: Session) -> None:
        """What nobody delivered. Raises JournalReplaced where there is less than there was."""
        end = session.log.end("journal", self.number)
        if end <= session.shard.engine.position:
            session.shard.refuse_other_journal()
        self._read_on(session, end)

    def _take(self, session: Session, record: Record) -> None:
        """A delivered record: passed over when applied already, after what lies before it."""
        shard = session.shard
        expected = shard.engine.position + 1
        if record.position < expected:
            return
        if record.position > expected:
            self._read_on(session, record.position)
            if self._stopping.is_set():  # it may have stopped before the gap was closed
                return
        if record.position > shard.engine.position and not shard.engine.state.sealed:
            self._apply(session, record)

    def _note_waiting(self, shard: Shard, records: Sequence[Record]) -> None:
        """How long the first of them that is not applied yet has waited, if we can tell."""
        new = next((one for one in records if one.position > shard.engine.position), None)
        if new is not None and self._broker_time.known:
            self._pace.waited(self._broker_time.now() - new.journal_time)

    def _apply(self, session: Session, record: Record) -> None:
        shard, publisher = session.shard, session.publisher
        before = time.monotonic_ns()
        fresh = shard.step(record)
        took = shard.engine.took or time.monotonic_ns() - before
        self._broker_time.heard(record.journal_time)
        began = self._broker_time.now() - took  # it may be decided with the records before it
        self.position, self.moved_at = record.position, time.monotonic()
        rounds = [key_of(entry) or b"" for entry in fresh if entry.startswith(_ROUND)]
        self._pace.stepped(
            rounds, took, journal_time=record.journal_time, now=time.monotonic_ns(),
            shard=self.number,
        )  # fmt: skip
        self._observer.applied(record, fresh, began, portfolios=shard.engine.portfolios)
        if fresh:
            publisher.say(fresh, record.journal_time)
        if publisher.full:
            session.flush()
        session.publish_soon(urgent_only=True)

    def _tick(self, session: Session, ticker: Ticker) -> None:
        """Put the time into the journal, and apply the tick where nothing stands before it."""
        log, shard = session.log, session.shard
        entry, began = ticker.entry(), self._broker_time.monotonic()
        sent = log.append_soon([Append("journal", self.number, entry)]).result()[0]
        self._broker_time.told(appended_at=sent.at, sent=began)
        ticker.ticked(shard.engine, sent.at)
        if sent.offset == shard.engine.position + 1:
            tick = Record("journal", self.number, sent.offset, sent.at, entry)
            self._apply(session, tick)
        else:
            ticker.rest(TICK_REST)

    def _keep_pace(self, session: Session, pacer: Pacer) -> None:
        """Say in the journal that rounds have to lie further apart, or need not any more."""
        shard = session.shard
        state = shard.engine.state
        told = Told(state.pace_ms, state.stagger_ms)
        wanted = pacer.wanted(told, time.monotonic_ns())
        if wanted is not None and shard.engine.portfolios:
            self._log.info("rounds_paced", **wanted._asdict())
            entry = pacer.entry(self._broker_time.now(), wanted)
            session.log.append([Append("journal", self.number, entry)])

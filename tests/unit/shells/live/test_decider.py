"""The deciding process: the same bytes as here, every error told, no end in silence."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from coordinator.core import engine as engine_module
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import (
    Engine,
    EngineSealedError,
    EvolveFailed,
    NotStarted,
)
from coordinator.core.evolve import evolve_input
from coordinator.core.ports import Append, Record
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.core.together import Shared, Work
from coordinator.log.memory import MemoryLog
from coordinator.shells.forked import ForkedHands
from coordinator.shells.live.decider import Decider, DeciderGone
from coordinator.shells.live.remote_engine import RemoteEngine, Replaced, failure, raised
from schemas.entries import Stamp, encode_journal
from schemas.journal import ClockTicked, EngineSealed
from tests.journals import HOUR, MS, SECOND, T0, Inputs, engine, lay, zero_clock
from tests.support.many_rounds import SESSIONS, engine_with, firm

WITHIN_S = 30.0


def make(shard: int, shards: int) -> Engine:
    return engine(shard, shards)


@pytest.fixture
def decider() -> Iterator[Decider]:
    made = Decider(make, 1)
    try:
        yield made
    finally:
        made.close()


def journal(signals: int = 40) -> MemoryLog:
    """Two portfolios, a stream of signals, ticks that close the last rounds."""
    inputs = Inputs()
    found = [inputs.listed("A"), inputs.listed("B"), inputs.registered("s")]
    found += [inputs.opened("p"), inputs.opened("q")]
    found.append(inputs.close({"A": 10.0, "B": 5.0}, T0 + SECOND))
    found += [
        inputs.signal("s", "AB"[n % 2], T0 + HOUR + n * 7 * MS, direction=1 - 2 * (n % 3 == 0))
        for n in range(signals)
    ]
    return lay(found, MemoryLog(clock=zero_clock), shards=1)


def records(log: MemoryLog) -> list[Record]:
    return list(log.read("journal", 0))


def local(log: MemoryLog) -> list[list[bytes]]:
    here = make(0, 1)
    return [here.step(record) for record in records(log)]


def test_what_is_decided_there_is_what_is_decided_here_byte_for_byte(decider: Decider) -> None:
    log = journal()
    there, here = decider.engine(0, 1), make(0, 1)
    for record in records(log):
        assert there.step(record) == here.step(record)
        assert there.position == record.position
        seen = (there.seq, there.last_hash, there.clock, there.decisions, there.portfolios)
        assert seen == (here.seq, here.last_hash, here.clock, here.decisions, here.portfolios)
        assert there.next_deadline() == here.next_deadline()
        assert there.next_begin() == here.next_begin()
    assert here.decisions > 4
    assert there.checkpoint() == here.checkpoint()


@pytest.mark.parametrize("together", [1, 3, 1_000])
def test_records_that_are_expected_are_decided_together_and_taken_one_by_one(
    decider: Decider, together: int
) -> None:
    log, there, found = journal(), decider.engine(0, 1), []
    everything = records(log)
    for start in range(0, len(everything), together):
        part = everything[start : start + together]
        there.expect(part)
        for record in part:
            found.append(there.step(record))
            assert there.position == record.position  # not how far it has come over there
    assert found == local(log)


def test_what_was_expected_and_does_not_come_is_not_decided(decider: Decider) -> None:
    log, there = journal(), decider.engine(0, 1)
    first, second, third, *_ = records(log)
    there.expect([first, third])  # a hole: only the first can follow
    assert there.step(first) == local(log)[0]
    assert not there.ahead
    there.expect([first, second])  # one that is applied already is passed over
    assert there.step(second) == local(log)[1]
    assert there.step(third) == local(log)[2]


def test_a_round_is_answered_at_once_and_nothing_is_saved_while_outputs_wait(
    decider: Decider,
) -> None:
    log, there = journal(), decider.engine(0, 1)
    everything, said = records(log), local(log)
    rounds = [n for n, outputs in enumerate(said) if any(b"RoundClosed" in o for o in outputs)]
    there.expect(everything)
    there.step(everything[0])
    assert there.ahead
    with pytest.raises(RuntimeError, match="not taken"):
        there.checkpoint()
    with pytest.raises(RuntimeError, match="not all taken"):
        there.expect(everything)
    for record in everything[1 : rounds[0] + 1]:
        there.step(record)
    assert not there.ahead


def test_a_shard_recovers_from_its_checkpoint_over_there(decider: Decider) -> None:
    log = journal()
    first = Shard(log, decider.engine(0, 1))
    first.recover()
    first.checkpoint()
    said = [record.payload for record in log.read("decisions", 0)]
    assert said == [entry for outputs in local(log) for entry in outputs]
    again = Shard(log, decider.engine(0, 1))
    assert again.recover().from_position == first.engine.position
    assert again.engine.last_hash == first.engine.last_hash


def test_a_record_on_which_the_engine_breaks_is_quarantined_as_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = evolve_input

    def breaking(state: Any, stamp: Any, event: Any) -> None:
        whole(state, stamp, event)
        if getattr(event, "event_id", "").endswith("7"):
            raise ValueError("planted")

    monkeypatch.setattr(engine_module, "evolve_input", breaking)
    log, twin = journal(), journal()
    there = Decider(make, 1)
    try:
        shard = Shard(log, there.engine(0, 1))
        shard.engine.expect(records(log))
        shard.recover()
    finally:
        there.close()
    Shard(twin, make(0, 1)).recover()
    ours, theirs = (list(one.read("decisions", 0)) for one in (log, twin))
    assert [r.payload for r in ours] == [r.payload for r in theirs]
    assert any(b"planted" in r.payload for r in ours)


def test_errors_are_raised_here_as_they_were_there(
    decider: Decider, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, there = journal(), decider.engine(0, 1)
    with pytest.raises(NotStarted, match="begins with EngineStarted"):
        there.step(Record("journal", 0, 0, T0, records(log)[3].payload))
    with pytest.raises(CheckpointError):
        there.restore(b"no state")
    there.step(records(log)[0])  # and it goes on
    broken = RuntimeError("planted")
    monkeypatch.setattr(Engine, "checkpoint", lambda _: (_ for _ in ()).throw(broken))
    forked = Decider(make, 1)
    try:
        with pytest.raises(RuntimeError, match="planted"):
            forked.engine(0, 1).checkpoint()
    finally:
        forked.close()


@pytest.mark.parametrize(
    "error", [EvolveFailed(7, "record", "why"), EngineSealedError("x"), MemoryError("y")]
)
def test_every_kind_of_error_keeps_its_kind(error: Exception) -> None:
    again = raised(failure(error))
    assert type(again) is type(error)
    assert str(again) == str(error)


def test_an_owner_with_a_successor_is_refused(decider: Decider) -> None:
    """It hung in the broker while its shard was given away and came back to this worker."""
    log = journal()
    old: RemoteEngine = decider.engine(0, 1)
    everything = records(log)
    for record in everything[:10]:
        old.step(record)
    new: RemoteEngine = decider.engine(0, 1)
    for ask in (old.checkpoint, old.reset, lambda: old.step(everything[10])):
        with pytest.raises(Replaced, match="another owner"):
            ask()
    assert [new.step(record) for record in everything] == local(log)


def test_a_seal_and_a_start_among_quiet_records_are_told(decider: Decider) -> None:
    log = journal()
    tail = records(log)[-1]
    at, next_at = tail.position + 1, tail.journal_time + SECOND
    sealed = EngineSealed(event_id="seal", event_time=next_at)
    log.append([Append("journal", 0, encode_journal(Stamp("journal", "", 0, -1, next_at), sealed))])
    log.append([Append("journal", 0, records(log)[0].payload)])
    for number in range(3):
        tick = ClockTicked(event_id=f"t{number}", event_time=next_at + number)
        entry = encode_journal(Stamp("journal", "", 0, -1, tick.event_time), tick)
        log.append([Append("journal", 0, entry)])
    there: RemoteEngine = decider.engine(0, 1)
    found = {}
    everything = records(log)
    for record in everything:
        if not there.ahead:
            there.expect(everything[record.position :])
        there.step(record)
        found[record.position] = there.state.sealed
    assert [n for n, is_sealed in found.items() if is_sealed] == [at]


def test_a_deciding_process_that_runs_passes_the_check(decider: Decider) -> None:
    decider.check()
    decider.engine(0, 1)
    decider.check()


def test_a_deciding_process_that_was_killed_is_missed_at_once() -> None:
    there = Decider(make, 1)
    engine_there = there.engine(0, 1)
    os.kill(there.pid, signal.SIGKILL)
    with pytest.raises(DeciderGone):
        engine_there.checkpoint()
    os.waitid(os.P_PID, there.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(DeciderGone):
        there.check()
    there.close()


def test_it_ends_with_its_worker_and_not_by_a_signal_to_both() -> None:
    reading, writing = os.pipe()
    worker = os.fork()
    if not worker:  # a worker that is killed: its deciding process must not stay behind
        there = Decider(make, 1)
        os.kill(there.pid, signal.SIGTERM)
        there.engine(0, 1)  # it still answers
        os.write(writing, str(there.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(worker, 0)
    pid = int(os.read(reading, 20))
    until = time.monotonic() + WITHIN_S
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(pid)
    os.close(reading)
    os.close(writing)


def _runs(pid: int) -> bool:
    """Whether it is there, and no zombie that its new parent has not looked after yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Telling:
    """An engine that says which shard steps, and waits to be let go on in the first."""

    portfolios = 0

    def __init__(self, shard: int, says: int, go: int) -> None:
        self.state = State(shard=shard, shards=3)
        self._says, self._go = says, go

    def next_deadline(self) -> int | None:
        return T0 if self.state.shard < 2 else None

    def next_begin(self) -> int | None:
        return None

    def step(self, record: Record, **_: object) -> list[bytes]:
        os.write(self._says, str(record.shard).encode())
        if record.shard == 0:
            os.read(self._go, 1)
        return []


def test_what_takes_long_waits_for_what_does_not() -> None:
    said, says = os.pipe()
    go, goes = os.pipe()
    there = Decider(lambda shard, _: cast("Engine", Telling(shard, says, go)), 3)
    try:
        for shard in range(3):
            there.engine(shard, 3)
        lines = [line._connection for line in there._lines]
        for shard in range(3):  # the first two end a round
            step: tuple[object, ...] = ("step", shard, shard, [(0, T0 + 1, b"")], {})
            lines[shard].send_bytes(pickle.dumps(step))
            if not shard:
                assert os.read(said, 1) == b"0"
        os.write(goes, b".")
        for line in lines:
            assert line.poll(WITHIN_S)
        assert os.read(said, 2) == b"21"
    finally:
        there.close()
        for end in (said, says, go, goes):
            os.close(end)


def test_rounds_due_together_are_worked_out_by_children_over_there_and_say_the_same() -> None:
    said, says = os.pipe()

    class Telltale(ForkedHands):
        def share(self, names: Sequence[str], work: Work) -> Shared | None:
            shared = super().share(names, work)
            os.write(says, b"." if shared is None else b"+")
            return shared

    there = Decider(lambda *_: engine_with(Telltale(3)), 1)
    try:
        os.kill(there.pid, signal.SIGTERM)  # the worker's to obey, not its
        engine_there = there.engine(0, 1)
        engine_there.expect(firm().records)
        assert [engine_there.step(record) for record in firm().records] == firm().said
        assert engine_there.checkpoint() == firm().checkpoint
        assert os.read(said, 100).count(b"+") == SESSIONS
    finally:
        there.close()
        os.close(said)
        os.close(says)


def test_repeats_and_garbage_are_what_they_are_here(decider: Decider) -> None:
    log = journal()
    log.append([Append("journal", 0, b"garbage", T0 + 2 * HOUR)])
    there: RemoteEngine = decider.engine(0, 1)
    everything = records(log)
    there.expect(everything)
    assert [there.step(record) for record in everything] == local(log)
    assert there.step(everything[3]) == []

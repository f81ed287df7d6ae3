"""Forked hands: the bytes of one process whatever becomes of children, and nothing left of them."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core import evolve, timers
from coordinator.core.decide import close_round
from coordinator.core.engine import EvolveFailed
from coordinator.core.evolve import essential
from coordinator.core.ports import Append, Record
from coordinator.core.shard import Shard
from coordinator.core.state import Portfolio, State
from coordinator.core.together import Told, Work
from coordinator.log.memory import MemoryLog
from coordinator.shells import forked
from coordinator.shells.forked import ROUNDS_MIN, ForkedHands, cores, engine_on_cores
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.verdicts import RecordQuarantined
from tests.journals import engine, events_of, law, outputs, zero_clock
from tests.support.many_rounds import PORTFOLIOS, SESSIONS, engine_with, events_in, firm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked")

OWN = Path("/proc/self")
NAMES = [f"round\tp{number:03d}" for number in range(30)]
WITHIN_S = 20.0
Answer = Callable[[str, Work], bytes]


def children() -> list[int]:
    return [
        int(pid)
        for task in (OWN / "task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def descriptors() -> int:
    return len(list((OWN / "fd").iterdir()))


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test does: no child, not even a dead one, and no open file more."""
    before, known = descriptors(), children()
    yield
    assert children() == known
    assert descriptors() == before


@cache
def a_round() -> RoundClosed:
    return next(e for e in events_in(firm().said) if isinstance(e, RoundClosed))


def told(*names: str) -> list[Told]:
    """Events that are easily told apart."""
    event = a_round()
    return [Told(event.model_copy(update={"portfolio": name}), name.encode()) for name in names]


def slow(name: str) -> Sequence[Told]:
    time.sleep(0.002)
    return told(name, name + "'s")


def very_slow(name: str) -> Sequence[Told]:
    time.sleep(0.5)
    return slow(name)


def gone_through(hands: ForkedHands, names: Sequence[str] = NAMES) -> list[Sequence[Told]]:
    """As the engine does: what is taken, or else worked out here."""
    shared = hands.share(names, slow)
    assert shared is not None
    try:
        found = []
        for name in names:
            taken = shared.take(name)
            found.append(slow(name) if taken is None else taken)
        return found
    finally:
        shared.close()


EXPECTED = [(name, f"{name}'s") for name in NAMES]


def names_in(found: list[Sequence[Told]]) -> list[Any]:
    return [tuple(one.event.portfolio for one in answer) for answer in found]  # type: ignore[attr-defined]


def in_children(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Any], *, at: str) -> None:
    """A child that comes to that round does something else first, or instead of it."""
    real = forked._answer

    def answer(name: str, work: Work) -> bytes:
        instead = fault() if name.endswith(at) else None
        return instead if isinstance(instead, bytes) else real(name, work)

    monkeypatch.setattr(forked, "_answer", answer)


# -- the same bytes -------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_bytes_and_the_state_are_those_of_one_process(processes: int) -> None:
    hands = ForkedHands(processes)
    made = engine_with(hands)
    assert firm().again(made) == firm().said
    assert made.checkpoint() == firm().checkpoint
    assert (hands.taken > 0) == (processes > 1)


def test_the_journal_holds_what_rounds_can_bring() -> None:
    kinds = {type(event).__name__ for event in events_in(firm().said)}
    assert {"ConflictsDetected", "SleevesBooked", "QualityScored", "TradesExpired"} <= kinds
    assert "InputRejected" not in kinds
    decided = [e for e in events_in(firm().said) if isinstance(e, AllocationDecided)]
    assert len(decided) > PORTFOLIOS * SESSIONS * 0.8
    assert any("firm_volume_share" in str(e.solver.remarks) for e in decided)


@law(4)
@given(processes=st.integers(1, 9), session=st.integers(0, SESSIONS - 1))
def test_any_number_of_processes_says_the_same(processes: int, session: int) -> None:
    made = engine_with(ForkedHands(processes))
    said = firm().again(made, session=session)
    assert said == firm().said[-len(said) :]
    assert made.checkpoint() == firm().checkpoint


def test_children_do_a_good_part_of_the_work() -> None:
    hands = ForkedHands(2)
    assert names_in(gone_through(hands)) == EXPECTED
    assert 5 <= hands.taken <= len(NAMES) - 1


def test_few_rounds_and_one_process_fork_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    assert ForkedHands(1).share(NAMES, slow) is None
    assert ForkedHands(4).share(NAMES[: ROUNDS_MIN - 1], slow) is None
    assert ForkedHands(4).share([], slow) is None


def test_elsewhere_than_on_linux_nobody_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert ForkedHands(4).share(NAMES, slow) is None


def test_the_first_round_is_worked_out_before_anybody_is_forked() -> None:
    shared = ForkedHands(2).share(NAMES, slow)
    assert shared is not None
    assert shared.take(NAMES[0]) is None
    assert not children()
    shared.take(NAMES[1])
    assert len(children()) == 1
    shared.close()


def test_an_engine_of_this_build_uses_the_cores_that_it_may() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    made = engine_on_cores(shard=1, shards=2)
    assert (made.state.shard, made.state.shards) == (1, 2)


# -- what becomes of children ---------------------------------------------------------------------


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_myself() -> NoReturn:
    raise SystemExit(3)


def interrupt_myself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(WITHIN_S)


def sleep_long() -> None:
    time.sleep(60 * WITHIN_S)


FAULTS: dict[str, Callable[[], Any]] = {
    "killed": kill_myself,
    "told to end": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "interrupted": interrupt_myself,
    "ends itself": end_myself,
    "no pickle": lambda: b"no pickle at all",
    "half a pickle": lambda: pickle.dumps(told("p"))[:-20],
    "an answer that takes too long": sleep_long,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", ["p029", "p021"])
def test_a_child_that_fails_in_the_middle_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], fault: str, at: str
) -> None:
    monkeypatch.setattr(forked, "WAIT_S_MAX", 0.1)
    in_children(monkeypatch, FAULTS[fault], at=at)
    hands = ForkedHands(2)
    assert names_in(gone_through(hands)) == EXPECTED
    if at == "p021":
        assert hands.taken > 0 or "pickle" in fault
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_whose_children_fail_says_the_same(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(forked, "WAIT_S_MAX", 0.1)
    in_children(monkeypatch, FAULTS[fault], at="p031")
    made = engine_with(ForkedHands(3))
    said = firm().again(made, session=1)
    assert said == firm().said[-len(said) :]
    assert made.checkpoint() == firm().checkpoint


@pytest.mark.parametrize(
    "torn", [b"\xff\xff\xff\xffmore", b"\x00", b"\x00\x00\x01\x00half of it", b"", b"\0\0\0\1\2"]
)
def test_a_torn_message_costs_no_answer(monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    def serve(names: Sequence[str], work: Work, writes: int, engine: int) -> NoReturn:
        os.write(writes, torn)
        os._exit(0)

    monkeypatch.setattr(forked, "_serve", serve)
    hands = ForkedHands(3)
    assert names_in(gone_through(hands)) == EXPECTED
    assert hands.taken == 0


@pytest.mark.parametrize("refused", ["fork", "pipe"])
@pytest.mark.parametrize("after", [0, 1])
def test_where_no_child_can_be_made_the_engine_does_it_alone(
    monkeypatch: pytest.MonkeyPatch, refused: str, after: int
) -> None:
    real, calls = getattr(os, refused), []

    def refuse() -> Any:
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.EAGAIN, "no more")
        return real()

    monkeypatch.setattr(os, refused, refuse)
    hands = ForkedHands(3)
    assert names_in(gone_through(hands)) == EXPECTED
    assert len(calls) == after + 1
    assert (hands.taken > 0) == (after > 0)


def test_fifty_moments_leave_neither_children_nor_open_files() -> None:
    hands = ForkedHands(3)
    before = descriptors()
    for _ in range(50):
        gone_through(hands, NAMES[:ROUNDS_MIN])
        assert not children()
        assert descriptors() == before
    assert hands.taken > 50


def test_who_asks_no_more_ends_children_that_are_still_at_work() -> None:
    shared = ForkedHands(3).share(NAMES, slow)
    assert shared is not None
    for name in NAMES[:2]:
        shared.take(name)
    assert len(children()) == 2
    shared.close()
    shared.close()
    assert shared.take(NAMES[2]) is None


def test_a_child_holds_nothing_open_but_its_pipe_and_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def look(name: str) -> Sequence[Told]:
        os.write(2, b"told to nobody")
        links = [str(one.readlink()) for one in (OWN / "fd").iterdir() if one.is_symlink()]
        return told(*(link for link in links if not link.startswith("/proc/")))

    sys.stdout.write("once")
    shared = ForkedHands(2).share(NAMES, look)
    assert shared is not None
    shared.take(NAMES[0])
    shared.take(NAMES[1])
    time.sleep(0.2)
    taken = shared.take(NAMES[-1])
    shared.close()
    assert taken is not None
    *nowhere, pipe = sorted(names_in([taken])[0])
    assert nowhere == ["/dev/null"] * 3
    assert pipe.startswith("pipe:")
    sys.stdout.flush()
    assert capfd.readouterr() == ("once", "")


def test_children_end_with_an_engine_that_is_killed() -> None:
    reads, writes = os.pipe()
    engine = os.fork()
    if not engine:
        try:
            shared = ForkedHands(3).share(NAMES, very_slow)
            assert shared is not None
            shared.take(NAMES[0])
            shared._fork()  # type: ignore[attr-defined]
            os.write(writes, " ".join(map(str, children())).encode())
            time.sleep(60 * WITHIN_S)
        finally:
            os._exit(1)
    os.close(writes)
    left = [int(pid) for pid in os.read(reads, 100).split()]
    os.close(reads)
    assert len(left) == 2
    os.kill(engine, signal.SIGKILL)
    os.waitpid(engine, 0)
    until = time.monotonic() + WITHIN_S
    while any(map(runs, left)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(runs, left))


def runs(pid: int) -> bool:
    """Whether it is there and not dead; whoever has adopted it may not have looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# -- rounds that fail -----------------------------------------------------------------------------


def test_a_round_that_raises_is_quarantined_as_by_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(state: State, portfolio: Portfolio, **more: Any) -> Any:
        if portfolio.name in {"p001", "p020", "p040"}:
            message = f"broken at {object()}"
            raise RuntimeError(message)
        return close_round(state, portfolio, **more)

    monkeypatch.setattr(timers, "close_round", broken)
    alone, hands = engine(0, 1), ForkedHands(3)
    made = engine_with(hands)
    expected = firm().again(alone)
    assert firm().again(made) == expected
    assert made.checkpoint() == alone.checkpoint()
    assert hands.taken > 0
    paused = [e.portfolio for e in events_in(expected) if isinstance(e, RecordQuarantined)]
    assert len(paused) == 3
    assert set(paused) == {"p001", "p020", "p040"}


def break_closing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = evolve._OUTPUTS[RoundClosed]

    def change(state: State, event: RoundClosed) -> None:
        real(state, event)
        if event.portfolio in names:
            raise RuntimeError("broken on the way")

    changes: dict[Any, Any] = evolve._OUTPUTS
    monkeypatch.setitem(changes, RoundClosed, change)


def test_a_change_that_fails_leaves_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    break_closing(monkeypatch, "p005")
    made = engine_with(ForkedHands(3))
    with pytest.raises(EvolveFailed) as raised:
        firm().again(made)
    assert raised.value.unit == "round\tp005"
    assert not children()
    assert made._together._shared is None
    assert not made._together._waiting


def test_a_change_that_fails_is_rolled_back_and_quarantined_as_by_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_closing(monkeypatch, "p005", "p030")
    logs = []
    for made in (engine(0, 1), engine_with(ForkedHands(3))):
        log = MemoryLog(clock=zero_clock)
        for one in firm().records:
            log.append([as_appended(one)])
        Shard(log, made).recover()
        logs.append(log)
    alone, forked_log = logs
    assert outputs(alone) == outputs(forked_log)
    assert {e.portfolio for e in events_of(alone, RecordQuarantined)} == {"p005", "p030"}


def as_appended(record: Record) -> Append:
    return Append("journal", 0, record.payload, record.journal_time)


def test_a_decision_without_its_long_parts_names_whatever_asks_for_them() -> None:
    decided = next(e for e in events_in(firm().said) if isinstance(e, AllocationDecided))
    found = pickle.loads(pickle.dumps(essential(decided)))
    assert found.trades == decided.trades
    assert decided.targets
    with pytest.raises(AttributeError):
        _ = found.targets

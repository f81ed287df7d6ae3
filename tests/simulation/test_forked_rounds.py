"""Rounds that children work out: the bytes, the state and the failures of one process."""

from __future__ import annotations

import ast
import inspect
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.bootstrap import build_engine
from coordinator.core import announce, evolve, timers
from coordinator.core.decide import close_round
from coordinator.core.engine import EvolveFailed
from coordinator.core.evolve import essential
from coordinator.core.ports import Append, Record
from coordinator.core.shard import Shard
from coordinator.core.state import Portfolio, State
from coordinator.core.together import Work
from coordinator.log.memory import MemoryLog
from coordinator.shells import forked
from coordinator.shells.forked import ForkedHands
from coordinator.shells.local import LocalShell
from replay.backtest import backtest
from replay.verify import verify
from schemas.decisions import AllocationDecided, RoundClosed
from schemas.verdicts import RecordQuarantined
from tests.journals import engine, events_of, law, outputs, zero_clock
from tests.support.children import children, nothing_left
from tests.support.many_rounds import PORTFOLIOS, SESSIONS, engine_with, events_in, firm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is forked")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield


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


def test_a_backtest_and_a_verification_use_the_cores_and_agree_with_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, forks = forked._forked, []

    def counted(names: Sequence[str], work: Work) -> Any:
        forks.append(len(names))
        return real(names, work)

    monkeypatch.setattr(forked, "cores", lambda: 3)
    monkeypatch.setattr(forked, "_forked", counted)
    played = backtest(firm().log, tmp_path / "out.db")
    assert played.decisions > 100
    assert forks
    before = len(forks)
    assert verify(tmp_path / "out.db", engines=build_engine).ok
    assert len(forks) == before
    assert verify(tmp_path / "out.db").ok
    assert len(forks) > before


def test_the_local_shell_uses_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "cores", lambda: 3)
    shell = LocalShell(MemoryLog(clock=zero_clock), shards=2, clock=zero_clock)
    hands = [one._together._hands for one in shell._engines]
    assert all(isinstance(one, ForkedHands) and one._children == 2 for one in hands)


FAULTS: dict[str, Callable[[], Any]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "no pickle": lambda: b"no pickle at all",
    "an answer that takes too long": lambda: time.sleep(1_000),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_whose_children_fail_says_the_same(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    real = forked._answer

    def answer(name: str, work: Work) -> bytes:
        instead = FAULTS[fault]() if name.endswith("p031") else None
        return instead if isinstance(instead, bytes) else real(name, work)

    monkeypatch.setattr(forked, "_answer", answer)
    monkeypatch.setattr(forked, "WAIT_S_MAX", 0.1)
    made = engine_with(ForkedHands(3))
    said = firm().again(made, session=1)
    assert said == firm().said[-len(said) :]
    assert made.checkpoint() == firm().checkpoint


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
    made, known = engine_with(ForkedHands(3)), children()
    with pytest.raises(EvolveFailed) as raised:
        firm().again(made)
    assert raised.value.unit == "round\tp005"
    assert not children(known)
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


def test_nothing_that_applies_a_decision_reads_its_long_parts() -> None:
    for applied in (evolve._decided, announce.ours_to_say):
        tree = ast.parse(inspect.getsource(applied))
        read = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "event"
        }
        assert read
        assert not read & set(evolve._UNREAD)

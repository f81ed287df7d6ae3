"""Fold: an engine that broke while applying is built again and steps over what broke it."""

from __future__ import annotations

import gc
from itertools import islice
from typing import Any

import pytest

from coordinator.core import evolve
from coordinator.core.checkpoint import CheckpointError
from coordinator.core.engine import EvolveFailed
from coordinator.core.fold import Fold
from coordinator.core.route import Router
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.log.memory import MemoryLog
from schemas.portfolios import CashMoved
from schemas.verdicts import RecordQuarantined
from tests.journals import T0, Inputs, engine, lay, zero_clock

MONEY = {"portfolio": "p", "amount": "1", "currency": "USD"}


def journal(count: int) -> MemoryLog:
    make = Inputs()
    inputs = [make.opened("p")]
    inputs += [make.make("portfolios", "CashMoved", T0 + n, **MONEY) for n in range(count)]
    return lay(inputs, MemoryLog(clock=zero_clock), shards=1)


INPUTS: dict[Any, Any] = evolve._INPUTS
OUTPUTS: dict[Any, Any] = evolve._OUTPUTS


def broken(_: Any, __: Any) -> None:
    raise RuntimeError


@pytest.mark.parametrize("from_checkpoint", [False, True])
def test_several_broken_records_are_each_stepped_over(
    monkeypatch: pytest.MonkeyPatch, from_checkpoint: bool
) -> None:
    monkeypatch.setitem(INPUTS, CashMoved, broken)
    log = journal(3)
    fold = Fold(log, engine(0, 1))
    fold.start(None)
    first, second, *rest = list(log.read("journal", 0))
    for record in (first, second):
        fold.step(record)
    if from_checkpoint:
        fold.start(fold.engine.checkpoint())
    said = [entry for record in rest for entry in fold.step(record)]
    assert sum(b"RecordQuarantined" in entry for entry in said) == 3
    assert fold.engine.position == rest[-1].position


def test_a_quarantine_that_breaks_itself_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INPUTS, CashMoved, broken)
    monkeypatch.setitem(OUTPUTS, RecordQuarantined, broken)
    log = journal(1)
    fold = Fold(log, engine(0, 1))
    fold.start(None)
    first, second, third = log.read("journal", 0)
    fold.step(first)
    fold.step(second)
    with pytest.raises(EvolveFailed, match="position 2, record: RuntimeError"):
        fold.step(third)


def test_after_a_checkpoint_a_rebuild_does_not_go_back_to_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = journal(40)
    starts: list[int] = []
    read = MemoryLog.read

    def noted(self: MemoryLog, topic: str, shard: int, start: int = 0, stop: Any = None) -> Any:
        if topic == "journal":
            starts.append(start)
        return read(self, topic, shard, start, stop)

    owner = Shard(log, engine(0, 1))
    owner.recover()
    owner.checkpoint()
    at, state = owner.engine.position, owner.engine.checkpoint()
    monkeypatch.setattr(MemoryLog, "read", noted)
    monkeypatch.setitem(INPUTS, CashMoved, broken)
    money = Inputs({("portfolios", 0): 41}).make("portfolios", "CashMoved", T0 + 50, **MONEY)
    Router(log, shards=1).accept([money.raw], journal_times=[money.at])
    assert owner.pump() == 1
    assert set(starts) == {at + 1}
    assert isinstance(owner.engine.state, State)
    assert owner.engine.state.portfolios["p"].paused
    owner.engine.restore(state)
    assert owner.engine.position == at


def break_the_next(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record comes that cannot be applied: the state before it has to be built again."""
    monkeypatch.setitem(INPUTS, CashMoved, broken)
    money = Inputs({("portfolios", 0): 6}).make("portfolios", "CashMoved", T0 + 50, **MONEY)
    Router(log, shards=1).accept([money.raw], journal_times=[money.at])


def test_what_is_rebuilt_from_is_not_kept_in_memory_but_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = journal(5)
    owner = Shard(log, engine(0, 1))
    owner.recover()
    owner.checkpoint()
    body = owner.engine.checkpoint()
    assert not [held for held in gc.get_referents(vars(owner._fold)) if held == body]
    break_the_next(log, monkeypatch)
    monkeypatch.setattr("coordinator.core.fold._readable", lambda *_: iter(()))
    with pytest.raises(CheckpointError, match="is gone"):
        owner.pump()


def test_older_states_that_a_zombie_wrote_behind_ours_do_not_hide_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = journal(5)
    zombie = Shard(log, engine(0, 1))
    zombie.begin()
    late = Inputs({("signals", 0): 50}).signal("s", "A", T0 + 40)
    Router(log, shards=1).accept([late.raw], journal_times=[late.at])
    owner = Shard(log, engine(0, 1))
    owner.recover()
    owner.checkpoint()
    for record in islice(log.read("journal", 0), 3):
        zombie.step(record)
        zombie.checkpoint()
    break_the_next(log, monkeypatch)
    owner.pump()
    (quarantined,) = (
        record for record in log.read("decisions", 0) if b'"RecordQuarantined"' in record.payload
    )
    assert b"CashMoved" in quarantined.payload

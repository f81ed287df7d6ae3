"""Announce: what is said before an input counts, and by which shard."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.core import evolve
from coordinator.core.listen import take_view
from coordinator.core.shards import shard_of
from coordinator.core.state import State
from schemas.market import PricesObserved
from schemas.signals import SignalIssued
from schemas.verdicts import InputRejected, InputRejection, RecordQuarantined
from tests.journals import DAY, HOUR, SECOND, T0, Inputs, events_of, run

SHARDS = 3


def boom(*_: Any) -> None:
    raise RuntimeError


def broken_on(shard: int, real: Any) -> Any:
    def change(state: State, *rest: Any) -> None:
        if state.shard == shard:
            boom()
        real(state, *rest)

    return change


@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_went_wrong_on_a_shard_is_said_there(
    monkeypatch: pytest.MonkeyPatch, shard: int
) -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.prices({"A": 1.0}, T0 + HOUR)]
    inputs.append(make.signal("s", "A", T0 + 2 * HOUR))
    changes: dict[Any, Any] = evolve._INPUTS
    monkeypatch.setitem(changes, PricesObserved, broken_on(shard, changes[PricesObserved]))
    monkeypatch.setattr(evolve, "take_view", broken_on(shard, take_view))
    log = run(inputs, shards=SHARDS, end=T0 + DAY)
    for number in range(SHARDS):
        said = events_of(log, RecordQuarantined, shards=number + 1)
        expected = ["PricesObserved", SignalIssued.__name__] if number >= shard else []
        assert [e.event for e in said] == expected


def test_late_prices_are_said_once_by_shard_0_before_they_count() -> None:
    make = Inputs()
    names = [f"N{n:02d}" for n in range(12)]
    inputs = [make.listed(name) for name in [*names, "Z"]]
    inputs.append(make.prices(dict.fromkeys(names, 10.0), T0 + HOUR))
    late = dict.fromkeys([*names, "Z"], 9.0)
    inputs.append(make.prices(late, T0 + 2 * HOUR, event_time=T0 + SECOND))
    log = run(inputs, shards=SHARDS)
    (said,) = events_of(log, InputRejected, shards=1)
    assert events_of(log, InputRejected, shards=SHARDS) == [said]
    assert (said.reason, said.event) == (InputRejection.STALE, "PricesObserved")
    assert said.detail == "left out: " + ", ".join(names[:10]) + " and 2 more"


def test_the_shards_named_here_are_all_somebodys_home() -> None:
    assert {shard_of(f"p{n}", SHARDS) for n in range(20)} == set(range(SHARDS))

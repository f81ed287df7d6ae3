"""Laws of the engine over recorded days: what must not change a decision, and what must add up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ports import Append, Record
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided, RoundClosed
from tests.journals import (
    DAY,
    T0,
    Input,
    contents,
    events_of,
    law,
    lay,
    outputs,
    owners,
    run,
    zero_clock,
)
from tests.recorded import PORTFOLIOS, recorded
from tests.support.many_rounds import Eager, engine_with

SEEDS = (1, 2, 3)
END = T0 + 5 * DAY


@cache
def usual(seed: int, shards: int = 1) -> MemoryLog:
    """The recorded days, decided without any trouble."""
    return run(recorded(seed), shards=shards, end=END)


def decide(log: MemoryLog, shards: int = 1) -> MemoryLog:
    for owner in owners(log, shards=shards):
        owner.recover()
    return log


@pytest.mark.parametrize("seed", SEEDS)
def test_a_portfolios_decisions_are_the_same_for_1_3_and_8_shards(seed: int) -> None:
    inputs = recorded(seed)
    one, *more = (run(inputs, shards=n, end=END) for n in (1, 3, 8))
    said = contents(one, shards=1)
    assert set(PORTFOLIOS) <= said.keys()
    assert len(events_of(one, AllocationDecided)) > 10
    for shards, log in zip((3, 8), more, strict=True):
        assert contents(log, shards=shards) == said


@pytest.mark.parametrize("seed", SEEDS)
def test_positions_that_skip_change_no_content(seed: int) -> None:
    inputs = recorded(seed)
    rng = Random(seed)
    skipping = MemoryLog(clock=zero_clock, skip=lambda position: position + rng.randrange(3))
    log = decide(lay(inputs, skipping, shards=1, end=END))
    assert contents(log, shards=1) == contents(usual(seed), shards=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_rounds_of_one_moment_do_not_need_each_other(seed: int) -> None:
    """All are worked out, the last one first, before the first of them is applied."""
    hands = Eager()
    log = run(recorded(seed), make=lambda *_: engine_with(hands), end=END)
    assert [one.hash for one in outputs(log)] == [one.hash for one in outputs(usual(seed))]
    assert hands.most > 1


@law(8)
@given(
    seed=st.sampled_from(SEEDS),
    ticks=st.lists(st.integers(T0, T0 + 4 * DAY), max_size=40),
    doubled=st.booleans(),
)
def test_outputs_do_not_depend_on_when_ticks_come(
    seed: int, ticks: list[int], doubled: bool
) -> None:
    empty, ticks = MemoryLog(clock=zero_clock), ticks * (1 + doubled)
    ticked = lay(recorded(seed), empty, shards=2, end=END, ticks=ticks)
    assert contents(decide(ticked, 2), shards=2) == contents(usual(seed, 2), shards=2)


@law(8)
@given(seed=st.sampled_from(SEEDS), cut=st.floats(0.1, 0.95), how=st.integers(0, 2))
def test_nothing_after_a_moment_changes_what_was_said_up_to_it(
    seed: int, cut: float, how: int
) -> None:
    inputs = recorded(seed)
    index = int(cut * len(inputs))
    moment = inputs[index].at
    first = next(i for i, one in enumerate(inputs) if one.at == moment)
    futures: tuple[Callable[[Input], Input], ...] = (_wilder, _backwards, _silent)
    other = (*inputs[:first], *(futures[how](one) for one in inputs[first:]))
    assert other != inputs
    assert _said_before(run(other, end=END), moment) == _said_before(usual(seed), moment)


def _said_before(log: MemoryLog, moment: int) -> list[str]:
    """Whole entries, chain and all, of what the engine said before a time of its clock."""
    return [e.hash for e in outputs(log) if getattr(e.event, "decided_at", 0) < moment]


def _changed(one: Input, **fields: object) -> Input:
    body = json.loads(one.raw.payload) | fields
    return replace(one, raw=replace(one.raw, payload=json.dumps(body).encode()))


def _wilder(one: Input) -> Input:
    body = json.loads(one.raw.payload)
    prices = [p * 1.7 for p in body.get("price", [])] if isinstance(body.get("price"), list) else []
    return _changed(one, **({"price": prices} if prices else {"strength": 1.0, "cash": "7"}))


def _backwards(one: Input) -> Input:
    body = json.loads(one.raw.payload)
    turned = {f: -body[f] for f in ("direction", "expected_return") if f in body}
    return _changed(one, **turned, event_id="other " + body["event_id"])


def _silent(one: Input) -> Input:
    """A message that becomes a dead letter."""
    return replace(one, raw=replace(one.raw, payload=b"{}"))


@law(8)
@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_journal_records_that_come_again_change_nothing(seed: int, data: st.DataObject) -> None:
    log = lay(recorded(seed), MemoryLog(clock=zero_clock), shards=2)
    again = MemoryLog(clock=zero_clock)
    for shard in range(2):
        records = list(log.read("journal", shard))
        first = data.draw(st.integers(1, len(records) - 1))
        count = data.draw(st.integers(1, 30))
        stretch = records[first : first + count]
        for record in (*records[: first + count], *stretch, *records[first + count :]):
            _copy(record, again)
    for shard in range(2):
        owners(again, shards=2)[shard].tick(END)
    assert contents(decide(again, 2), shards=2) == contents(usual(seed, 2), shards=2)


def _copy(record: Record, log: MemoryLog) -> None:
    log.append([Append(record.topic, record.shard, record.payload, record.journal_time)])


@law(5)
@given(seed=st.sampled_from(SEEDS), order=st.randoms(use_true_random=False))
def test_sources_reordered_inside_a_round_decide_the_same(seed: int, order: Random) -> None:
    inputs = _bursts(recorded(seed))
    mixed = _shuffled_bursts(inputs, order)
    straight = run(inputs, end=END)
    assert contents(run(mixed, end=END), shards=1) == contents(straight, shards=1)
    assert max(len(r.signals_used) for r in events_of(straight, RoundClosed)) > 3


def _bursts(inputs: tuple[Input, ...]) -> tuple[Input, ...]:
    """The same inputs with each run of neighbouring signals moved to the time of its first."""
    made: list[Input] = []
    for one in inputs:
        near = made and one.at - made[-1].at < 20_000_000
        both = near and {made[-1].raw.topic, one.raw.topic} == {"signals"}
        made.append(replace(one, at=made[-1].at) if both else one)
    return tuple(made)


def _shuffled_bursts(inputs: tuple[Input, ...], order: Random) -> tuple[Input, ...]:
    """Signals of one time in another order; each source's own order stays."""
    made: list[Input] = []
    rest = list(inputs)
    while rest:
        at = rest[0].at
        burst = [rest.pop(0)]
        while rest and burst[0].raw.topic == "signals" == rest[0].raw.topic and rest[0].at == at:
            burst.append(rest.pop(0))
        queues: dict[int, list[Input]] = {}
        for one in burst:
            queues.setdefault(one.raw.partition, []).append(one)
        places = [one.raw.partition for one in burst]
        order.shuffle(places)
        made += [queues[partition].pop(0) for partition in places]
    return tuple(made)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_decisions_reasons_add_up_to_it(seed: int) -> None:
    decided = events_of(usual(seed), AllocationDecided)
    for event in decided:
        parts = sum(use.utility for use in event.signals) + event.prior_utility
        assert parts == pytest.approx(event.after.expected_return, abs=1e-12)
        weights = sum(abs(target.weight - target.weight_before) for target in event.targets)
        assert event.turnover == pytest.approx(weights / 2, abs=1e-12)
        assert event.after.gross == pytest.approx(sum(abs(t.weight) for t in event.targets))
        assert event.cost == pytest.approx(sum(trade.cost for trade in event.trades), abs=1e-12)
    assert any(event.signals and event.trades for event in decided)

"""A checkpoint is the whole state: written, read and gone on from without a trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.checkpoint import (
    CheckpointError,
    decode_state,
    encode_state,
    portfolio_digest,
    state_digest,
)
from coordinator.core.fold import Fold
from coordinator.core.state import State
from coordinator.log.memory import MemoryLog
from tests.journals import DAY, HOUR, T0, Inputs, engine, law, lay, zero_clock
from tests.recorded import end_of, recorded
from tests.unit.core.planted import feed, state_of


@law(6)
@given(seed=st.sampled_from([1, 2, 3]), cut=st.floats(0.05, 1.0))
def test_an_engine_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(
    seed: int, cut: float
) -> None:
    inputs = recorded(seed)
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=end_of(inputs))
    records = list(log.read("journal", 0))
    stop = int(cut * len(records))
    first, second = engine(0, 1), engine(0, 1)
    for record in records[:stop]:
        first.step(record)
    second.restore(first.checkpoint())
    assert second.checkpoint() == first.checkpoint()
    for record in records[stop:]:
        assert second.step(record) == first.step(record)
    assert state_digest(second.state) == state_digest(first.state)


def test_a_checkpoint_amid_the_instant_of_a_close_keeps_what_is_to_end_there() -> None:
    make = Inputs()
    inputs = [make.listed("A"), make.registered("s"), make.opened("p", mode="aggressive")]
    inputs += [make.close({"A": 10.0}, T0), make.signal("s", "A", T0 + HOUR, horizon_sessions=1.0)]
    inputs += [make.close({"A": 10.0}, T0 + n * DAY) for n in (1, 2)]
    inputs += [make.fill("p", "A", "1", "10", T0 + 2 * DAY)]
    inputs += [make.prices({"A": 10.0}, T0 + 2 * DAY)]
    log = lay(inputs, MemoryLog(clock=zero_clock), shards=1, end=T0 + 3 * DAY)
    one, ends = engine(0, 1), 0
    for record in log.read("journal", 0):
        other = engine(0, 1)
        other.restore(one.checkpoint())
        moved = [n for n, at in one.state.timers.items() if n[:4] == "end-" and at == one.clock]
        ends += len(moved)
        assert other.step(record) == one.step(record)
        assert other.checkpoint() == one.checkpoint()
    assert ends >= 3


@law(20)
@given(
    names=st.sampled_from(["A", "AB", "ABC"]),
    moves=st.lists(st.floats(-0.1, 0.1), min_size=10, max_size=40),
    cut=st.floats(0.2, 0.9),
)
def test_no_bit_of_a_forecasts_scale_depends_on_a_restart(
    names: str, moves: list[float], cut: float
) -> None:
    make, price = Inputs(), 100.0
    inputs = [make.listed(name) for name in names] + [make.registered("s")]
    for n, move in enumerate(moves):
        price *= 1.0 + move
        inputs.append(make.close(dict.fromkeys(names, price), T0 + n * DAY))
        forecast = {"expected_return": 0.01, "horizon_sessions": 9.0}
        inputs.append(make.signal("s", "A", T0 + n * DAY + HOUR, **forecast))
    records = list(lay(inputs, MemoryLog(clock=zero_clock), shards=1).read("journal", 0))
    one, other = engine(0, 1), engine(0, 1)
    for record in records[: int(cut * len(records))]:
        one.step(record)
    other.restore(one.checkpoint())
    for record in records[int(cut * len(records)) :]:
        assert other.step(record) == one.step(record)
    assert other.checkpoint() == one.checkpoint()


def test_a_state_of_extremes_can_be_read_back() -> None:
    make = Inputs()
    state = state_of()
    extremes = {"expected_return": 10.0, "horizon_sessions": 5e-324, "confidence": 1.0}
    feed(state, make.signal("s", "A", T0, **extremes))
    feed(state, make.signal("s", "B", T0, expires_at=2**62 - 1, strength=5e-324))
    far = {"sessions": "clock", "session_ms": 10**12}
    feed(state, make.make("control", "ParametersChanged", T0, parameters=far))
    feed(state, make.signal("u", "B", T0, horizon_sessions=10_000.0))
    state.seen.put("a\tü🙂\t\u202e", -1)
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


def test_an_empty_state_can_be_read_back() -> None:
    state = State(shard=3, shards=8)
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_checkpoint_is_never_taken_for_a_state(at: int, bit: int, cut: bool) -> None:
    good = encode_state(state_of())
    place = at % len(good)
    flipped = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
    bad = good[:place] if cut else flipped
    try:
        found = decode_state(bad)
    except CheckpointError:
        return
    assert encode_state(found) == good


def test_a_checkpoint_of_another_shard_is_refused() -> None:
    with pytest.raises(ValueError, match="shard 1 of 2"):
        engine(0, 2).restore(encode_state(State(shard=1, shards=2)))


def test_a_portfolios_digest_knows_its_books_but_not_their_order() -> None:
    one, other = state_of().portfolios["p"], state_of().portfolios["p"]
    one.positions = {"A": one.cash, "B": one.cash}
    other.positions = {"B": one.cash, "A": one.cash}
    assert portfolio_digest(one) == portfolio_digest(other)
    other.positions["A"] = one.cash + 1
    assert portfolio_digest(one) != portfolio_digest(other)


def test_a_fold_can_begin_at_a_checkpoint() -> None:
    log = lay(recorded(1), MemoryLog(clock=zero_clock), shards=1)
    whole, part = Fold(log, engine(0, 1)), Fold(log, engine(0, 1))
    whole.start(None)
    for record in whole.journal():
        whole.step(record)
        if record.position == 40:
            part.start(whole.engine.checkpoint())
    assert next(part.journal()).position == 41
    for record in part.journal():
        part.step(record)
    assert part.engine.checkpoint() == whole.engine.checkpoint()

"""Standing: what is followed is what was decided, at every position, from any beginning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.core import evolve
from coordinator.core.checkpoint import portfolio_digest
from coordinator.core.listen import take_view
from coordinator.core.ports import Record
from coordinator.core.shard import Shard
from coordinator.core.state import State
from coordinator.log.memory import MemoryLog
from replay.standing import Moment, standing
from schemas.entries import Stamp
from schemas.signals import SignalIssued
from schemas.verdicts import RecordQuarantined
from tests.journals import engine, events_of, lay, owners, run, zero_clock
from tests.recorded import PORTFOLIOS, end_of, recorded

INPUTS = recorded(3)
LOG = run(INPUTS, end=end_of(INPUTS))


def decided_at(position: int) -> dict[str, str]:
    """Digests of all portfolios of an engine that decided up to there."""
    made = engine(0, 1)
    for record in LOG.read("journal", 0, 0, position + 1):
        made.step(record)
    return digests(made.state)


def digests(state: State) -> dict[str, str]:
    """Of all portfolios, but for whether a round is collecting: who follows opens none."""
    return {
        name: portfolio_digest(replace(one, round=None)) for name, one in state.portfolios.items()
    }


def followed_at(log: MemoryLog, moment: Moment) -> dict[str, str]:
    return digests(standing(log, 0, moment).state)


@pytest.mark.parametrize("part", [n / 20 for n in range(21)])
def test_a_followed_book_is_the_decided_one_at_any_position(part: float) -> None:
    position = int((LOG.end("journal", 0) - 1) * part)
    assert followed_at(LOG, Moment(position=position)) == decided_at(position)


def test_a_time_means_the_last_record_of_no_later() -> None:
    middle: Record = list(LOG.read("journal", 0))[LOG.end("journal", 0) // 2]
    found = standing(LOG, 0, Moment(time=middle.journal_time))
    after = next(iter(LOG.read("journal", 0, found.position + 1)))
    assert found.time <= middle.journal_time < after.journal_time


def test_a_log_of_inputs_alone_has_books_and_nothing_open() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=end_of(INPUTS))
    state = standing(log, 0, Moment()).state
    assert sorted(state.portfolios) == sorted(PORTFOLIOS)
    assert all(one.rounds == 0 and not one.open_trades for one in state.portfolios.values())
    assert any(one.fills for one in state.portfolios.values())


def test_it_begins_at_the_newest_recorded_state_of_no_later() -> None:
    log = lay(INPUTS, MemoryLog(clock=zero_clock), shards=1, end=end_of(INPUTS))
    (owner,) = owners(log, shards=1, every=5)
    owner.recover()
    read: list[int] = []
    last = log.end("journal", 0) - 1
    plain = log.read

    def watched(topic: str, shard: int, start: int = 0, stop: int | None = None):  # type: ignore[no-untyped-def] # as MemoryLog.read
        if topic == "journal":
            read.append(start)
        return plain(topic, shard, start, stop)

    log.read = watched  # type: ignore[method-assign] # to see where it begins
    found = followed_at(log, Moment(position=last - 3))
    assert max(read) > 0
    assert found == decided_at(last - 3)


def test_what_was_stepped_over_half_way_is_stepped_over_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = min(one.signal_id for one in standing(LOG, 0, Moment()).state.views.values())

    def half(state: State, stamp: Stamp, event: SignalIssued) -> None:
        take_view(state, stamp, event)
        if event.event_id == bad:
            raise RuntimeError(bad)

    monkeypatch.setattr(evolve, "take_view", half)
    log = run(INPUTS, end=end_of(INPUTS))
    assert [one.event_id for one in events_of(log, RecordQuarantined)] == [bad]
    views = standing(log, 0, Moment()).state.views.values()
    assert bad not in {one.signal_id for one in views}
    decided = engine(0, 1)
    Shard(log, decided, checkpoint_every=500).recover()
    assert {one.signal_id for one in views} == {
        one.signal_id for one in decided.state.views.values()
    }

"""Problems: what a recorded decision was made from, put together again from its log.

Place in the flow: asked by whoever solves a recorded problem once more, with something of it
changed. The shard's journal is followed up to the moment the decision was made, as `standing`
follows it: nothing before it is decided again.
"""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.bootstrap import build_engine, risk_model
from coordinator.core.allocate import Situation, situation
from coordinator.core.engine import Engine, EngineError, EvolveFailed
from coordinator.core.evolve import evolve_output
from coordinator.core.ports import LogReader, Record
from coordinator.core.state import Portfolio, State
from coordinator.log.live import begin_of
from coordinator.quality.explain import Place
from coordinator.quality.reasons import explain_decision
from replay.errors import CannotFollow, NothingToReplay
from replay.source import shards_of
from replay.standing import Decided, Moment, restore_newest
from schemas.decisions import AllocationDecided

__all__ = ["situation_at"]

Failures = dict[int, dict[str, str]]
"""Units that the recorded run stepped over, by position."""


def situation_at(reader: LogReader, decision_id: str) -> tuple[State, Portfolio, Situation]:
    """The state just before a recorded decision, its portfolio, and what it was made from.

    Raises ExplainError where the log has no such decision, NothingToReplay where it has not the
    journal that led to it, CannotFollow for one that no engine takes, LogError.
    """
    explained = explain_decision(reader, decision_id)
    state = _state_before(reader, explained.place, decision_id)
    portfolio = state.portfolios[explained.portfolio]
    found = situation(state, portfolio, risk_model())
    if found is None:
        message = f"decision {decision_id!r}: what its journal leads to has no value to allocate"
        raise CannotFollow(message)
    return state, portfolio, found


def _state_before(reader: LogReader, place: Place, decision_id: str) -> State:
    failures: Failures = {}
    while True:  # what the recorded run stepped over, this one does, too
        try:
            return _followed(reader, place, decision_id, failures)
        except EvolveFailed as error:
            known = failures.setdefault(error.position, {})
            if error.unit in known:
                raise CannotFollow(str(error)) from error
            known[error.unit] = error.error
        except EngineError as error:
            raise CannotFollow(str(error)) from error


def _followed(reader: LogReader, place: Place, decision_id: str, failures: Failures) -> State:
    engine = build_engine(shard=place.shard, shards=shards_of(reader))
    restore_newest(engine, reader, place.shard, Moment(position=place.position - 1))
    engine.state.follows = True
    decided = Decided(reader, place.shard, after=engine.position)
    start = max(engine.position + 1, begin_of(reader, "journal", place.shard))
    for record in reader.read("journal", place.shard, start, place.position + 1):
        known = failures.get(record.position, {})
        if record.position < place.position:
            engine.follow(record, decided.by(record.position), failures=known)
        else:
            _approach(engine, record, decided, decision_id, known)
            return engine.state
    message = f"the journal does not reach position {place.position}, which led to {decision_id!r}"
    raise NothingToReplay(message)


def _approach(
    engine: Engine, record: Record, decided: Decided, decision_id: str, failures: Mapping[str, str]
) -> None:
    """Up to the decision's own timer, among those that the record made fire."""
    for time, timer, event in decided.by(record.position):
        engine.approach(time, timer, failures=failures)
        if isinstance(event, AllocationDecided) and event.decision_id == decision_id:
            return
        evolve_output(engine.state, event)
    message = f"decision {decision_id!r} does not follow from position {record.position}"
    raise CannotFollow(message)

"""Problems: what a decision was made from, put together again from its log.

Place in the flow: asked by whoever solves a decision again, such as without one of its sources. The
journal is folded by an engine that follows, to the moment before the decision; nothing that was
decided is decided anew. It must never answer with another problem than the recorded one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from coordinator.bootstrap import Identity, build_engine, risk_model
from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.engine import Engine
from coordinator.core.ports import LogReader, Record
from coordinator.core.state import Portfolio, Round, State
from coordinator.log.live import begin_of
from coordinator.quality.reasons import Told, told_of
from replay.errors import OtherProblem
from replay.identity import differs_from_ours
from replay.source import Progress, shards_of
from replay.standing import Decided, Due, Failures, Moment, restore_newest, stepping_over
from schemas.base import parse_time
from schemas.decisions import AllocationDecided

__all__ = ["other_problem", "situation_at", "situation_of"]

_PROGRESS_RECORDS = 256


def situation_at(
    reader: LogReader, decision_id: str, *, progress: Progress | None = None
) -> tuple[State, Portfolio, Situation]:
    """A shard's state right before a decision, the portfolio, and what the decision is made from.

    The state is the caller's own, to change and to ask again.
    Raises ExplainError where the log tells of no such decision, OtherProblem where the problem is
    not the recorded one, CannotFollow for a journal that no engine takes, LogError for a log that
    cannot be read.
    """
    return situation_of(reader, told_of(reader, decision_id), progress=progress)


def situation_of(
    reader: LogReader, told: Told, *, progress: Progress | None = None
) -> tuple[State, Portfolio, Situation]:
    """The same of a decision that was found already."""
    state = stepping_over(lambda failures: _before(reader, told, failures, progress))
    portfolio = state.portfolios.get(told.decision.portfolio)
    if portfolio is None:
        raise other_problem(told, "its portfolio is not there")
    if told.closed is not None:
        opened = parse_time(told.closed.opened_at)
        portfolio.round = Round(told.closed.trigger, opened)
    found = situation(state, portfolio, risk_model())
    if found is None:
        raise other_problem(told, "its portfolio has no value or no prices")
    if problem_digest(found.problem) != told.decision.identity.problem:
        raise other_problem(told, "its problem is another one")
    return state, portfolio, found


def other_problem(told: Told, found: str) -> OtherProblem:
    """What is wrong, and whether another engine is why."""
    made = told.decision.identity
    recorded: Identity = (made.build, made.dependencies, made.fingerprint)
    return OtherProblem(told.decision.decision_id, found, differs_from_ours(recorded))


def _before(reader: LogReader, told: Told, failures: Failures, progress: Progress | None) -> State:
    """The state when the decision's timer fires."""
    shard, last = told.record.shard, told.entry.position
    engine = build_engine(shard=shard, shards=shards_of(reader))
    restore_newest(engine, reader, shard, Moment(position=last - 1))
    engine.state.follows = True
    decided = Decided(reader, shard, after=engine.position)
    start = max(engine.position + 1, begin_of(reader, "journal", shard))
    for done, record in enumerate(reader.read("journal", shard, start, last + 1), start=1):
        known = failures.get(record.position, {})
        if record.position == last:
            _approach(engine, record, decided, told.decision, known)
        else:
            engine.follow(record, decided.by(record.position), failures=known)
        if progress is not None and done % _PROGRESS_RECORDS == 0:
            progress(record.position, last + 1, record.journal_time)
    return engine.state


def _approach(
    engine: Engine,
    record: Record,
    decided: Decided,
    decision: AllocationDecided,
    failures: Mapping[str, str],
) -> None:
    """All that the record made the engine say before the decision."""

    def is_earlier(one: Due) -> bool:
        event = one[2]
        return not isinstance(event, AllocationDecided) or event.decision_id != decision.decision_id

    engine.approach(
        record,
        takewhile(is_earlier, decided.by(record.position)),
        due=(decision.decided_at, f"round\t{decision.portfolio}"),
        failures=failures,
    )

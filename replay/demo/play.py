"""The demo run: recording to messages, messages to a journal, the journal through a backtest.

Place in the flow: what `coordinator demo` does, callable from a notebook. It has no logic of its
own: the router, the player and the report are everybody's. It must never leave a half-made run
behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from coordinator.bootstrap import engine_started
from coordinator.core.ports import Log
from coordinator.core.route import RouteCounts, Router
from coordinator.core.shards import SHARDS_DEFAULT
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from replay.backtest import BacktestSummary, backtest
from replay.baselines import Baselines, buy_and_hold, own_book
from replay.demo.messages import CASH, COSTS, TICK, messages
from replay.demo.recording import Recording, load
from replay.pricing import InstrumentTerms
from replay.report import Summary, write_report
from replay.report.story import choose
from replay.report.summary import fold
from replay.source import Progress
from schemas.portfolios import Costs

__all__ = ["TITLE", "DemoRun", "baselines", "play", "record"]

TITLE = "Seven agents, three portfolios"
_TERMS = InstrumentTerms(tick=Decimal(TICK))
_FREE = Costs(fee_bps=0.0, sell_tax_bps=0.0, half_spread_bps=0.0)
_NOTE = (
    "Agents, as recorded: their own trades at the open they traded at, from the first open on and "
    "without costs, as their data has them. Agents, next open: the same trades one session late, "
    "when a follower could have made them, at the portfolios' costs. Equal weight and index "
    "weights are bought at the second open, where the portfolios' first decision could first be "
    "filled, and held, at the same costs. The portfolios decide at the close and are filled at the "
    "next open, so nothing is sold on the day it was bought."
)
_FIRST_FILL = 1
"""The session whose open fills what was decided at the first close: nobody buys before."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a demo left. decision: the one its report tells, None when nothing conflicted."""

    log: Path
    report: Path
    summary: Summary
    played: BacktestSummary
    decision: str | None


def record(log: Log, recording: Recording, *, shards: int = SHARDS_DEFAULT) -> RouteCounts:
    """Route every message of the recording into a log's journals, at its own time."""
    router = Router(log, shards=shards)
    found = messages(recording)
    start = engine_started(at=found[0].journal_time, shards=shards)
    router.write(start, shards=range(shards), journal_time=found[0].journal_time)
    return router.accept(
        [message.raw for message in found],
        journal_times=[message.journal_time for message in found],
    )


def baselines(recording: Recording) -> Baselines:
    """What the portfolios are compared with, from the same prices."""
    sessions, cash = recording.sessions, float(CASH)
    equal = dict.fromkeys(recording.instruments, 1.0)
    held = [
        buy_and_hold(
            name, weights, sessions, bought=_FIRST_FILL, cash=cash, costs=COSTS, terms=_TERMS
        )
        for name, weights in (("equal weight", equal), ("index weights", recording.weights))
    ]
    books = [
        own_book(
            agent.name,
            agent.trades,
            sessions,
            cash=agent.cash,
            late=late,
            costs=COSTS if late else _FREE,
            terms=_TERMS if late else InstrumentTerms(),
        )
        for late in (False, True)
        for agent in recording.agents
    ]
    return Baselines((*held, *books), _NOTE)


def play(folder: Path, *, progress: Progress | None = None) -> DemoRun:
    """Run the demo into folder/run.sqlite and folder/report.html, replacing what a demo left there.

    Raises OSError or LogError when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recording = load()
    inputs = MemoryLog()
    record(inputs, recording)
    path, page = folder / "run.sqlite", folder / "report.html"
    played = backtest(inputs, path, force=True, progress=progress)
    beside = baselines(recording)
    with SqliteLog(path, readonly=True) as log:
        run = fold(log, baselines=beside, decision_seconds=played.decision_seconds)
        write_report(log, page, title=TITLE, run=run)
    told = choose(run.tally)
    return DemoRun(
        log=path,
        report=page,
        summary=run.summary,
        played=played,
        decision=None if told is None else told.decision_id,
    )

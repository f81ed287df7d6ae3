"""What an event costs the fold, and how that grows with portfolios and instruments.

`python -m tests.bench.throughput [--portfolios 1 10 100 1000] [--instruments 20 100 500]
[--record]`: by size, microseconds for one more signal, fill and snapshot where nothing is decided;
for a signal that opens the rounds of all who hear it; for a session's close, a portfolio's view and
opening a portfolio; for a round, where one of all the portfolios hears and where all do; and what a
checkpoint weighs and takes. Portfolios are `deaf` where their mandates hear another source, and
`elsewhere` where they hear the source, but of other instruments: neither may add to what a signal
costs. Each portfolio holds some names, and the views of three sources are live.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
import timeit
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from coordinator.bootstrap import build_engine, risk_model
from coordinator.core.bias import forecasts_end
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.shells.live.collecting import collect_seldom, settle
from schemas.base import InputEvent
from schemas.entries import opening
from schemas.journal import ClockTicked
from schemas.portfolios import Mandate, PortfolioOpened, Schedule
from schemas.verdicts import InputRejected, RecordQuarantined, SignalRejected
from tests.bench import journals
from tests.bench.record import finish, options

PORTFOLIOS, INSTRUMENTS = (1, 10, 100, 1000), (20, 100, 500)
SOURCES, HELD = 3, 10
HORIZON = 1000.0
"""Sessions: no view ends while it is measured."""
SIGNALS, FILLS, SNAPSHOTS, CLOSES, OPENED, BATCHES = 2_000, 2_000, 20, 5, 9, 3
ROUNDS_MOST = 100_000
"""Rounds of all are left out where portfolios times instruments are more: they take minutes."""
REFUSED = opening(RecordQuarantined, InputRejected, SignalRejected)
OTHER = "source-999"

Kind: TypeAlias = Literal["deaf", "elsewhere", "hearing"]
KINDS: tuple[Kind, ...] = ("deaf", "elsewhere", "hearing")


class Shard:
    """An engine with so many portfolios and instruments. The first portfolio always hears.

    opening_us: what opening took, for each portfolio.
    """

    def __init__(self, kind: Kind, *, portfolios: int, instruments: int) -> None:
        self.portfolios, self.instruments = portfolios, instruments
        self.rng, self.journal = random.Random(3), journals.Journal()
        self.engine: Engine = build_engine(shard=0, shards=1)
        self.at, self.count = journals.START, 0
        journals.opened(self.journal, instruments=instruments, sources=SOURCES, portfolios=0)
        self.fold(self.journal.take())
        self.close()
        self.signals(instruments * SOURCES, instruments=instruments)
        self.opening_us = self.open(kind) / portfolios
        self.fills([(i, j) for i in range(portfolios) for j in range(min(HELD, instruments))])
        self.wait()

    def fold(self, records: list[Record]) -> float:
        """Microseconds that the engine takes for them. Raises RuntimeError where one is refused."""
        gc.collect()
        began = time.perf_counter()
        said = [entry for record in records for entry in self.engine.step(record)]
        took = (time.perf_counter() - began) * 1e6
        for entry in said:
            if entry.startswith(REFUSED):
                raise RuntimeError(entry.decode())
        return took

    def add(self, event: InputEvent, *, after: int = 1) -> None:
        self.at += after
        self.journal.add(event.model_copy(update={"event_time": self.at}), self.at)

    def open(self, kind: Kind) -> float:
        """All portfolios; the views are live already, and open no round."""
        others = {
            "deaf": Mandate(sources=(OTHER,)),
            "elsewhere": Mandate(universe=journals.names(self.instruments)[1:]),
            "hearing": Mandate(),
        }
        for i in range(self.portfolios):
            event = PortfolioOpened(
                event_id=_name(i),
                event_time=self.at,
                portfolio=_name(i),
                currency="USD",
                cash=Decimal(10_000_000),
                mandate=others[kind] if i else Mandate(),
                schedule=Schedule(kind="signals"),
            )
            self.add(event)
        return self.fold(self.journal.take())

    def fills(self, whose: list[tuple[int, int]]) -> float:
        """Executions of each of those portfolios, in the instrument that lies so far on."""
        for portfolio, further in whose:
            self.count += 1
            event = journals.fill(
                self.rng, self.count, self.at, instruments=self.instruments
            ).model_copy(
                update={
                    "portfolio": _name(portfolio),
                    "quantity": Decimal(self.rng.choice((1, 2))),  # no limit is broken
                    "instrument": f"N{(portfolio + further) % self.instruments:04d}",
                }
            )
            self.add(event)
        return self.fold(self.journal.take())

    def signals(self, count: int, *, instruments: int = 1) -> float:
        """Each in the place of an older one, so little apart that no round ends between them.

        Usually of the first instrument alone: those who are `elsewhere` do not hear of it.
        """
        for _ in range(count):
            self.count += 1
            event = journals.signal(
                self.rng, self.count, self.at, instruments=instruments, sources=SOURCES
            )
            self.add(event.model_copy(update={"horizon_sessions": HORIZON}))
        return self.fold(self.journal.take())

    def snapshots(self, count: int) -> float:
        """Prices of everything that end no session."""
        for _ in range(count):
            self.count += 1
            self.add(journals.snapshot(self.rng, self.count, self.at, self.instruments))
        return self.fold(self.journal.take())

    def close(self) -> float:
        """A session's end, and what its timers do."""
        self.count += 1
        event = journals.snapshot(
            self.rng, self.count, self.at, self.instruments, session_close=True
        )
        self.add(event, after=journals.SECOND)
        return self.fold(self.journal.take()) + self.wait(1)

    def forecasts(self) -> float:
        """What the forecasts of a close are of it: each portfolio holds names of its own."""
        state, model = self.engine.state, risk_model()
        gc.collect()
        began = time.perf_counter()
        forecasts_end(state, model)  # once more for the session that is over: nothing counts twice
        return (time.perf_counter() - began) * 1e6

    def wait(self, by: int = 2 * journals.SECOND) -> float:
        """What is due until then."""
        self.count += 1
        self.add(ClockTicked(event_id=f"tick-{self.count}", event_time=self.at), after=by)
        return self.fold(self.journal.take())


def _name(portfolio: int) -> str:
    return f"portfolio-{portfolio:04d}"


def measured(kind: Kind, *, portfolios: int, instruments: int) -> dict[str, float]:
    """Microseconds, but for what says otherwise."""
    shard = Shard(kind, portfolios=portfolios, instruments=instruments)
    settle()
    found = {
        "opening_a_portfolio": shard.opening_us,
        "fill": shard.fills([(0, i) for i in range(FILLS)]) / FILLS,
        "snapshot": shard.snapshots(SNAPSHOTS) / SNAPSHOTS,
        "close": statistics.median(shard.close() for _ in range(CLOSES)),
        "forecasts_of_a_close": shard.forecasts(),
        "showing_a_portfolio": shard.wait(2 * journals.DAY) / portfolios,
    }
    found |= _checkpoint(shard.engine)
    if kind != "hearing":
        each = [(shard.signals(1), shard.wait()) for _ in range(OPENED)]
        found["round_of_the_one"] = statistics.median(took for _, took in each)
        found["signal_that_opens"] = statistics.median(took for took, _ in each)
    else:
        found["signal_that_opens"] = shard.signals(1)
    found["signal"] = statistics.median(shard.signals(SIGNALS) / SIGNALS for _ in range(BATCHES))
    found["next_begin"] = _next_begin(shard.engine)
    if kind == "hearing" and portfolios * instruments <= ROUNDS_MOST:
        found["round_of_each"] = shard.wait() / portfolios
    return {name: round(value, 2) for name, value in found.items()}


def _checkpoint(engine: Engine) -> dict[str, float]:
    began = time.perf_counter()
    written = engine.checkpoint()
    between = time.perf_counter()
    build_engine(shard=0, shards=1).restore(written)
    return {
        "checkpoint_ms": (between - began) * 1e3,
        "restore_ms": (time.perf_counter() - between) * 1e3,
        "checkpoint_kib": len(written) / 1024,
    }


def _next_begin(engine: Engine) -> float:
    """A live worker asks it after every record that said something."""
    return min(timeit.repeat(engine.next_begin, number=20, repeat=5)) / 20 * 1e6


def measure(portfolios: list[int], instruments: list[int]) -> dict[str, Any]:
    """By instruments, portfolios and kind."""
    figures: dict[str, Any] = {}
    for width in instruments:
        for count in portfolios:
            for kind in KINDS if count > 1 else KINDS[-1:]:
                label = f"{width} instruments, {count} portfolios, {kind}"
                print(label, file=sys.stderr, flush=True)
                figures[label] = measured(kind, portfolios=count, instruments=width)
    return figures


def main() -> None:
    """Print the figures."""
    parser = options(__doc__ or "")
    for name, usual in (("portfolios", PORTFOLIOS), ("instruments", INSTRUMENTS)):
        parser.add_argument(f"--{name}", type=int, nargs="+", default=list(usual))
    arguments = parser.parse_args()
    collect_seldom()
    figures = measure(arguments.portfolios, arguments.instruments)
    finish("throughput", figures, record=arguments.record)


if __name__ == "__main__":
    main()

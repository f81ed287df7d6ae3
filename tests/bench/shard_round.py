"""Milliseconds a portfolio where a shard decides many in one round, outputs and reasons included.

`python -m tests.bench.shard_round [--most 1000] [--record]`: one shard whose 1, 10, 100 or 1,000
portfolios decide at each session's close over the same hundred instruments. Every instrument has
views of three sources that contradict each other; portfolios differ in mode, mandate and money, and
hold what their last decisions bought (filled at once). Measured is the whole round: from the tick
that fires it to all its chained outputs.

One core: the engine alone. More: the same engine with forked hands, as many processes as there are
cores that this one may use, two at least. Both apply the very same journal, in turn the one and the
other first; what they say must be the same bytes.
"""

from __future__ import annotations

import random
import sys
import time
from decimal import Decimal
from typing import Any

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.shells.forked import ForkedHands, cores
from coordinator.shells.live.collecting import collect_seldom, settle
from schemas.decisions import AllocationDecided
from schemas.entries import decode_output, opening
from schemas.journal import ClockTicked
from schemas.portfolios import Mandate, PortfolioOpened, Schedule
from tests.bench import journals
from tests.bench.record import finish, options, quantile

__all__ = ["Shard", "measured"]

NAMES, SOURCES, WARM_UP = 100, 3, 1
ROUNDS = {1: 100, 10: 30, 100: 10, 1_000: 3}
MODES = ("conservative", "balanced", "aggressive")
TURNOVERS = (0.1, 0.3, 1.0)
_DECIDED = opening(AllocationDecided)


class Shard:
    """A shard's journal, and two engines that apply it: one alone, one with hands."""

    def __init__(self, portfolios: int, *, processes: int, names: int = NAMES) -> None:
        self.portfolios, self.names = portfolios, names
        self.hands = ForkedHands(processes)
        self.engines: tuple[Engine, Engine] = (
            build_engine(shard=0, shards=1),
            build_engine(shard=0, shards=1, hands=self.hands),
        )
        self.same = True
        self._rng, self._journal, self._signals = random.Random(portfolios), journals.Journal(), 0
        self._prices = [100.0] * names
        journals.opened(self._journal, instruments=names, sources=SOURCES, portfolios=0)
        for number in range(portfolios):
            self._journal.add(portfolio(number), journals.START)
        self._apply()

    def _apply(self, *, first: int = 0) -> tuple[list[bytes], list[float]]:
        """What is said to the records that were added, and how long each engine took, seconds."""
        records: list[Record] = self._journal.take()
        said: list[list[bytes]] = [[], []]
        seconds = [0.0, 0.0]
        for number in (first, 1 - first):
            engine = self.engines[number]
            began = time.perf_counter()
            said[number] = [entry for record in records for entry in engine.step(record)]
            seconds[number] = time.perf_counter() - began
        self.same &= said[0] == said[1]
        return said[0], seconds

    def session(self, day: int) -> list[float]:
        """One session's round; how long it took alone and with hands, seconds."""
        at = journals.START + day * journals.DAY
        for _ in range(self.names * SOURCES):
            event = journals.signal(
                self._rng, self._signals, at, instruments=self.names, sources=SOURCES
            )
            self._journal.add(event, at)
            self._signals += 1
        self._journal.add(journals.close(self._rng, day, at, self._prices), at)
        self._apply()
        self._journal.add(ClockTicked(event_id=f"tick-{day}", event_time=at + 1), at + 1)
        outputs, seconds = self._apply(first=day % 2)
        self._fill(outputs, at + 2)
        return seconds

    def _fill(self, outputs: list[bytes], at: int) -> None:
        """Every trade at its reference price."""
        found = [decode_output(one).event for one in outputs if one.startswith(_DECIDED)]
        for event in (one for one in found if isinstance(one, AllocationDecided)):
            for filled in journals.fills(event, at):
                self._journal.add(filled, at)
        self._apply()


def portfolio(number: int) -> PortfolioOpened:
    """One of many: long only or with shorts, in turn of each mode and turnover."""
    short = number % 2 == 1
    mandate = Mandate(
        position_min=-0.05 if short else 0.0,
        position_max=0.06,
        gross_max=1.5 if short else 1.0,
        turnover_max=TURNOVERS[number // 4 % len(TURNOVERS)],
    )
    name = f"portfolio-{number:04d}"
    return PortfolioOpened(
        event_id=name,
        event_time=journals.START,
        portfolio=name,
        currency="USD",
        cash=Decimal(5_000_000 + 10_000 * number),
        mode=MODES[number % len(MODES)],
        mandate=mandate,
        schedule=Schedule(kind="session_close"),
    )


def measured(most: int, *, processes: int) -> dict[str, Any]:
    """Both ways, for every number of portfolios up to the most."""
    figures: dict[str, Any] = {}
    for count, rounds in ROUNDS.items():
        if count > most:
            break
        shard = Shard(count, processes=processes)
        settle()
        for day in range(1, WARM_UP + 1):
            shard.session(day)
        taken = shard.hands.taken
        times = [shard.session(WARM_UP + day) for day in range(1, rounds + 1)]
        found = figures[f"{count} portfolios"] = {"rounds": rounds, "same_bytes": shard.same}
        ways = ("one core", f"{processes} cores")
        for name, ours in zip(ways, zip(*times, strict=True), strict=True):
            each = [1e3 * seconds / count for seconds in ours]
            found[name] = {
                "ms_a_portfolio_p50": round(quantile(each, 0.5), 3),
                "ms_a_portfolio_worst": round(max(each), 3),
            }
        found["share_of_children"] = round((shard.hands.taken - taken) / (rounds * count), 3)
    return figures


def main(arguments: list[str]) -> int:
    """Measure, and fail where hands change what is said."""
    parser = options("Milliseconds a portfolio, a shard's many in one round.")
    parser.add_argument("--most", type=int, default=1_000, help="portfolios of the largest round")
    given = parser.parse_args(arguments)
    collect_seldom()
    figures = measured(given.most, processes=max(2, cores()))
    finish("shard_round", figures, record=given.record)
    return 0 if all(one["same_bytes"] for one in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

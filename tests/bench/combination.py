"""How much of what sources know together our combination keeps, with skill learned from the log.

`python -m tests.bench.combination [--seeds 50] [--sessions 400] [--names 100] [--processes 2]
[--record]`: simulated sources of known skill (.10, .05, .02, 0, -.05) speak of every name every
session, each with a stated confidence that means nothing. Their signals and the prices go through
an engine that is told no skill. In the second half the correlation of the combined opinion with
what then happened is measured, session by session, and set beside the optimum, the root of the sum
of squared skills, and beside what others make of the same signals: equal vote, mean weighted by
stated confidence, the last signal wins, all are added up, and Idzorek's tilt by stated confidence.
Also: how long 10 sources of 500 names take to be combined.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from coordinator.bootstrap import build_engine
from coordinator.core.board import Board, lay_out
from coordinator.core.likeness import errors_between
from coordinator.core.match import combine
from coordinator.core.ports import Floats, Record
from coordinator.core.state import State, View
from coordinator.core.views import scored_views
from schemas.base import Event
from schemas.control import SourceRegistered
from schemas.entries import Stamp, encode_journal
from schemas.journal import EngineStarted
from schemas.market import InstrumentListed, PricesObserved
from schemas.signals import SignalIssued
from tests.bench.record import finish, options, quantile
from tests.bench.rules import RULES, Said, correlation, interval, opinions

SKILLS = (0.10, 0.05, 0.02, 0.0, -0.05)
SIGMA = 0.02
DAY, SECOND = 86_400_000_000_000, 1_000_000_000
T0 = 1_700_000_000_000_000_000
COMBINED_MS = 50.0


class World:
    """One seed's journal, session by session, and what its sources said in each."""

    def __init__(self, seed: int, names: int, sessions: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.names = [f"N{i:03d}" for i in range(names)]
        self.sessions = sessions
        self.moves: Floats = self.rng.standard_normal((sessions + 1, names))
        self.position = -1
        self.prices: Floats = np.full(names, 100.0)
        self.scores: Floats = np.empty((len(SKILLS), names))
        self.confidence: Floats = np.empty((len(SKILLS), names))
        self.order: Floats = np.empty((len(SKILLS), names))

    def opening(self) -> Iterator[Record]:
        """Who and what there is."""
        yield self.record(
            EngineStarted(
                event_id="start", event_time=T0, build="b", dependencies="d", fingerprint="f",
                shards=1,
            ),
            T0,
        )  # fmt: skip
        for name in self.names:
            yield self.record(
                InstrumentListed(
                    event_id=name, event_time=T0, instrument=name, lot=Decimal(1),
                    tick=Decimal("0.01"), currency="USD",
                ),
                T0,
            )  # fmt: skip
        for source in range(len(SKILLS)):
            registered = SourceRegistered(
                event_id=f"s{source}", event_time=T0, source=f"s{source}", horizon_sessions=1.0
            )
            yield self.record(registered, T0)

    def said(self, session: int) -> Iterator[Record]:
        """What all sources say before a close, in an order of chance."""
        rho = np.array(SKILLS)[:, None]
        own = self.rng.standard_normal(self.scores.shape)
        self.scores = rho * self.moves[session + 1] + np.sqrt(1.0 - rho**2) * own
        self.confidence = self.rng.uniform(0.5, 0.9, self.scores.shape)
        self.order = self.rng.permuted(
            np.tile(np.arange(len(SKILLS)), (len(self.names), 1)), axis=1
        ).T
        close = T0 + (session + 1) * DAY
        for place in range(len(SKILLS)):
            at = close - (len(SKILLS) - place) * SECOND
            for i, name in enumerate(self.names):
                source = int(self.order[place, i])
                yield self.record(self._signal(session, source, i, name, at), at)

    def _signal(self, session: int, source: int, i: int, name: str, at: int) -> SignalIssued:
        forecast = float(np.clip(self.scores[source, i] * SIGMA, -1.9, 1.9))
        return SignalIssued(
            event_id=f"{session}-{i}", event_time=at, source=f"s{source}", strategy="all",
            instrument=name, expected_return=forecast,
            confidence=float(self.confidence[source, i]),
        )  # fmt: skip

    def close(self, session: int) -> Record:
        """The session's end, after which what was foretold happens."""
        at = T0 + (session + 1) * DAY
        event = PricesObserved(
            event_id=f"close-{session}", event_time=at, kind="bar", instruments=tuple(self.names),
            price=tuple(self.prices.tolist()), session_close=True,
        )  # fmt: skip
        self.prices = self.prices * (1.0 + SIGMA * self.moves[session + 1])
        return self.record(event, at)

    def record(self, event: Event, at: int) -> Record:
        """As it stands in the journal."""
        self.position += 1
        topic = "journal" if isinstance(event, EngineStarted) else event.topic
        payload = encode_journal(Stamp(topic, "", 0, -1, at), event)
        return Record("journal", 0, self.position, at, payload)


def ours(state: State, names: list[str]) -> Floats:
    """(n,) the combined opinion, from nothing but the engine's state."""
    picks = {name: i for i, name in enumerate(names)}
    views = [state.views[key] for key in sorted(state.views)]
    board, _ = scored_views(state, views, picks=picks, ahead=1.0)
    between = errors_between(board.sources, state.sources, state.pairs, state.parameters)
    covariance = np.eye(len(names)) * SIGMA**2
    return combine(board, covariance, prior=np.zeros(len(names)), between=between).mu


def others(world: World) -> dict[str, Floats]:
    """(n,) what each other rule makes of the session's signals."""
    arrival = world.order.argsort(axis=0).astype(np.float64)
    return opinions(Said(world.scores, world.confidence, arrival))


def realised(seed: int, *, names: int, sessions: int) -> dict[str, float]:
    """Mean information coefficient of each rule over the second half of one seed's sessions."""
    world = World(seed, names, sessions)
    engine = build_engine(shard=0, shards=1)
    for record in world.opening():
        engine.step(record)
    found: dict[str, list[float]] = {rule: [] for rule in ("ours", *RULES)}
    for session in range(sessions):
        for record in world.said(session):
            engine.step(record)
        if session >= sessions // 2:
            held = {"ours": ours(engine.state, world.names), **others(world)}
            for rule, opinion in held.items():
                found[rule].append(correlation(opinion, world.moves[session + 1]))
        engine.step(world.close(session))
    return {rule: float(np.mean(values)) for rule, values in found.items()}


def combined_ms(sources: int, names: int) -> tuple[float, float]:
    """Median and p99 of combining all views of so many sources and names, without anything kept."""
    rng = np.random.default_rng(1)
    loadings = rng.standard_normal((names, 10)) * 0.006
    covariance = loadings @ loadings.T + np.diag(rng.uniform(1e-4, 4e-4, names))
    views = tuple(
        View(str(i), f"s{j}", "all", f"N{i:03d}", 1, None, 0.0, None, 5.0, 0, 0, 0.0, None)
        for i in range(names)
        for j in range(sources)
    )
    pick = np.repeat(np.arange(names), sources)
    layout = lay_out(pick, [view.source for view in views])
    between = np.eye(sources) * 0.8 + 0.2
    times = []
    for _ in range(60):
        score = rng.standard_normal(len(views))
        skill = rng.uniform(0.01, 0.1, len(views))
        references = [view.reference for view in views]
        began = time.perf_counter()
        whole = np.ones(len(views))
        board = Board(views, layout, score, skill, whole, whole, references)
        combine(board, covariance, prior=np.zeros(names), between=between)
        times.append((time.perf_counter() - began) * 1000.0)
    return quantile(times, 0.5), quantile(times, 0.99)


def main() -> int:
    """Print the table; 1 when the bar is missed."""
    parser = options(__doc__ or "")
    for name, usual in (("seeds", 50), ("sessions", 400), ("names", 100), ("processes", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    one = partial(realised, names=args.names, sessions=args.sessions)
    with ProcessPoolExecutor(args.processes) as pool:
        seeds = []
        for number, result in enumerate(pool.map(one, range(args.seeds)), 1):
            seeds.append(result)
            print(f"seed {number} of {args.seeds}", file=sys.stderr, end="\r", flush=True)
    optimum = math.sqrt(sum(skill**2 for skill in SKILLS))
    figures = _figures(seeds, optimum)
    p50, p99 = combined_ms(10, 500)
    figures |= {"combined_500x10_p50_ms": round(p50, 2), "combined_500x10_p99_ms": round(p99, 2)}
    figures |= {"seeds": args.seeds, "sessions": args.sessions, "names": args.names}
    finish("combination", figures, record=args.record)
    rules = figures["rules"]
    kept = rules["ours"]["of_optimum"] >= 0.9 and p50 < COMBINED_MS
    beaten = all(rules[rule]["of_optimum"] < 0.5 for rule in RULES)
    return 0 if kept and beaten else 1


def _figures(seeds: list[dict[str, float]], optimum: float) -> dict[str, Any]:
    """Means over seeds with 95 % intervals, and of each other rule how much ours is above it."""
    rules = {}
    mine = np.array([seed["ours"] for seed in seeds])
    for rule in ("ours", *RULES):
        values = np.array([seed[rule] for seed in seeds])
        mean, half = interval(values)
        rules[rule] = {
            "ic": round(mean, 4), "half_width": round(half, 4),
            "of_optimum": round(mean / optimum, 3),
        }  # fmt: skip
        if rule != "ours":
            gain, width = interval(mine - values)
            rules[rule] |= {"ours_above": round(gain, 4), "half_width_of_that": round(width, 4)}
    return {"optimum": round(optimum, 4), "rules": rules}


if __name__ == "__main__":
    sys.exit(main())

"""One seed's signals and prices go through an engine, and what every rule holds at each decision.

Place in the flow: `experiment` measures what comes out. The journal has, session by session, the
opens, the closes, and then what the sources say; the engine learns from it and is told nothing of
their skill. Each case is a portfolio that hears its own sources, and its opinion is the one that
the portfolio's next decision would be made from. Nothing here looks at what comes after: `Heard`
was made beforehand, as the sources' own knowledge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TypeAlias

import numpy as np

from coordinator.bootstrap import build_engine, engine_started, risk_model
from coordinator.core.allocate import Situation, situation
from coordinator.core.board import Board, lay_out
from coordinator.core.match import combine
from coordinator.core.ports import Floats
from coordinator.core.state import View
from coordinator.core.views import skill_over
from schemas.base import InputEvent
from schemas.control import Parameters, ParametersChanged, SourceRegistered
from schemas.market import InstrumentListed, PricesObserved
from schemas.portfolios import Mandate, PortfolioOpened, Schedule
from schemas.signals import SignalIssued
from tests.bench import rules
from tests.bench.alphas import HORIZON, Alpha, Case, Heard, distinct, errors_together
from tests.bench.journals import SECOND, Journal
from tests.bench.residuals import Prices

__all__ = [
    "EVERY",
    "FIRST",
    "OURS",
    "TOLD",
    "Held",
    "Player",
    "Spoken",
    "at_clock",
    "decisions",
    "played",
]

OURS, TOLD = "ours", "ours, skills told"
EVERY = 5
"""Sessions from one decision to the next; the sources speak before each."""
FIRST = 60
"""The session in which they begin: forecasts are scaled by the volatility of those before."""
OPENS, CLOSES, SPEAK = time(14, 30), time(21), time(22)
LEAST = 1e-3
"""Less skill than this is none: a view without any has no variance."""

Held: TypeAlias = Mapping[str, Mapping[str, Floats]]
"""(n,) opinion in units of each name's volatility, by case and rule."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What all sources of some cases will say, and in which order.

    heard: one per source. arrival: (t, s, n) the larger the later.
    """

    cases: tuple[Case, ...]
    heard: tuple[Heard, ...]
    arrival: Floats

    @property
    def alphas(self) -> tuple[Alpha, ...]:
        """Every source once."""
        return distinct(self.cases)


def at_clock(day: date, clock: time) -> int:
    """A time of a day, ns UTC."""
    return int(datetime.combine(day, clock, tzinfo=UTC).timestamp()) * SECOND


def _source(place: int) -> str:
    return f"s{place:02d}"


class Player:
    """An engine at some session of the experiment."""

    def __init__(self, prices: Prices, spoken: Spoken, parameters: Parameters) -> None:
        self.prices, self.spoken, self.alphas = prices, spoken, spoken.alphas
        self.places = {alpha: place for place, alpha in enumerate(self.alphas)}
        self.journal, self.engine = Journal(), build_engine(shard=0, shards=1)
        self.risk_model = risk_model()
        at = at_clock(prices.days[0], time(12))
        self.tell(engine_started(at=at, shards=1), at)
        for event in self.opening(at, parameters):
            self.tell(event, at)

    def tell(self, event: InputEvent, at: int) -> None:
        """Through the journal's bytes into the engine."""
        self.journal.add(event, at)
        for record in self.journal.take():
            self.engine.step(record)

    def opening(self, at: int, parameters: Parameters) -> Iterator[InputEvent]:
        """Who and what there is. Of the sources nothing but what their forecasts are about."""
        yield ParametersChanged(event_id="parameters", event_time=at, parameters=parameters)
        for name in self.prices.names:
            yield InstrumentListed(
                event_id=name, event_time=at, instrument=name, lot=Decimal(1),
                tick=Decimal("0.01"), currency="USD",
            )  # fmt: skip
        for place, alpha in enumerate(self.alphas):
            yield SourceRegistered(
                event_id=_source(place), event_time=at, source=_source(place),
                horizon_sessions=float(alpha.horizon),
            )  # fmt: skip
        for case in self.spoken.cases:
            heard = tuple(sorted(_source(self.places[alpha]) for alpha in case.alphas))
            yield PortfolioOpened(
                event_id=case.name, event_time=at, portfolio=case.name, currency="USD",
                cash=Decimal(10_000_000),
                mandate=Mandate(sources=heard, horizon_sessions=float(HORIZON)),
                schedule=Schedule(kind="session_close", every=100_000),
            )  # fmt: skip

    def session(self, session: int) -> None:
        """Its opens and its closes."""
        day = self.prices.days[session]
        for name, clock in (("open", OPENS), ("close", CLOSES)):
            rows = self.prices.opens if name == "open" else self.prices.closes
            event = PricesObserved(
                event_id=f"{name}-{session}",
                event_time=at_clock(day, clock),
                kind="open" if name == "open" else "bar",
                instruments=self.prices.names,
                price=tuple(rows[session].tolist()),
                session_close=name == "close",
            )
            self.tell(event, event.event_time)

    def speak(self, session: int) -> None:
        """What the sources say after its close, in the order of arrival."""
        at = at_clock(self.prices.days[session], SPEAK)
        volatility = self.volatility(session)
        score, confidence = self.said(session)
        for cell in np.argsort(self.spoken.arrival[session], axis=None).tolist():
            place, column = divmod(cell, len(self.prices.names))
            if np.isnan(score[place, column]):
                continue
            alpha, stated = self.alphas[place], float(confidence[place, column])
            forecast = float(score[place, column] * volatility[column]) * alpha.horizon**0.5
            event = SignalIssued(
                event_id=f"{session}-{column}",
                event_time=at,
                source=_source(place),
                strategy="all",
                instrument=self.prices.names[column],
                expected_return=max(-1.9, min(1.9, forecast)),
                confidence=None if np.isnan(stated) else stated,
            )
            self.tell(event, at)

    def said(self, session: int) -> tuple[Floats, Floats]:
        """(s, n) forecasts in units of volatility, and confidences, of everybody."""
        heard = self.spoken.heard
        claims = np.array([[alpha.claim] for alpha in self.alphas])
        scores = np.array([one.score[session] for one in heard])
        return claims * scores, np.array([one.confidence[session] for one in heard])

    def volatility(self, session: int) -> Floats:
        """(n,) of the sessions before, as anybody may know it."""
        closes = self.prices.closes[max(0, session - FIRST) : session + 1]
        found: Floats = (closes[1:] / closes[:-1]).std(axis=0)
        return found

    def held(self, session: int) -> Held:
        """What each rule makes of it, by case; ours as learned, and with every skill told."""
        found = {}
        for case in self.spoken.cases:
            now = self.now(case, session)
            ours = self.placed(now, now.combination.mu)
            told = self.placed(now, self.told(case, session, now))
            found[case.name] = {OURS: ours, TOLD: told, **self.others(case, session)}
        return found

    def others(self, case: Case, session: int) -> dict[str, Floats]:
        """What the other rules make of what the case's sources say."""
        score, confidence = self.said(session)
        rows = [self.places[alpha] for alpha in case.alphas]
        arrival = self.spoken.arrival[session, rows]
        return rules.opinions(rules.Said(score[rows], confidence[rows], arrival))

    def now(self, case: Case, session: int) -> Situation:
        """What the case's portfolio would decide from."""
        state = self.engine.state
        now = situation(state, state.portfolios[case.name], self.risk_model)
        if now is None:
            message = f"{case.name}: no situation in session {session}"
            raise RuntimeError(message)
        return now

    def placed(self, now: Situation, mu: Floats) -> Floats:
        """(n,) in units of each name's volatility; 0 of a name that nobody speaks of."""
        columns = {name: i for i, name in enumerate(self.prices.names)}
        at = np.array([columns[name] for name in now.problem.instruments], dtype=np.intp)
        found = np.zeros(len(columns))
        found[at] = mu / np.sqrt(np.diag(now.problem.covariance))
        return found

    def told(self, case: Case, session: int, now: Situation) -> Floats:
        """(k,) mu of the same core, were it told each signal's true skill and who errs together."""
        columns = {name: i for i, name in enumerate(self.prices.names)}
        places = [self.places[alpha] for alpha in case.alphas]
        cells = [
            (i, row, columns[name])
            for i, name in enumerate(now.problem.instruments)
            for row in range(len(places))
            if abs(self.spoken.heard[places[row]].rho[session, columns[name]]) >= LEAST
        ]
        board = self.board(session, [(i, places[row], column) for i, row, column in cells], now)
        order = [places.index(int(name[1:])) for name in board.sources]
        between = errors_together(case.alphas)[np.ix_(order, order)]
        inverted = np.sign([case.alphas[row].skill or 1.0 for row in order])
        between = np.maximum(between * np.outer(inverted, inverted), 0.0)
        prior = np.zeros(len(now.problem.instruments))
        return combine(board, now.problem.covariance, prior=prior, between=between).mu

    def board(self, session: int, cells: Sequence[tuple[int, int, int]], now: Situation) -> Board:
        """Views with their true scores and skills. cells: (pick, place of the source, column)."""
        state, heard = self.engine.state, self.spoken.heard
        views: list[View] = [
            state.views[now.problem.instruments[pick], _source(place), "all"]
            for pick, place, _ in cells
        ]
        rho = np.array([heard[place].rho[session, column] for _, place, column in cells])
        score = np.array([heard[place].score[session, column] for _, place, column in cells])
        horizon = np.array([float(self.alphas[place].horizon) for _, place, _ in cells])
        skill = skill_over(rho, horizon=horizon, age=np.zeros(len(cells)), ahead=float(HORIZON))
        layout = lay_out(
            np.array([pick for pick, _, _ in cells], dtype=np.intp),
            [_source(place) for _, place, _ in cells],
        )
        references = [view.reference for view in views]
        whole = np.ones(len(cells))  # as they were said a moment ago
        return Board(views, layout, score, skill, whole, whole, references)


def decisions(
    prices: Prices, spoken: Spoken, *, parameters: Parameters, since: int
) -> Iterator[tuple[int, Player]]:
    """Each decision's session, from `since` on, and the engine after what was said then."""
    player = Player(prices, spoken, parameters)
    for session in range(len(prices.days)):
        player.session(session)
        if session < FIRST or session % EVERY:
            continue
        player.speak(session)
        if session >= since:
            yield session, player


def played(
    prices: Prices, spoken: Spoken, *, parameters: Parameters, since: int
) -> Iterator[tuple[int, Held]]:
    """Each decision's session, from `since` on, and what every rule holds then."""
    for session, player in decisions(prices, spoken, parameters=parameters, since=since):
        yield session, player.held(session)

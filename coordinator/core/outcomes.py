"""Outcomes: what came of each signal, found from the prices that follow it.

Place in the flow: part of `evolve`. A signal waits for its entry, the first price of its instrument
after it was known; then for its exit, its horizon later, at the same kind of price: at a close when
it entered at one, else at the first price of that session. What it is judged against counts at its
last price of these moments. Its outcome is the return between them less what the market's own move
explains (beta times it), in units of the pick's volatility over the horizon. It counts from then
on, never before. Where a source speaks of a name again before its horizon ends, outcomes overlap,
and each counts for the part that is its own. What a service reports of a signal whose horizon is
over corrects what was found here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.core.market import Market
from coordinator.core.scales import beta_of, volatility_of
from schemas.control import Parameters

__all__ = ["Entered", "Expected", "Outcome", "Outcomes"]

OUTCOME_MOST = 6.0
"""Outcomes are clipped here, standard deviations: one wrong price must not teach for years."""
PRICE_LEAST, PRICE_MOST = 1e-12, 1e15
"""An entry's price stays within these whatever is told of splits and dividends."""
CORRECTED_SESSIONS = 20
"""For so long an outcome can be corrected by a report."""


class Expected(NamedTuple):
    """A signal that has no entry yet.

    score: as it was standardised when it came. hit_rate: what its stated confidence was calibrated
    to then; None without one. against: what its instrument is judged against, (instrument, weight).
    crossed: whether its score is its place among what its strategy forecasts when it enters, and
    what it says itself until then.
    """

    source: str
    strategy: str
    instrument: str
    signal_id: str
    score: float
    confidence: float | None
    hit_rate: float | None
    horizon: float
    known_at: int
    against: tuple[tuple[str, float], ...] = ()
    crossed: bool = False


class Entered(NamedTuple):
    """A signal that has its entry.

    at: event time of that price. legs: the prices of what it is against, as last seen then. level:
    of the market; beta: of the pick to it; scale: its volatility over the horizon; weight: how much
    of the outcome is its own.
    """

    signal: Expected
    at: int
    price: float
    legs: tuple[float, ...]
    level: float
    beta: float
    scale: float
    weight: float


class Outcome(NamedTuple):
    """What came of a signal, in standard deviations of its pick's residual return.

    scale: of these, in returns. session: in which it was known.
    """

    signal: Expected
    outcome: float
    weight: float
    scale: float
    session: int


@dataclass(slots=True)
class Outcomes:
    """Signals on their way to an outcome.

    expected: by instrument, then by source and strategy, one each. entered, ended: by source and
    signal, the latter while a report may correct them. at_close, at_first: entered ones by the
    session that ends them, at its close, or by instrument at its first price. entered_in: the
    session of the last entry by instrument, source and strategy; spoken_in: by instrument and
    source. paired_until: entries of that time and before were compared with each other.
    """

    expected: dict[str, dict[str, Expected]] = field(default_factory=dict)
    entered: dict[str, Entered] = field(default_factory=dict)
    ended: dict[str, Outcome] = field(default_factory=dict)
    at_close: dict[int, list[str]] = field(default_factory=dict)
    at_first: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    entered_in: dict[str, int] = field(default_factory=dict)
    spoken_in: dict[str, int] = field(default_factory=dict)
    paired_until: int = 0

    def wants(self, instrument: str, source: str, strategy: str, session: int) -> bool:
        """Whether nothing of that key has entered in the session yet: one is enough."""
        return self.entered_in.get(_joined(instrument, source, strategy)) != session

    def expect(self, signal: Expected) -> None:
        """A signal was accepted, and takes the place of one that has not entered."""
        waiting = self.expected.setdefault(signal.instrument, {})
        waiting[_joined(signal.source, signal.strategy)] = signal

    def forget(self, instrument: str, source: str, strategy: str) -> None:
        """What was said last is said no more, before it could enter."""
        waiting = self.expected.get(instrument)
        if waiting is not None:
            waiting.pop(_joined(source, strategy), None)
            if not waiting:
                del self.expected[instrument]

    def seen(
        self, market: Market, instruments: Sequence[str], *, at: int, parameters: Parameters
    ) -> tuple[list[Outcome], list[Entered]]:
        """Prices of a time were folded: what ends with them, and entries of what waited for them.

        instruments: of that snapshot.
        """
        ended = list(self._first_seen(market, instruments, at))
        waiting = [name for name in instruments if name in self.expected]
        entered = self._enter(market, waiting, at=at, closes=False, parameters=parameters)
        return ended, entered

    def closed(
        self, market: Market, *, parameters: Parameters
    ) -> tuple[list[Outcome], list[Entered]]:
        """A session is over, and every name that closes with it has: what ends, what enters."""
        due = self.at_close.pop(market.session, [])
        # Those that wanted a first price of the session that is over, and saw none before its end.
        for late in self.at_first.pop(market.session - 1, {}).values():
            due += late
        ended = list(self._over(due, market))
        self._forget_overdue(market.session)
        self.entered_in = {k: at for k, at in self.entered_in.items() if at >= market.session}
        least = market.session - CORRECTED_SESSIONS
        self.ended = {name: one for name, one in self.ended.items() if one.session > least}
        waiting = list(self.expected)
        entered = self._enter(
            market, waiting, at=market.closed_at, closes=True, parameters=parameters
        )
        return ended, entered

    def unpaired(self, until: int) -> list[Entered]:
        """Entries up to a time that were not compared with each other, by time; they are now."""
        fresh = [one for one in self.entered.values() if self.paired_until < one.at <= until]
        self.paired_until = max(self.paired_until, until)
        return sorted(fresh, key=lambda one: one.at)

    def rescore(self, one: Entered, score: float) -> None:
        """An entry's score was standardised among others of its moment."""
        name = _joined(one.signal.source, one.signal.signal_id)
        self.entered[name] = one._replace(signal=one.signal._replace(score=score))

    def awaits(self, source: str, signal_id: str) -> bool:
        """Whether the signal has its entry, and its horizon is not over."""
        return _joined(source, signal_id) in self.entered

    def has(self, source: str, signal_id: str) -> bool:
        """Whether the signal's outcome is known, and may be corrected."""
        return _joined(source, signal_id) in self.ended

    def corrected(self, source: str, signal_id: str, realised: float) -> tuple[Outcome, Outcome]:
        """What was found of a signal, and what a service says came of it instead.

        realised: return of its pick over the horizon less what the market explains, fraction.
        Raises KeyError unless `has` it.
        """
        name = _joined(source, signal_id)
        found = self.ended[name]
        said = found._replace(outcome=_clipped(realised / found.scale))
        self.ended[name] = said
        return found, said

    def adjust(self, instrument: str, factor: float, *, before: int) -> None:
        """Entries of an instrument from before a time are worth that many times what they were."""
        for name, one in self.entered.items():
            about = (one.signal.instrument, *(leg for leg, _ in one.signal.against))
            if one.at < before and instrument in about:
                price, *legs = (
                    min(max(old * factor, PRICE_LEAST), PRICE_MOST) if known == instrument else old
                    for known, old in zip(about, (one.price, *one.legs), strict=True)
                )
                self.entered[name] = one._replace(price=price, legs=tuple(legs))

    def _forget_overdue(self, session: int) -> None:
        """What should have ended while nothing was learned has no outcome."""
        for over in [one for one in self.at_close if one < session]:
            for name in self.at_close.pop(over):
                self.entered.pop(name, None)
        for over in [one for one in self.at_first if one < session - 1]:
            for names in self.at_first.pop(over).values():
                for name in names:
                    self.entered.pop(name, None)

    # -- exits -----------------------------------------------------------------------------------

    def _first_seen(self, market: Market, instruments: Sequence[str], at: int) -> Iterator[Outcome]:
        """Those that end with the first price of the present session, where it is of that time."""
        waiting = self.at_first.get(market.session)
        if waiting is None:
            return
        for instrument in instruments:
            known = market.instruments.get(instrument)
            if known is None or int(market.price_time[known.column]) != at:
                continue
            yield from self._over(waiting.pop(instrument, []), market)
        if not waiting:
            del self.at_first[market.session]

    def _over(self, names: list[str], market: Market) -> Iterator[Outcome]:
        level = market.level_now() if names else 1.0
        for name in names:
            found = self.entered.pop(name)
            moved = _moved(found, market) - found.beta * (level / found.level - 1.0)
            if not math.isfinite(moved):
                continue
            outcome = Outcome(
                found.signal,
                _clipped(moved / found.scale),
                found.weight,
                found.scale,
                market.session,
            )
            self.ended[name] = outcome
            yield outcome

    # -- entries ---------------------------------------------------------------------------------

    def _enter(
        self,
        market: Market,
        waiting: Iterable[str],
        *,
        at: int,
        closes: bool,
        parameters: Parameters,
    ) -> list[Entered]:
        """Who waits for a price of a name that has one of this time, later than it was known."""
        ready = [
            signal
            for instrument in waiting
            if int(market.price_time[market.instruments[instrument].column]) == at
            for signal in self.expected[instrument].values()
            if signal.known_at < at and _is_priced(signal, market)
        ]
        if not ready:
            return []
        level = market.level_now()
        session = market.session - closes  # the one that the price lies in
        entered: list[Entered] = []
        for signal in ready:
            self.forget(signal.instrument, signal.source, signal.strategy)
            name = _joined(signal.source, signal.signal_id)
            if len(self.entered) >= parameters.outcomes_max or name in self.entered:
                continue
            span = max(1, math.ceil(signal.horizon))
            about = (signal.instrument, signal.against)
            price, *legs = _prices(signal, market)
            volatility = volatility_of(market, *about, parameters)
            made = Entered(
                signal,
                at,
                price,
                tuple(legs),
                level,
                beta_of(market, *about, parameters),
                max(volatility * math.sqrt(span), 1e-9),
                self._own_part(signal, session, span),
            )
            self.entered[name] = made
            entered.append(made)
            over = market.session + span
            if closes:
                self.at_close.setdefault(over, []).append(name)
            else:
                due = self.at_first.setdefault(over, {})
                due.setdefault(signal.instrument, []).append(name)
        return entered

    def _own_part(self, signal: Expected, session: int, span: int) -> float:
        """How much of an outcome no earlier one of the source and name has told, 0 to 1."""
        self.entered_in[_joined(signal.instrument, signal.source, signal.strategy)] = session
        spoken = _joined(signal.instrument, signal.source)
        before = self.spoken_in.get(spoken)
        self.spoken_in[spoken] = session
        return 1.0 if before is None else min(1.0, max(session - before, 0) / span)


def _prices(signal: Expected, market: Market) -> list[float]:
    """Last prices of a signal's instrument and of what it is against."""
    names = (signal.instrument, *(name for name, _ in signal.against))
    return [float(market.price[market.instruments[name].column]) for name in names]


def _is_priced(signal: Expected, market: Market) -> bool:
    """Whether all that it is against has a price."""
    return not signal.against or not any(map(math.isnan, _prices(signal, market)))


def _moved(found: Entered, market: Market) -> float:
    """The return of what the signal is about since its entry."""
    price, *legs = _prices(found.signal, market)
    moved = price / found.price - 1.0
    for (_, weight), before, now in zip(found.signal.against, found.legs, legs, strict=True):
        moved -= weight * (now / before - 1.0)
    return moved


def _joined(*names: str) -> str:
    """No name holds a tab."""
    return "\t".join(names)


def _clipped(outcome: float) -> float:
    return max(-OUTCOME_MOST, min(OUTCOME_MOST, outcome))

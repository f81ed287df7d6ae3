"""Outcomes: what came of each signal, found from the prices that follow it.

Place in the flow: part of `evolve`. A signal waits for its entry, the first price of its instrument
after it was known; then for its exit, its horizon later, at the same kind of price: at a close when
it entered at one, else at the first price of that session. Its outcome is the return between them
less what the market's own move explains (beta times it), in units of the instrument's volatility
over the horizon. It counts from then on, never before. Where a source speaks of a name again before
its horizon ends, outcomes overlap, and each counts for the part that is its own. An outcome that a
service reports takes the place of the one that would be found here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.core.market import Market
from schemas.control import Parameters

__all__ = ["Entered", "Expected", "Outcome", "Outcomes"]

OUTCOME_MOST = 6.0
"""Outcomes are clipped here, standard deviations: one wrong price must not teach for years."""


class Expected(NamedTuple):
    """A signal that has no entry yet.

    score: as it was standardised when it came. hit_rate: what its stated confidence was calibrated
    to then; None without one.
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


class Entered(NamedTuple):
    """A signal that has its entry.

    level, beta: of the market, and the instrument's to it; scale: volatility over the horizon;
    weight: how much of the outcome is its own.
    """

    signal: Expected
    price: float
    level: float
    beta: float
    scale: float
    weight: float


class Outcome(NamedTuple):
    """What came of a signal, in standard deviations of its instrument's residual return."""

    signal: Expected
    outcome: float
    weight: float


@dataclass(slots=True)
class Outcomes:
    """Signals on their way to an outcome.

    expected: by instrument, source and strategy, one each. entered: by source and signal.
    at_close, at_first: those by the session that ends them, at its close or its first price.
    entered_in: by key, the session of the last entry: one a session is enough.
    """

    expected: dict[str, Expected] = field(default_factory=dict)
    entered: dict[str, Entered] = field(default_factory=dict)
    at_close: dict[int, list[str]] = field(default_factory=dict)
    at_first: dict[int, list[str]] = field(default_factory=dict)
    entered_in: dict[str, int] = field(default_factory=dict)

    def wants(self, instrument: str, source: str, strategy: str, session: int) -> bool:
        """Whether nothing of that key has entered in the session yet: one is enough."""
        return self.entered_in.get(_key(instrument, source, strategy)) != session

    def expect(self, signal: Expected) -> None:
        """A signal was accepted, and takes the place of one that has not entered."""
        self.expected[_key(signal.instrument, signal.source, signal.strategy)] = signal

    def forget(self, instrument: str, source: str, strategy: str) -> None:
        """What was said last is said no more, before it could enter."""
        self.expected.pop(_key(instrument, source, strategy), None)

    def priced(
        self, market: Market, *, at: int, closes: bool, parameters: Parameters
    ) -> tuple[list[Outcome], list[Entered]]:
        """Prices of a time were folded: what ends with them, and entries of what waited for them.

        closes: they ended a session.
        """
        ended = list(self._closed(market) if closes else self._first_seen(market, at))
        return ended, self._enter(market, at=at, closes=closes, parameters=parameters)

    def awaits(self, source: str, signal_id: str) -> bool:
        """Whether the signal has its entry, and no outcome yet."""
        return _reference(source, signal_id) in self.entered

    def reported(self, source: str, signal_id: str, realised: float) -> Outcome | None:
        """What a service says came of a signal; None where that is not awaited any more."""
        found = self.entered.pop(_reference(source, signal_id), None)
        if found is None:
            return None
        return Outcome(found.signal, _clipped(realised / found.scale), found.weight)

    def adjust(self, instrument: str, factor: float) -> None:
        """Entries of an instrument are worth that many times what they were."""
        for name, one in self.entered.items():
            if one.signal.instrument == instrument:
                self.entered[name] = one._replace(price=one.price * factor)

    # -- exits -----------------------------------------------------------------------------------

    def _closed(self, market: Market) -> Iterator[Outcome]:
        """Those that end with the close, and those that wanted a first price and saw none."""
        due = self.at_close.pop(market.session, [])
        due += self.at_first.pop(market.session - 1, [])
        yield from self._over(due, market)

    def _first_seen(self, market: Market, at: int) -> Iterator[Outcome]:
        """Those that end with the first price of the present session, where it is of that time."""
        waiting = self.at_first.get(market.session)
        if waiting is None:
            return
        seen = [name for name in waiting if self._is_priced(name, market, at)]
        if len(seen) == len(waiting):
            del self.at_first[market.session]
        elif seen:
            gone = frozenset(seen)
            self.at_first[market.session] = [name for name in waiting if name not in gone]
        yield from self._over(seen, market)

    def _is_priced(self, name: str, market: Market, at: int) -> bool:
        """Whether its instrument has a price of that time; one that was reported needs none."""
        found = self.entered.get(name)
        if found is None:
            return True
        column = market.instruments[found.signal.instrument].column
        return int(market.price_time[column]) == at

    def _over(self, names: list[str], market: Market) -> Iterator[Outcome]:
        level = market.level_now() if names else 1.0
        for name in names:
            found = self.entered.pop(name, None)
            if found is None:
                continue
            price = float(market.price[market.instruments[found.signal.instrument].column])
            moved = price / found.price - 1.0 - found.beta * (level / found.level - 1.0)
            yield Outcome(found.signal, _clipped(moved / found.scale), found.weight)

    # -- entries ---------------------------------------------------------------------------------

    def _enter(
        self, market: Market, *, at: int, closes: bool, parameters: Parameters
    ) -> list[Entered]:
        """Who waits for a price of a name that has one of this time, later than it was known."""
        if not self.expected:
            return []
        times, columns = market.price_time, market.instruments
        ready = [
            key
            for key, one in self.expected.items()
            if one.known_at < at and int(times[columns[one.instrument].column]) == at
        ]
        if not ready:
            return []
        level = market.level_now()
        volatility, betas = market.volatility(parameters), market.betas(parameters)
        session = market.session - closes  # the one that the price lies in
        entered: list[Entered] = []
        for key in ready:
            signal = self.expected.pop(key)
            if len(self.entered) >= parameters.outcomes_max:
                continue
            column = columns[signal.instrument].column
            span = max(1, math.ceil(signal.horizon))
            before = self.entered_in.get(key)
            gap = span if before is None else session - before
            self.entered_in[key] = session
            name = _reference(signal.source, signal.signal_id)
            made = Entered(
                signal,
                float(market.price[column]),
                level,
                float(betas[column]),
                max(float(volatility[column]) * math.sqrt(span), 1e-9),
                min(1.0, max(gap, 0) / span),
            )
            self.entered[name] = made
            entered.append(made)
            due = self.at_close if closes else self.at_first
            due.setdefault(market.session + span, []).append(name)
        return entered


def _key(instrument: str, source: str, strategy: str) -> str:
    """No name holds a tab."""
    return f"{instrument}\t{source}\t{strategy}"


def _reference(source: str, signal_id: str) -> str:
    return f"{source}\t{signal_id}"


def _clipped(outcome: float) -> float:
    return max(-OUTCOME_MOST, min(OUTCOME_MOST, outcome))

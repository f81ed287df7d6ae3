"""The last price of each instrument, by the prices' own times.

Place in the flow: whoever follows a journal beside the engine (simulated market, rules of the
audit) must know the same prices as it does. A snapshot that arrives late must never bring back
what a newer one has replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coordinator.core.rates import Rates
from schemas.base import parse_time
from schemas.market import PricesObserved, RatesObserved

__all__ = ["KnownPrices", "KnownRates"]


@dataclass(slots=True)
class KnownPrices:
    """Prices by instrument, money per unit, and the time each is of, ns UTC."""

    prices: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def take(self, seen: PricesObserved) -> dict[str, float]:
        """What a snapshot has that is no older than what is known; that is known from now on."""
        at = parse_time(seen.event_time)
        news = {
            name: price
            for name, price in zip(seen.instruments, seen.price, strict=True)
            if price is not None and self.times.get(name, at) <= at
        }
        self.prices.update(news)
        self.times.update(dict.fromkeys(news, at))
        return news

    def split(self, instrument: str, factor: float, *, effective_at: int) -> None:
        """A price from before it in new units, of which one old one is `factor`."""
        if self.times.get(instrument, effective_at) < effective_at:
            self.prices[instrument] /= factor


@dataclass(slots=True)
class KnownRates:
    """Exchange rates, and the ways that lead from one currency to another."""

    rates: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    ways: Rates = field(default_factory=Rates)

    def take(self, event: RatesObserved) -> None:
        """A rate as the engine accepted it; one older than what is known changes nothing."""
        if self.times.get(event.name, event.event_time) > event.event_time:
            return
        self.times[event.name] = event.event_time
        if event.name not in self.rates:
            self.ways.add(event.name, len(self.names))
            self.names.append(event.name)
        self.rates[event.name] = event.rate

    def between(self, of: str, into: str) -> float | None:
        """Units of `into` for one of `of`; None where no rate leads there."""
        return self.ways.between(of, into, [self.rates[name] for name in self.names])

"""Movements: what moved a portfolio's units and money lately, by the time it happened.

Place in the flow: noted by `evolve`, read by `reconcile`: a custodian counts at a moment that lies
behind what was booked since, so the books are turned back to that moment before both are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from coordinator.core.accounts import EXACT, ZERO

__all__ = ["Movement", "Movements"]


@dataclass(frozen=True, slots=True)
class Movement:
    """Units of an instrument, and money of a currency, that came (or went) at a time, ns UTC."""

    at: int
    instrument: str | None
    units: Decimal
    currency: str
    cash: Decimal


@dataclass(slots=True)
class Movements:
    """The newest in the order they were booked; forgotten_at: the latest time of all others."""

    kept: list[Movement] = field(default_factory=list)
    forgotten_at: int = -1

    def note(self, movement: Movement, *, kept_max: int, since: int) -> None:
        """Remember one; forget those beyond the number, and those of before `since`."""
        self.kept.append(movement)
        gone = max(0, len(self.kept) - kept_max)
        while gone < len(self.kept) and self.kept[gone].at < since:
            gone += 1
        if gone:
            self.forgotten_at = max(self.forgotten_at, *(one.at for one in self.kept[:gone]))
            del self.kept[:gone]

    def after(self, at: int) -> Iterator[Movement]:
        """Those of later than a time."""
        return (one for one in self.kept if one.at > at)

    def units_at(self, at: int, positions: dict[str, Decimal]) -> dict[str, Decimal]:
        """What was held then, positions being what is held now."""
        held = dict(positions)
        for one in self.after(at):
            if one.instrument is not None:
                held[one.instrument] = EXACT.subtract(held.get(one.instrument, ZERO), one.units)
        return {name: units for name, units in held.items() if units}

    def cash_at(self, at: int, currency: str, cash: Decimal) -> Decimal:
        """The money of a currency then, cash being what there is now."""
        for one in self.after(at):
            if one.currency == currency:
                cash = EXACT.subtract(cash, one.cash)
        return cash

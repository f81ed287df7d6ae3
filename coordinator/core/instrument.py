"""Instrument: what is traded, or what a currency costs, with its terms and its standing.

Place in the flow: kept by the market, by name; read by whoever trades or values.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.market import InstrumentListed

__all__ = ["Instrument"]


@dataclass(slots=True)
class Instrument:
    """An instrument's terms and standing."""

    name: str
    column: int
    sector: str | None
    lot: Decimal
    tick: Decimal
    currency: str
    price_limit: float | None
    full_exit_odd_lot: bool
    halted: bool = False
    delisted: bool = False
    split_at: int = 0
    """When its last split took effect, ns UTC."""
    listed: bool = True
    """Whether it can be held; an exchange rate that nobody lists has a column and no holders."""
    factors: tuple[tuple[str, float], ...] = ()
    """Factors and its exposure to each, sorted."""

    @classmethod
    def of(cls, event: InstrumentListed, *, column: int, known: Instrument | None) -> Instrument:
        """As it is listed. known: as it was before, whose standing it keeps but for a delisting."""
        return cls(
            event.instrument,
            column,
            event.sector,
            event.lot,
            event.tick,
            event.currency,
            event.price_limit,
            event.full_exit_odd_lot,
            halted=known.halted if known is not None else False,
            split_at=known.split_at if known is not None else 0,
            factors=tuple((one.factor, one.exposure) for one in event.factors),
        )

"""Regimes: what a service declared of the market's state last, and whether it counts.

Place in the flow: part of the state, folded from `RegimeDeclared`, asked by `causes`. A name that
the parameters' table does not hold is nobody's: it changes nothing. Of those that it holds the
latest by its own time counts, whatever order they came in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.adaptation import RegimeMultipliers, RegimeRule
from schemas.market import RegimeDeclared

__all__ = ["Declared", "Regimes"]


class Declared(NamedTuple):
    """A declaration; of two the later is the larger, of one moment the same one on every shard.

    at: when the input topic had it, ns. session: sessions closed once it could be acted on.
    """

    event_time: int
    regime: str
    probability: float
    event_id: str
    at: int
    session: int


@dataclass(slots=True)
class Regimes:
    """The declaration that counts, and the regime that was in force when it was looked at last."""

    said: Declared | None = None
    kept: str = ""

    def take(
        self, event: RegimeDeclared, rule: RegimeRule | None, *, at: int, session: int
    ) -> bool:
        """Whether it may change anything: a regime of the table, later than the last one of it."""
        table = () if rule is None else tuple(one.regime for one in rule.regimes)
        if event.regime not in table:
            return False
        said = Declared(
            event.event_time, event.regime, event.probability, event.event_id, at, session
        )
        if self.said is not None and self.said.regime in table and said <= self.said:
            return False
        self.said = said
        return True

    def in_force(self, rule: RegimeRule | None, *, is_over: bool) -> RegimeMultipliers | None:
        """The row that counts, None where none does. is_over: the declaration is too old."""
        if rule is None or self.said is None or is_over:
            return None
        said = self.said
        row = next((one for one in rule.regimes if one.regime == said.regime), None)
        if row is None:
            return None
        least = row.probability_min
        if row.regime == self.kept and row.probability_keep is not None:
            least = row.probability_keep
        return row if said.probability >= least else None

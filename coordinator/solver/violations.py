"""How far each hard limit is broken by given trades.

Place in the flow: says what is breached before the solve and checks the answer after rounding. It
must never use anything of the model: it is the second opinion.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coordinator.core.ports import DRIFT, AllocationProblem, Floats
from coordinator.solver.further import NOTHING, excess, further_of
from coordinator.solver.limits import cash_left, position_range, turnover_used

__all__ = [
    "ROUNDING_TOLERANCE",
    "Violations",
    "beyond",
    "broken_names",
    "measure",
    "row_name",
]

# What float arithmetic may add when an answer is checked again.
ROUNDING_TOLERANCE = 1e-9

_NO_ROW: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Violations:
    """Excess over each limit, fraction of NAV, 0 where it is kept.

    over, under: (n,) per position; trade: (n,) beyond trade_max; gross, cash and turnover are sums
    over the portfolio. further: (m,) of the rows of `further`, soft ones too, in their scaled unit;
    hard: (m,) which of them count as broken limits.
    """

    over: Floats
    under: Floats
    trade: Floats
    gross: float
    cash: float
    turnover: float
    further: Floats = field(default_factory=lambda: NOTHING)
    hard: NDArray[np.bool_] = field(default_factory=lambda: _NO_ROW)

    @property
    def largest(self) -> float:
        """The largest single excess over a hard limit, fraction of NAV."""
        per_name = [x.max(initial=0.0) for x in (self.over, self.under, self.trade)]
        of_rows = self.further[self.hard].max(initial=0.0) if len(self.further) else 0.0
        return float(max(*per_name, of_rows, self.gross, self.cash, self.turnover))

    @property
    def total(self) -> float:
        """What all hard limits are broken by together, fraction of NAV."""
        of_rows = float(self.further[self.hard].sum()) if len(self.further) else 0.0
        return self.always + float(self.trade.sum()) + of_rows + self.turnover

    @property
    def always(self) -> float:
        """What the limits on the weights that every problem has are broken by together."""
        return float(self.over.sum() + self.under.sum()) + self.gross + self.cash

    @property
    def breached(self) -> bool:
        """Whether any hard limit is broken by more than drift."""
        return self.largest > DRIFT

    def worse_than(self, allowed: Violations) -> bool:
        """Whether any single hard limit is broken by more than allowed, beyond float arithmetic."""
        gap = ROUNDING_TOLERANCE
        return bool(
            (self.over > allowed.over + gap).any()
            or (self.under > allowed.under + gap).any()
            or (self.trade > allowed.trade + gap).any()
            or self.gross > allowed.gross + gap
            or self.cash > allowed.cash + gap
            or self.turnover > allowed.turnover + gap
            or (len(self.further) and (self.further > allowed.further + gap)[self.hard].any())
        )

    def beyond(self, most: Violations) -> float:
        """Largest amount by which any limit, soft ones too, is broken by more than it may be."""
        return float(
            max(
                (self.over - most.over).max(initial=0.0),
                (self.under - most.under).max(initial=0.0),
                (self.further - most.further).max(initial=0.0),
                self.gross - most.gross,
                self.cash - most.cash,
                self.turnover - most.turnover,
            )
        )

    def names(self) -> tuple[str, ...]:
        """Names of the limits of every problem broken by more than drift, in a fixed order."""
        amounts = {
            "position_max": float(np.max(self.over, initial=0.0)),
            "position_min": float(np.max(self.under, initial=0.0)),
            "gross_max": self.gross,
            "cash_floor": self.cash,
        }
        return tuple(name for name, value in amounts.items() if value > DRIFT)


def measure(problem: AllocationProblem, trades: Floats) -> Violations:
    """The excess over each limit if these trades, (n,) fractions of NAV, are decided."""
    lowest, highest = position_range(problem, trades)
    gross = float(np.maximum(highest, -lowest).sum())
    over, under = _outside(problem, lowest, highest)
    limited = bool(problem.limits)
    return Violations(
        over=over,
        under=under,
        trade=np.maximum(np.abs(trades) - problem.trade_max, 0.0),
        gross=max(gross - problem.gross_max, 0.0),
        cash=max(problem.cash_floor - cash_left(problem, trades), 0.0),
        turnover=max(turnover_used(trades) - problem.turnover_max, 0.0),
        further=excess(problem, trades) if limited else NOTHING,
        hard=further_of(problem).hard if limited else _NO_ROW,
    )


def broken_names(problem: AllocationProblem, found: Violations) -> tuple[str, ...]:
    """Names of all hard limits broken by more than drift, in a fixed order."""
    rows = np.flatnonzero((found.further > DRIFT) & found.hard)
    return (*found.names(), *(row_name(problem, int(row)) for row in rows))


def row_name(problem: AllocationProblem, row: int) -> str:
    """A row of the further limits as people call it: limit, label and whether it is a floor."""
    further = further_of(problem)
    at, index = further.source[row]
    limit = problem.limits[at]
    label = f"/{limit.labels[index]}" if limit.labels[index] else ""
    return f"{limit.name}{label}{' (floor)' if further.side[row] < 0.0 else ''}"


def beyond(problem: AllocationProblem, trades: Floats) -> tuple[Floats, Floats]:
    """(n,) by how much each position ends above, and below, its own limits."""
    return _outside(problem, *position_range(problem, trades))


def _outside(problem: AllocationProblem, lowest: Floats, highest: Floats) -> tuple[Floats, Floats]:
    over: Floats = np.maximum(highest - problem.position_max, 0.0)
    under: Floats = np.maximum(problem.position_min - lowest, 0.0)
    return over, under

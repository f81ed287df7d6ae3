"""The room that the hard limits leave to the trades, as plain numbers.

Place in the flow: computed from a problem and the violations that are allowed, read by the model
(as parameters), the certificate and the readings. It must never depend on what was solved before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.further import NOTHING, further_of
from coordinator.solver.limits import cash_left, position_range
from coordinator.solver.terms import impact_paid
from coordinator.solver.violations import Violations

__all__ = ["Room", "make_room", "weights_before"]


@dataclass(frozen=True, slots=True)
class Room:
    """What trades z may do; fractions of NAV.

    up, down: (n,) position limits on z; trade: (n,) largest |z|; box: (n,) smallest and (n,)
    largest z that these allow together. highest, lowest: (n,) weights
    before trading with all working buys, respectively all working sells, filled. gross, cash,
    turnover: bounds on the sums, the tightest where further limits bound the same. linear: (k,)
    bounds on the further linear rows of z; groups: (k,) on the further rows of exposure;
    volatility: the tightest bound on it, infinite where there is none. house: the same of the sum
    of the house book's absolute weights. Bounds beyond what the trades could ever reach are pulled
    in, which changes no solution and keeps the solver's data of one scale.
    """

    up: Floats
    down: Floats
    trade: Floats
    highest: Floats
    lowest: Floats
    gross: float
    cash: float
    turnover: float
    linear: Floats = field(default_factory=lambda: NOTHING)
    groups: Floats = field(default_factory=lambda: NOTHING)
    volatility: float = np.inf
    house: float = np.inf
    box: tuple[Floats, Floats] = field(init=False)

    def __post_init__(self) -> None:
        """What follows from the others is found once."""
        high = np.minimum(self.up, self.trade)
        # Allowed violations are found to within the solver's tolerance: never let the sides cross.
        low = np.minimum(np.maximum(self.down, -self.trade), high)
        object.__setattr__(self, "box", (low, high))


def make_room(problem: AllocationProblem, allowed: Violations | None = None) -> Room:
    """The room of a problem, eased by the violations allowed (None: by none)."""
    nothing = np.zeros_like(problem.filled)
    lowest, highest = position_range(problem, nothing)
    up, down = problem.position_max - highest, problem.position_min - lowest
    left = cash_left(problem, nothing)
    gross, cash = problem.gross_max, left - problem.cash_floor
    if allowed is not None:
        up, down = up + allowed.over, down - allowed.under
        gross, cash = gross + allowed.gross, cash + allowed.cash
    exposure = np.maximum(highest, -lowest)
    trade = _reach(problem, lowest, float(exposure.sum()), max(left - problem.cash_floor, 0.0))
    widest = exposure + trade
    dearest = float(trade.sum() + trade @ problem.cost_buy + impact_paid(problem, trade).sum())
    room = Room(
        up=np.minimum(up, trade + 1.0),
        down=np.maximum(down, -trade - 1.0),
        trade=trade,
        highest=highest,
        lowest=lowest,
        gross=min(gross, float(widest.sum()) + 1.0),
        cash=min(cash, dearest + 1.0),
        turnover=min(problem.turnover_max, float(trade.sum()) / 2 + 1.0),
    )
    return _with_further(problem, room, allowed, left) if problem.limits else room


def _with_further(
    problem: AllocationProblem, room: Room, allowed: Violations | None, before: float
) -> Room:
    """The room with that of the further limits, soft ones as tight as they are allowed to be.

    before: cash left without trades.
    """
    further = further_of(problem)
    eased = further.bound if allowed is None else further.bound + allowed.further
    linear, groups, volatility, turnover, cash = (
        eased[further.counts.part(kind)] for kind in further.counts._fields
    )
    widest = np.maximum(room.highest, -room.lowest) + room.trade
    tightest = np.inf
    if len(volatility):
        spread = float(np.sqrt(np.diag(problem.covariance).max(initial=0.0)) * widest.sum())
        tightest = min(float(volatility.min()), spread + 1.0)
    return replace(
        room,
        linear=np.minimum(linear - further.before, np.abs(further.linear) @ room.trade + 1.0),
        groups=np.minimum(groups, further.gross @ widest + 1.0),
        volatility=tightest,
        turnover=float(turnover.min(initial=room.turnover)),
        cash=float((before + cash).min(initial=room.cash)),
    )


def _reach(problem: AllocationProblem, lowest: Floats, gross: float, spare: float) -> Floats:
    """(n,) trade_max, pulled in to 1 more than the sums could ever let a trade be.

    The 1 keeps what is pulled in from binding, so that each price stays with its own limit. lowest:
    (n,) as of the room; gross, spare: exposure and cash above the floor before trading.
    """
    by_gross = max(problem.gross_max, gross, 0.0) + np.abs(problem.filled)
    sellable = np.minimum(problem.trade_max, np.maximum(lowest - problem.position_min, 0.0))
    by_cash = spare + float(sellable.sum())
    by_sums = np.minimum(np.minimum(by_gross, by_cash), 2.0 * problem.turnover_max)
    reach: Floats = np.minimum(problem.trade_max, by_sums + 1.0)
    return reach


def weights_before(problem: AllocationProblem) -> Floats:
    """(n,) weights that new trades start from: filled plus working, fractions of NAV."""
    start: Floats = problem.start
    return start

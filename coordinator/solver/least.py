"""The least violation of chosen limits, all others kept: phase 1, and each tier of soft limits.

Place in the flow: `tiers` says what is chosen, `solve` loads and solves it, for problems with
further limits; the others' phase 1 is `model.Restoration`. A row's violation is in its scaled unit,
so that rows of one tier are alike. Paper symbols as in `model`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cvxpy as cp
import numpy as np

from coordinator.core.ports import AllocationProblem, Floats
from coordinator.solver.atoms import sum_squares, total
from coordinator.solver.further import Counts, further_of, used
from coordinator.solver.limits import (
    cash_limit,
    exposure_of,
    gross_limit,
    position_limit,
    trade_limit,
    turnover_limit,
    volatility_limit,
)
from coordinator.solver.model import EVENNESS, Parameters, base_of
from coordinator.solver.model_rows import RowParameters, build_parameters
from coordinator.solver.model_terms import Shape, TermParameters, impact_in_cash
from coordinator.solver.room import make_room
from coordinator.solver.terms import impact_paid
from coordinator.solver.violations import Violations

__all__ = ["Choice", "Least", "build_least"]

_PLAIN = Shape()


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose violation is to be least, and what each limit may be broken by at most.

    always: the limits of every problem are among the chosen. rows: (m,) the chosen further rows.
    most: no limit may be broken by more; infinite for soft rows that are settled later.
    """

    always: bool
    rows: Floats
    most: Violations

    def broken(self, now: Violations) -> float:
        """What is broken of the chosen limits together."""
        rows = float(self.rows @ now.further) if len(self.rows) else 0.0
        return rows + (now.always if self.always else 0.0)


@dataclass(frozen=True, slots=True)
class Least:
    """The search for one number of instruments and rows.

    caps, weights: of the slacks over, under, gross and cash, then of the (m,) rows. left: (m,) what
    each row may use: linear rows of z, the others in all. terms: of what impact takes of cash.
    """

    problem: cp.Problem
    parameters: Parameters
    terms: TermParameters
    rows: RowParameters
    caps: tuple[cp.Parameter, ...]
    weights: tuple[cp.Parameter, ...]
    left: cp.Parameter
    trades: cp.Variable

    def load(self, problem: AllocationProblem, choice: Choice) -> None:
        """Set every number."""
        self.rows.load(problem)
        most, room = choice.most, make_room(_without_rows(problem))
        self.parameters.load_room(problem, room)
        self.terms.load(problem, room, 1.0)
        values = (most.over, most.under, most.gross, most.cash)
        for cap, value in zip(self.caps[:-1], values, strict=True):
            cap.value = value
        for weight in self.weights[:-1]:
            weight.value = np.full(weight.shape, float(choice.always))
        self.weights[-1].value = choice.rows
        self.left.value, self.caps[-1].value = _bounds(problem, room.trade, most)


def _without_rows(problem: AllocationProblem) -> AllocationProblem:
    """The problem with the limits of every problem alone: the rows have slacks of their own."""
    given = {one.name: getattr(problem, one.name) for one in fields(AllocationProblem)}
    return AllocationProblem(**{**given, "limits": ()})


def _bounds(problem: AllocationProblem, reach: Floats, most: Violations) -> tuple[Floats, Floats]:
    """(m,) what each row may use without slack and (m,) the most its slack may be.

    Bounds out of reach are pulled in, with the slack that is needed in any case: that changes no
    answer and keeps the solver's numbers of one scale. reach: (n,) largest trades.
    """
    further, nothing = further_of(problem), np.zeros_like(reach)
    counts, now = further.counts, used(problem, nothing)
    spread = np.sqrt(np.diag(problem.covariance).max(initial=0.0))
    far = np.concatenate(
        [
            np.abs(further.linear) @ reach,
            further.gross @ reach,
            np.full(counts.volatility, spread * reach.sum()),
            np.full(counts.turnover, reach.sum() / 2),
            np.full(
                counts.cash,
                reach @ (1.0 + problem.cost_buy) + impact_paid(problem, reach).sum(),
            ),
        ]
    )
    low, high = now - far - 1.0, now + far + 1.0
    bound = np.clip(further.bound, low, high)
    cap = np.minimum(most.further - np.maximum(low - further.bound, 0.0), high - low)
    moved = np.zeros_like(now)
    moved[counts.part("linear")] = further.before
    # Cash is stated by what is paid, not by what is left.
    moved[counts.part("cash")] = now[counts.part("cash")]
    return bound - moved, np.maximum(cap, 0.0)


def build_least(n: int, counts: Counts, shape: Shape = _PLAIN) -> Least:
    """The search for n instruments, 1 or more, with so many further rows of each kind.

    shape: what takes cash besides linear costs.
    """
    given, z, buys, sells, splits = base_of(n)
    terms = TermParameters(shape)
    impact = impact_in_cash(terms, z, buys, sells)
    rows, left, m = build_parameters(n, counts), cp.Parameter(sum(counts)), sum(counts)
    slacks = (cp.Variable(n), cp.Variable(n), cp.Variable(), cp.Variable(), cp.Variable(m))
    caps = tuple(cp.Parameter(slack.shape, nonneg=True) for slack in slacks)
    weights = tuple(cp.Parameter(slack.shape, nonneg=True) for slack in slacks)
    exposure, exposures = exposure_of(z, given.highest, given.lowest)
    paid = given.price_buy @ buys - given.price_sell @ sells + impact
    quantities, cone = _quantities(counts, rows, z, exposure, total(buys + sells) / 2, paid)
    limits = [
        *splits,
        *position_limit(z, given.up, given.down, slacks[0], slacks[1]),
        *trade_limit(z, given.trade),
        *exposures,
        gross_limit(exposure, given.gross, slacks[2]),
        cash_limit(buys, sells, given.price_buy, given.price_sell, given.cash, slacks[3], impact),
        turnover_limit(buys, sells, given.turnover),
        *cone,
        quantities <= left + slacks[4],
        *(slack >= 0 for slack in slacks),
        *(slack <= cap for slack, cap in zip(slacks, caps, strict=True)),
    ]
    weighed = [cp.multiply(weight, slack) for weight, slack in zip(weights, slacks, strict=True)]
    # The weights are 0 or 1, so their squares are themselves.
    goal = cp.Minimize(total(*weighed) + EVENNESS * sum_squares(*weighed))
    return Least(cp.Problem(goal, limits), given, terms, rows, caps, weights, left, z)


def _quantities(
    counts: Counts,
    rows: RowParameters,
    z: cp.Variable,
    exposure: cp.Variable,
    traded: cp.Expression,
    paid: cp.Expression,
) -> tuple[cp.Expression, list[cp.Constraint]]:
    """(m,) each row's quantity, and the cone that defines the volatility among them.

    traded: half of what is traded; paid: what that takes of cash.
    """
    parts: list[cp.Expression] = []
    cone: list[cp.Constraint] = []
    if rows.linear is not None:
        parts.append(rows.linear @ z)
    if rows.groups is not None:
        parts.append(rows.groups @ exposure)
    if rows.root is not None and rows.root_start is not None:
        volatility = cp.Variable(1)
        cone.append(volatility_limit(z, rows.root, rows.root_start, volatility[0]))
        parts += [volatility] * counts.volatility
    parts += [cp.reshape(traded, (1,), order="C")] * counts.turnover
    parts += [cp.reshape(paid, (1,), order="C")] * counts.cash
    return cp.hstack(parts), cone

"""The efficient frontier of one recorded decision: what else its objective could have chosen.

Place in the flow: after the fact, from a log. The decision's problem is put together again, and
solved once for each of several weights of one thing: risk, or another weight of its mode. It
decides nothing and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coordinator.bootstrap import allocator
from coordinator.core.allocate import Situation
from coordinator.core.objectives import charged, linear_cost
from coordinator.core.ports import Allocation, AllocationProblem, Floats, LogReader
from coordinator.core.sleeves import sleeves_of
from coordinator.core.state import Portfolio, State
from coordinator.quality.reasons import told_of
from replay.problems import situation_of
from replay.weights import OVER, Over, over_named

__all__ = [
    "OVER",
    "POINTS_MAX",
    "POINTS_MIN",
    "Frontier",
    "Over",
    "Point",
    "frontier",
    "swept",
    "weight_of",
    "with_weight",
]

POINTS_MIN, POINTS_MAX = 3, 101
OCTAVES = 3.0
"""Weights go from an eighth of the chosen one to eight times it."""
FIRST: dict[Over, float] = {"turnover_price": 1.0, "robustness": 0.002}
"""The least weight above 0 where the chosen one is 0; of the others a share of the aversion."""
SHARE_FIRST = 1.0 / 16.0
OCTAVES_FROM_NOTHING = 8.0
Step = Callable[[int, int], None]
"""Called with points done, and points there are."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one weight leads to; fractions of NAV over the horizon.

    value: the weight. chosen: whether it is the decision's own. cost: of the trades, impact
    included; holding: of what is held after them. names: how many equal positions would be as
    concentrated, (sum |w|)^2 / sum w^2. tracking: volatility of the difference to the benchmark,
    None without one. rung: of the ladder.
    """

    value: float
    chosen: bool
    expected_return: float
    volatility: float
    cost: float
    holding: float
    turnover: float
    gross: float
    names: float
    tracking: float | None
    rung: str


@dataclass(frozen=True, slots=True)
class Frontier:
    """The points of one decision, the smallest weight first.

    over: what is varied; field: of the mode, as it is called there. whole: after whole lots, not
    before.
    """

    decision_id: str
    mode: str
    horizon_sessions: float
    over: Over
    field: str
    whole: bool
    points: tuple[Point, ...]


def frontier(
    reader: LogReader,
    decision_id: str,
    *,
    over: str = "risk",
    points: int = 15,
    whole: bool = True,
    step: Step | None = None,
) -> Frontier:
    """The frontier of a recorded decision.

    over: a key of OVER, or a mode's own name of it. whole: the answers as they would be decided, in
    whole lots; else the optima before. Raises ValueError for another weight and for points beyond
    POINTS_MIN and POINTS_MAX, and as `situation_of`.
    """
    varied = over_named(over)
    if not POINTS_MIN <= points <= POINTS_MAX:
        message = f"{points} points: give {POINTS_MIN} to {POINTS_MAX}"
        raise ValueError(message)
    told = told_of(reader, decision_id)
    state, portfolio, found = situation_of(reader, told)
    chosen = weight_of(found, varied)
    values = swept(chosen, varied, points, aversion=found.problem.risk_aversion)
    solver, made = allocator(), []
    for number, value in enumerate(values, 1):
        problem = with_weight(state, portfolio, found, varied, value)
        answer = solver.allocate(problem)
        made.append(
            _point(found, problem, answer, value=value, chosen=value == chosen, whole=whole)
        )
        if step is not None:
            step(number, len(values))
    return Frontier(
        decision_id=decision_id,
        mode=told.decision.mode,
        horizon_sessions=found.horizon,
        over=varied,
        field=OVER[varied],
        whole=whole,
        points=tuple(made),
    )


def weight_of(found: Situation, over: Over) -> float:
    """The weight that the decision was made with."""
    if over == "risk":
        return found.problem.risk_aversion
    return float(getattr(found.aims.preset, OVER[over]))


def swept(chosen: float, over: Over, points: int, *, aversion: float) -> tuple[float, ...]:
    """Rising weights, the chosen one among them; 0 as well where that is one.

    aversion: the risk aversion, beside which other weights are small or large.
    """
    if chosen == 0.0:
        first = FIRST.get(over, SHARE_FIRST * aversion)
        return 0.0, *(first * 2.0**k for k in _spread(0.0, OCTAVES_FROM_NOTHING, points - 1))
    nothing = () if over == "risk" else (0.0,)
    left = points - len(nothing)
    below, above = (left - 1) // 2, left - 1 - (left - 1) // 2
    lower = [chosen * 2.0**-k for k in reversed(_spread(0.0, OCTAVES, below + 1)[1:])]
    upper = [chosen * 2.0**k for k in _spread(0.0, OCTAVES, above + 1)[1:]]
    return (*nothing, *lower, chosen, *upper)


def _spread(first: float, last: float, count: int) -> Sequence[float]:
    steps: list[float] = np.linspace(first, last, count).tolist()
    return steps


def with_weight(
    state: State, portfolio: Portfolio, found: Situation, over: Over, value: float
) -> AllocationProblem:
    """The decision's problem with another weight."""
    if over != "risk":
        preset = found.aims.preset.model_copy(update={OVER[over]: value})
        return charged(found.problem, replace(found.aims, preset=preset), state.parameters)
    problem = replace(found.problem, risk_aversion=value)
    if problem.sleeves is None:
        return problem
    # What strategies wish, and what budgets are shares of, depend on it.
    own = sleeves_of(
        state, portfolio, problem, found.combination, horizon=found.horizon, tilt=found.tilt
    )
    return replace(problem, sleeves=own)


def _point(
    found: Situation,
    problem: AllocationProblem,
    answer: Allocation,
    *,
    value: float,
    chosen: bool,
    whole: bool,
) -> Point:
    trades = answer.trades if whole else answer.continuous
    weights, expenses = problem.start + trades, found.aims.expenses
    gross, squares = float(np.abs(weights).sum()), float(weights @ weights)
    benchmark = found.aims.benchmark
    return Point(
        value=value,
        chosen=chosen,
        expected_return=float(problem.mu @ weights),
        volatility=_volatility(problem, weights),
        cost=float((linear_cost(problem, trades) + expenses.of_trades(trades)).sum()),
        holding=expenses.of_holding(weights),
        turnover=float(np.abs(trades).sum()) / 2.0,
        gross=gross,
        names=gross**2 / squares if squares > 0.0 else 0.0,
        tracking=None if benchmark is None else _volatility(problem, weights - benchmark),
        rung=answer.rung,
    )


def _volatility(problem: AllocationProblem, weights: Floats) -> float:
    """Over the horizon."""
    return math.sqrt(max(float(weights @ problem.covariance @ weights), 0.0))

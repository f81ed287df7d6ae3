"""Score: how good a decision is, in parts between 0 and 1.

Place in the flow: asked by `decide` once a decision is made, of what it was made from and nothing
that comes later. It moves no allocation. The whole is the parts' weighted mean, so every part
shows for what it counts.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from coordinator.core.allocate import Situation
from coordinator.core.clock import MILLISECOND, SECOND
from coordinator.core.lines import BREACH_MIN, followed
from coordinator.core.ports import Allocation, AllocationProblem, Floats
from coordinator.core.state import Portfolio, State
from schemas.control import QualityWeights
from schemas.decisions import AllocationDecided, QualityScored

__all__ = ["PARTS", "quality_scored"]

PARTS = tuple(QualityWeights.model_fields)
"""Names of the parts, sorted."""
CERTIFIED = frozenset(("solved", "relaxed"))
"""Rungs whose answers come with a certificate: a rule's has none."""
GAIN_LEAST = 1e-5
"""A loss is held against what trading is worth, and no less than this: a tenth of a basis point."""
BREACH_FULL = 0.01
"""A hard limit broken by so much leaves nothing of its part, fraction of NAV."""
WAIT_HALF = 10 * SECOND
"""A wait beyond the window that halves what opinions are taken to be worth still."""
_NORMAL = NormalDist()
Flags = NDArray[np.bool_]


def quality_scored(
    state: State,
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    decision: AllocationDecided,
) -> QualityScored:
    """The score of a decision made from this situation, with its parts."""
    after = found.problem.start + answer.trades
    wishes = _wishes(found)
    expected = _expected(found, after, decision)
    worth = max(answer.objective_continuous - answer.objective_before, GAIN_LEAST)
    gap = answer.gap if answer.rung in CERTIFIED else math.inf
    parts = {
        "conflict": _gone_along(found.combination.utility(after)),
        "limits": _kept(answer),
        "optimality": _left(worth, gap),
        "payoff": _pays(found.problem, answer.trades, expected),
        "rounding": _left(worth, answer.objective_continuous - answer.objective),
        "satisfaction": _mean(followed(found, answer, after), wishes),
        "stability": _steady(portfolio, found, answer.trades),
        "timeliness": _mean(found.rows.left, wishes) * _prompt(state, portfolio),
    }
    values = [min(max(parts[name], 0.0), 1.0) for name in PARTS]
    given = state.parameters.quality_weights
    weights = [getattr(given, name) for name in PARTS]
    whole = sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)
    return QualityScored(
        decided_at=state.clock,
        portfolio=portfolio.name,
        decision_id=decision.decision_id,
        score=min(whole, 1.0),
        parts=tuple(zip(PARTS, values, strict=True)),
    )


def _wishes(found: Situation) -> Floats:
    """(rows,) what each signal's opinion alone would be worth: own^2 / variance of its pick."""
    variance = found.combination.weighing.variance[found.rows.slot]
    wishes: Floats = found.combination.own**2 / variance
    return wishes


def _expected(found: Situation, after: Floats, decision: AllocationDecided) -> float:
    """Net utility that the trades are expected to bring: return less cost less risk's price."""
    before, later, problem = decision.before, decision.after, found.problem
    risk = problem.risk_aversion / 2.0 * (later.volatility**2 - before.volatility**2)
    holding = found.aims.expenses.of_holding
    held = holding(after) - holding(problem.start)
    return later.expected_return - before.expected_return - risk - held - decision.cost


def _left(worth: float, loss: float) -> float:
    """What a loss leaves of something that is worth so much: worth / (worth + loss)."""
    return 1.0 if loss <= 0.0 else worth / (worth + loss)


def _gone_along(utility: Floats) -> float:
    """Share of all that opinions are worth at the answer, for or against it, that is for it."""
    whole = float(np.abs(utility).sum())
    return float(np.maximum(utility, 0.0).sum()) / whole if whole > 0.0 else 1.0


def _kept(answer: Allocation) -> float:
    """Nothing is left by a hard breach of BREACH_FULL, and less by each soft limit that gave way.

    One of priority p that gave way by its whole bound, or by BREACH_FULL where that is more, takes
    1 / (1 + p) of what is left.
    """
    broken = answer.violation if answer.violation > BREACH_MIN else 0.0
    left = 1.0 - min(broken / BREACH_FULL, 1.0)
    for one in answer.limits:
        if one.tier and one.gave_way > BREACH_MIN:
            share = min(one.gave_way / max(abs(one.bound), BREACH_FULL), 1.0)
            left *= 1.0 - share / (1.0 + one.tier)
    return left


def _pays(problem: AllocationProblem, trades: Floats, expected: float) -> float:
    """How probably the trades bring a gain in utility: Phi(expected / its standard deviation).

    Without trades neither gain nor loss is more likely.
    """
    deviation = math.sqrt(max(float(trades @ problem.covariance @ trades), 0.0))
    return _NORMAL.cdf(expected / deviation) if deviation > 0.0 else 0.5


def _mean(share: Floats | Flags, weights: Floats) -> float:
    """Weighted mean; 1 where nothing has any weight, as nothing is missed."""
    whole = float(weights.sum())
    return float(weights @ share) / whole if whole > 0.0 else 1.0


def _steady(portfolio: Portfolio, found: Situation, trades: Floats) -> float:
    """Share of what is traded that takes back nothing of the last trades decided."""
    turnover = float(np.abs(trades).sum())
    if not portfolio.traded_last or turnover <= 0.0:
        return 1.0
    last = portfolio.traded_last
    before = np.array([last.get(name, 0.0) for name in found.problem.instruments])
    back = np.minimum(np.abs(trades), np.abs(before))[trades * before < 0.0]
    return 1.0 - float(back.sum()) / turnover


def _prompt(state: State, portfolio: Portfolio) -> float:
    """Halved with every WAIT_HALF that the round waited beyond its window."""
    if portfolio.round is None:
        return 1.0
    waited = state.clock - portfolio.round.opened_at - state.parameters.window_ms * MILLISECOND
    return math.exp2(-max(waited, 0) / WAIT_HALF)

"""Causes: what the stated rules of adaptation ask for, given regime, market, book and skill.

Place in the flow: asked by `tilt` when it is looked at what moves. Reads the state, changes
nothing. A rule asks for a place between two whole steps; `tilt` moves there as little as it can, so
that each multiplier lies within a step of what is asked for and moves by whole steps only. Both are
monotone: who is asked for more never has less, whatever came before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coordinator.core.clock import MILLISECOND
from coordinator.core.regimes import Declared
from coordinator.core.skill import learned_skill, skill_error
from coordinator.core.state import Portfolio, Source, State
from schemas.adaptation import (
    DrawdownRule,
    QualityRule,
    RegimeMultipliers,
    RegimeRule,
    VolatilityRule,
)

__all__ = [
    "CAUSES",
    "QUALITY",
    "Asked",
    "Shared",
    "asked_of",
    "drawdown_asked",
    "quality_asked",
    "regime_ends",
    "regime_now",
    "shared_causes",
    "volatility_asked",
]

CAUSES = ("drawdown", "regime", "volatility")
"""Of what a portfolio's multipliers come from; the product is taken in this order."""
QUALITY = "signal_quality"
TOUCH = 1e-9
"""So near a whole step it is one, in steps."""
_NAMES = ("budgets", "risk_aversion", "turnover")


@dataclass(frozen=True, slots=True)
class Asked:
    """The whole steps on both sides of what a rule asks for, and the figures it comes from."""

    low: float
    high: float
    rule: str

    def moved(self, now: float) -> float:
        """Where a multiplier goes from here: no further than it has to, and only by whole steps."""
        if now <= self.low or now >= self.high:
            return min(max(now, self.low), self.high)
        # No whole step, as the rule was another one when it got there.
        return self.low if now - self.low <= self.high - now else self.high


@dataclass(frozen=True, slots=True)
class Shared:
    """What is the same for all portfolios: the regime in force, and what volatility asks for."""

    regime: RegimeMultipliers | None
    said: str
    volatility: Asked


def shared_causes(state: State) -> Shared:
    """The causes that no book is part of."""
    rule = state.parameters.adaptation.volatility
    regime = regime_now(state)
    if state.parameters.adaptation.regime is None:
        said = "there is no rule for regimes"
    elif regime is None or state.regimes.said is None:
        said = "no regime counts"
    else:
        said = (
            f"regime {regime.regime}, declared with probability {state.regimes.said.probability:g}"
        )
    volatility = _gone("volatility") if rule is None else volatility_asked(state, rule)
    return Shared(regime, said, volatility)


def asked_of(
    state: State, portfolio: Portfolio, shared: Shared
) -> Iterator[tuple[str, str, Asked]]:
    """What each rule asks of a portfolio: cause, what is multiplied, and the steps around it."""
    rule = state.parameters.adaptation.drawdown
    for name in _NAMES:
        if rule is None:
            yield "drawdown", name, _gone("drawdown")
        else:
            growth = portfolio.growth
            fall = min(1.0, max(0.0, 1.0 - growth.now / growth.best))
            yield "drawdown", name, drawdown_asked(rule, name, fall)
    for name in _NAMES:
        stated = 1.0 if shared.regime is None else float(getattr(shared.regime, name))
        yield "regime", name, Asked(stated, stated, shared.said)
    yield "volatility", "risk_aversion", shared.volatility


def _gone(cause: str) -> Asked:
    return Asked(1.0, 1.0, f"there is no rule for {cause}")


def _steps(wanted: float, *, step: float, least: float, most: float) -> tuple[float, float]:
    """The multipliers of whole steps from 1 on both sides of a wanted one, inside the bounds."""
    fewest = -math.floor((1.0 - least) / step + TOUCH)
    largest = math.floor((most - 1.0) / step + TOUCH)
    place = (min(max(wanted, least), most) - 1.0) / step
    below, above = math.floor(place + TOUCH), math.ceil(place - TOUCH)
    low, high = (min(max(one, fewest), largest) for one in (below, above))
    return max(1.0 + low * step, least), min(1.0 + high * step, most)


# -- regime ----------------------------------------------------------------------------------------


def regime_ends(state: State, said: Declared, rule: RegimeRule) -> int:
    """The last nanosecond at which a declaration counts, where sessions go by the clock.

    A whole number: a quotient of nanoseconds rounds, and what is over would look as if it were not.
    """
    lasts = rule.age_sessions_max * state.parameters.session_ms * MILLISECOND
    return said.at + int(lasts)


def regime_now(state: State) -> RegimeMultipliers | None:
    """The regime in force, with what it multiplies by."""
    rule, said = state.parameters.adaptation.regime, state.regimes.said
    if rule is None or said is None:
        return None
    if state.parameters.sessions == "observed":
        is_over = state.market.session - said.session > rule.age_sessions_max
    else:
        is_over = state.clock > regime_ends(state, said, rule)
    return state.regimes.in_force(rule, is_over=is_over)


# -- volatility ------------------------------------------------------------------------------------


def volatility_asked(state: State, rule: VolatilityRule) -> Asked:
    """What the market's volatility asks of risk aversion.

    The equal-weighted market's, not the portfolio's own: who sells in a storm has little volatility
    left, would be told to buy again, and so on. All shards and portfolios see the same one.
    """
    short, long = market_volatilities(state, rule)
    ratio = short / long if 0.0 < long < math.inf and short < math.inf else 1.0
    low, high = _steps(ratio**rule.exponent, step=rule.step, least=rule.least, most=rule.most)
    words = f"market volatility {short:.4g}, {ratio:.4g} times its long run of {long:.4g}"
    return Asked(low, high, words)


def market_volatilities(state: State, rule: VolatilityRule) -> tuple[float, float]:
    """Root mean squares of the market's session returns: of the last ones, and of the long run.

    A session in which no return is known counts in neither; 0 where none is.
    """
    market = state.market
    columns = np.array([i.column for i in market.instruments.values() if i.listed], dtype=np.intp)
    returns = market.window(columns, rule.sessions_long)
    known = ~np.isnan(returns)
    count = known.sum(axis=1)
    total = np.where(known, returns, 0.0).sum(axis=1)
    seen = count > 0
    squares = np.zeros(len(total))
    with np.errstate(over="ignore"):  # an absurd price has no volatility: see above
        squares[seen] = (total[seen] / count[seen]) ** 2
    last = slice(max(0, len(squares) - rule.sessions), None)
    return _root_mean(squares[last], seen[last]), _root_mean(squares, seen)


def _root_mean(squares: np.ndarray, seen: np.ndarray) -> float:
    number = int(seen.sum())
    return math.sqrt(float(squares.sum()) / number) if number else 0.0


# -- drawdown --------------------------------------------------------------------------------------


def drawdown_asked(rule: DrawdownRule, name: str, fall: float) -> Asked:
    """What a fall from the best close asks of one weight, along the stated line."""
    way = min(1.0, max(0.0, (fall - rule.begins) / (rule.full - rule.begins)))
    gone = 1.0 if way >= 1.0 else math.floor(way / rule.step + TOUCH) * rule.step
    ahead = min(1.0, math.ceil(way / rule.step - TOUCH) * rule.step)
    end = float(getattr(rule, name))
    ends = sorted(end if part >= 1.0 else 1.0 + part * (end - 1.0) for part in (gone, ahead))
    words = f"drawdown {fall:.4g}, of a line from {rule.begins:g} to {rule.full:g}"
    return Asked(ends[0], ends[1], words)


# -- signal quality --------------------------------------------------------------------------------


def quality_asked(state: State, rule: QualityRule | None, source: Source, strategy: str) -> Asked:
    """What a source's skill at its strategy's horizon asks of that strategy."""
    if rule is None:
        return _gone(QUALITY)
    parameters, horizon = state.parameters, source.horizon(strategy)
    skill = learned_skill(source.skill, horizon, parameters)
    error = skill_error(source.skill, horizon, parameters)
    away = skill - parameters.skill_prior
    sure = math.copysign(max(0.0, abs(away) - rule.deviations * error), away)
    low, high = _steps(
        1.0 + sure / parameters.skill_prior, step=rule.step, least=rule.least, most=rule.most
    )
    words = f"skill {skill:.4g}, known to {error:.4g}, beside a prior of {parameters.skill_prior:g}"
    return Asked(low, high, words)

"""Tilt: the multipliers that are in force on what a portfolio weighs, and how they move.

Place in the flow: looked at once a session is over, and when a regime is declared, rules change or
a portfolio opens; `bounding`, `allocate` and whoever divides budgets ask for them. Every move is an
event, `ParametersAdapted`, and takes effect with it. What `causes` finds is asked for, what stands
here is in force.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter

from coordinator.core.causes import (
    CAUSES,
    QUALITY,
    Asked,
    asked_of,
    quality_asked,
    regime_ends,
    regime_now,
    shared_causes,
)
from coordinator.core.regimes import Regimes
from coordinator.core.rounds import open_round
from coordinator.core.state import Portfolio, State
from schemas.entries import Stamp
from schemas.market import RegimeDeclared
from schemas.verdicts import ParametersAdapted

__all__ = [
    "MOVES",
    "MOVES_OF",
    "NEUTRAL",
    "Tilt",
    "look_again",
    "moves",
    "moves_of",
    "read",
    "settle_moves",
    "take_move",
    "take_regime",
    "tilt_of",
    "written",
]

Key = TypeVar("Key")
MOVES, MOVES_OF = "moves", "moves-of"
"""Timers: of all portfolios and strategies, and of one portfolio. They fire after a session's end
is booked and before the rounds of that moment, which decide under what they leave in force."""


@dataclass(frozen=True, slots=True)
class Tilt:
    """Multipliers in force for one portfolio; all 1 where no rule moved anything.

    strategies: (source, strategy, multiplier) of those that it hears and that are not 1, sorted.
    parts: what the others are products of, and the strategies, by name; not those of 1.
    """

    aversion: float = 1.0
    turnover: float = 1.0
    budgets: float = 1.0
    strategies: tuple[tuple[str, str, float], ...] = ()
    parts: tuple[tuple[str, float], ...] = ()

    def wish(self, source: str, strategy: str) -> float:
        """What a strategy's wish is multiplied by."""
        return next((by for *who, by in self.strategies if who == [source, strategy]), 1.0)

    def budget(self, source: str, strategy: str) -> float:
        """What a strategy's budget is multiplied by; of "" that of its source, shared.

        Strategies that share a budget have that of the least of them: nobody gets more of it by
        sharing.
        """
        if strategy:
            return self.budgets * self.wish(source, strategy)
        shared = [by for name, _, by in self.strategies if name == source]
        return self.budgets * min([1.0, *shared])


NEUTRAL = Tilt()


def tilt_of(state: State, portfolio: Portfolio) -> Tilt:
    """What is in force now."""
    own = portfolio.adapted
    if not own and not state.adapted_strategies:
        return NEUTRAL
    sources = frozenset(portfolio.mandate.sources)
    strategies = tuple(
        (source, strategy, by)
        for (source, strategy), by in sorted(state.adapted_strategies.items())
        if not sources or source in sources
    )
    told = [(f"{QUALITY}/{source}/{strategy}", by) for source, strategy, by in strategies]
    return Tilt(
        _product(own, "risk_aversion"),
        _product(own, "turnover"),
        _product(own, "budgets"),
        strategies,
        tuple(sorted([*own.items(), *told])),
    )


def _product(own: dict[str, float], name: str) -> float:
    return math.prod(own.get(f"{cause}/{name}", 1.0) for cause in CAUSES)


# -- when it is looked at what moves ---------------------------------------------------------------


def look_again(state: State, portfolio: Portfolio | None = None) -> None:
    """Something that rules go by may have changed, for everybody or for a new portfolio."""
    if portfolio is not None:
        if not state.parameters.adaptation.is_off:
            state.timers.arm(f"{MOVES_OF}\t{portfolio.name}", state.clock)
    elif not state.parameters.adaptation.is_off or _any_in_force(state):
        state.timers.arm(MOVES, state.clock)


def _any_in_force(state: State) -> bool:
    own = any(portfolio.adapted for portfolio in state.portfolios.values())
    return own or bool(state.adapted_strategies)


def take_regime(state: State, stamp: Stamp, event: RegimeDeclared) -> None:
    """A regime was declared; what it moves, it moves once all of its moment was heard."""
    session = state.market.session + (stamp.appended_at > state.market.closed_at)
    rule = state.parameters.adaptation.regime
    if state.regimes.take(event, rule, at=stamp.appended_at, session=session):
        look_again(state)


def settle_moves(state: State) -> None:
    """All moved: the regime that counts is kept by its own bound; by the clock its time may end."""
    row, said = regime_now(state), state.regimes.said
    state.regimes.kept = "" if row is None else row.regime
    rule = state.parameters.adaptation.regime
    if row is None or said is None or rule is None or state.parameters.sessions == "observed":
        return
    state.timers.arm(MOVES, max(regime_ends(state, said, rule), state.clock) + 1)


# -- what moves ------------------------------------------------------------------------------------


def moves(state: State) -> Iterator[ParametersAdapted]:
    """What moves now: of every portfolio that is not closed, and of every strategy."""
    shared = shared_causes(state)
    for name in sorted(state.portfolios):
        portfolio = state.portfolios[name]
        if not portfolio.closed:
            for cause, what, asked in asked_of(state, portfolio, shared):
                yield from _moved(state, portfolio, cause, what, asked)
    yield from _strategies(state)


def moves_of(state: State, portfolio: Portfolio) -> Iterator[ParametersAdapted]:
    """What moves now of one portfolio."""
    for cause, what, asked in asked_of(state, portfolio, shared_causes(state)):
        yield from _moved(state, portfolio, cause, what, asked)


def _moved(
    state: State, portfolio: Portfolio, cause: str, what: str, asked: Asked
) -> Iterator[ParametersAdapted]:
    before = portfolio.adapted.get(f"{cause}/{what}", 1.0)
    after = asked.moved(before)
    if after != before:
        yield ParametersAdapted(
            decided_at=state.clock,
            name=what,
            before=before,
            after=after,
            rule=asked.rule,
            portfolio=portfolio.name,
            cause=cause,
        )


def _strategies(state: State) -> Iterator[ParametersAdapted]:
    rule = state.parameters.adaptation.signal_quality
    known = {*state.adapted_strategies}
    if rule is not None:
        known |= {(view.source, view.strategy) for view in state.views.values()}
        for name, source in state.sources.items():
            known |= {(name, one) for one in (*source.terms.strategies, *source.by_strategy)}
    for source_name, strategy in sorted(known):
        before = state.adapted_strategies.get((source_name, strategy), 1.0)
        asked = quality_asked(state, rule, state.sources[source_name], strategy)
        after = asked.moved(before)
        if after != before:
            yield ParametersAdapted(
                decided_at=state.clock,
                name="strategy",
                before=before,
                after=after,
                rule=asked.rule,
                source=source_name,
                strategy=strategy,
                cause=QUALITY,
            )


def take_move(state: State, event: ParametersAdapted) -> None:
    """A multiplier is in force from now on; who decides on signals decides under it."""
    if event.portfolio is not None:
        portfolio = state.portfolios[event.portfolio]
        _put(portfolio.adapted, f"{event.cause}/{event.name}", event.after)
        if portfolio.schedule.kind == "signals":
            open_round(state, portfolio, "constraint")
    elif event.source is not None and event.strategy is not None:
        _put(state.adapted_strategies, (event.source, event.strategy), event.after)


def _put(kept: dict[Key, float], key: Key, multiplier: float) -> None:
    """Those of 1 are not kept: a state that nothing moves in is that of a build without rules."""
    if multiplier == 1.0:
        kept.pop(key, None)
    else:
        kept[key] = multiplier


# -- checkpoints -----------------------------------------------------------------------------------

_Written = tuple[Regimes, list[tuple[str, str, float]]]
_WRITTEN: TypeAdapter[_Written] = TypeAdapter(_Written)


def written(state: State) -> bytes:
    """What of it belongs to no portfolio, as JSON: the same bytes for the same state."""
    strategies = [(*who, by) for who, by in sorted(state.adapted_strategies.items())]
    return _WRITTEN.dump_json((state.regimes, strategies))


def read(state: State, body: bytes) -> None:
    """What `written` wrote. Raises ValueError for anything else."""
    state.regimes, strategies = _WRITTEN.validate_json(body)
    state.adapted_strategies = {(source, strategy): by for source, strategy, by in strategies}

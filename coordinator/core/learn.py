"""Learn: outcomes that are known now teach what is believed of their sources.

Place in the flow: part of `evolve`, called when a signal is accepted, prices are folded, or an
outcome is reported. The only place where a source's skill changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.core.outcomes import Expected, Outcome
from coordinator.core.skill import Forecasts, calibrated, horizon_bucket
from coordinator.core.state import State, View
from coordinator.core.views import scores

__all__ = ["LEARNED", "await_outcome", "learn_from_prices", "learn_from_report"]

LEARNED = "learned"
"""Name of the timer that lets sources be shown after a session in which something was learned."""


def await_outcome(state: State, view: View) -> None:
    """A signal that says something waits for what comes of it; a hold ends what waited."""
    if not state.parameters.learning:
        return
    outcomes = state.outcomes
    if not outcomes.wants(view.instrument, view.source, view.strategy, state.market.session):
        return
    (score,) = scores([view], state.sources, state.parameters)
    if score == 0.0:
        outcomes.forget(view.instrument, view.source, view.strategy)
        return
    source = state.sources[view.source]
    confidence = view.confidence
    rate = None if confidence is None else calibrated(source.skill, confidence, state.parameters)
    outcomes.expect(
        Expected(
            view.source,
            view.strategy,
            view.instrument,
            view.signal_id,
            score,
            confidence,
            rate,
            view.horizon,
            view.known_at,
        ),
    )


def learn_from_prices(state: State, *, at: int, closes: bool) -> None:
    """Prices of a time were folded. closes: they ended a session, so that all that is known fades.

    What is learned in a session is shown once, at its end.
    """
    parameters = state.parameters
    if not parameters.learning:
        return
    ended, entered = state.outcomes.priced(
        state.market, at=at, closes=closes, parameters=parameters
    )
    if closes:
        by = 0.5 ** (1.0 / parameters.skill_half_life_sessions)
        for name in sorted(state.sources):
            state.sources[name].skill.fade(by)
        state.pairs.fade(by)
    _learn(state, ended)
    if entered:
        state.pairs.add(
            [(one.signal.source, one.signal.instrument, one.signal.score, one.weight)
             for one in entered]
        )  # fmt: skip
        state.learned += 1
    if closes and state.learned != state.learned_shown:
        state.timers.arm(LEARNED, state.clock)


def learn_from_report(state: State, source: str, signal_id: str, realised: float) -> None:
    """A service says what came of a signal that is awaited."""
    found = state.outcomes.reported(source, signal_id, realised)
    if found is not None:
        _learn(state, (found,))


def _learn(state: State, ended: Iterable[Outcome]) -> None:
    for signal, outcome, weight in ended:
        source = state.sources.get(signal.source)
        if source is None:
            continue
        skill = source.skill
        place = horizon_bucket(signal.horizon)
        forecasts = skill.by_horizon.get(place)
        if forecasts is None:
            forecasts = skill.by_horizon[place] = Forecasts()
        forecasts.add(signal.score, outcome, weight)
        if signal.confidence is not None and signal.hit_rate is not None and outcome != 0.0:
            hit = signal.score * outcome > 0.0
            skill.calibration.add(signal.confidence, signal.hit_rate, hit=hit, weight=weight)
        state.learned += 1

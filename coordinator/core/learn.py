"""Learn: outcomes that are known now teach what is believed of their sources.

Place in the flow: part of `evolve`, called when a signal is accepted, prices are folded, or an
outcome is reported. The only place where a source's skill changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from coordinator.core.normalise import across, forecasts_of, is_crossed
from coordinator.core.outcomes import Entered, Expected, Outcome
from coordinator.core.skill import Forecasts, calibrated, horizon_bucket
from coordinator.core.state import State, View
from coordinator.core.views import scores
from schemas.market import PricesObserved

__all__ = [
    "CLOSED",
    "LEARNED",
    "await_outcome",
    "learn_from_close",
    "learn_from_prices",
    "learn_from_report",
    "session_ends",
]

CLOSED = "closed"
"""Name of the timer that ends a session once all that closes at its moment has."""
LEARNED = "learned"
"""Name of the timer that shows what is known of sources then; it fires after `CLOSED`."""


def learns(state: State) -> bool:
    """Whether outcomes are found: horizons end with closes that are seen, not with the clock."""
    return state.parameters.learning and state.parameters.sessions == "observed"


def await_outcome(state: State, view: View) -> None:
    """A signal that says something waits for what comes of it; a hold ends what waited."""
    outcomes = state.outcomes
    if not learns(state) or not outcomes.wants(
        view.instrument, view.source, view.strategy, state.market.session
    ):
        return
    source = state.sources[view.source]
    crossed = is_crossed(view, source)
    # Until it enters, others of its moment may still be on their way.
    score = view.raw if crossed else scores([view], state.sources, state.parameters)[0]
    if score == 0.0 and not crossed:
        outcomes.forget(view.instrument, view.source, view.strategy)
        return
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
            view.against,
            crossed,
        )
    )


def learn_from_prices(state: State, event: PricesObserved) -> None:
    """Prices that end no session were folded."""
    if learns(state):
        ended, entered = state.outcomes.seen(
            state.market, event.instruments, at=event.event_time, parameters=state.parameters
        )
        _learn(state, ended, entered)


def session_ends(state: State) -> None:
    """A session's close was told; others of the same moment may follow, so it ends behind them."""
    state.timers.arm(CLOSED, state.clock)


def learn_from_close(state: State) -> None:
    """Every name that closed with the session has: outcomes, entries, and what is known fades."""
    state.market.finish_session()
    if not learns(state):
        return
    parameters = state.parameters
    ended, entered = state.outcomes.closed(state.market, parameters=parameters)
    by = 0.5 ** (1.0 / parameters.skill_half_life_sessions)
    for name in sorted(state.sources):
        source = state.sources[name]
        source.skill.fade(by)
        for spread in source.spreads.values():
            spread.fade(by)
    _learn(state, ended, entered)
    state.pairs.fade(by)
    _compare(state)
    if any(source.skill.by_horizon for source in state.sources.values()):
        state.learned += 1  # what fades is believed otherwise, too
        state.timers.arm(LEARNED, state.clock)


def learn_from_report(state: State, source: str, signal_id: str, realised: float) -> None:
    """A service says what came of a signal: what was learned from it is corrected."""
    found, said = state.outcomes.corrected(source, signal_id, realised)
    signal, skill = found.signal, state.sources[source].skill
    half_life = state.parameters.skill_half_life_sessions
    left = found.weight * 0.5 ** ((state.market.session - found.session) / half_life)
    forecasts = skill.by_horizon.get(horizon_bucket(signal.horizon))
    if forecasts is not None:
        forecasts.correct(signal.score, said.outcome - found.outcome, left)
    was, now = signal.score * found.outcome > 0.0, signal.score * said.outcome > 0.0
    counted = found.outcome != 0.0 and signal.confidence is not None
    if counted and signal.confidence is not None and signal.hit_rate is not None and was != now:
        skill.calibration.correct(signal.confidence, signal.hit_rate, hit=now, weight=left)
    state.learned += 1


def _learn(state: State, ended: Sequence[Outcome], entered: Sequence[Entered]) -> None:
    for one in ended:
        if one.signal.score == 0.0:
            continue  # it was too few's to say anything
        signal, skill = one.signal, state.sources[one.signal.source].skill
        place = horizon_bucket(signal.horizon)
        forecasts = skill.by_horizon.get(place)
        if forecasts is None:
            forecasts = skill.by_horizon[place] = Forecasts()
        forecasts.add(signal.score, one.outcome, one.weight)
        if signal.confidence is not None and signal.hit_rate is not None and one.outcome != 0.0:
            hit = signal.score * one.outcome > 0.0
            skill.calibration.add(signal.confidence, signal.hit_rate, hit=hit, weight=one.weight)
    if entered:
        _standardise(state, entered)
    if ended:
        state.learned += 1


def _standardise(state: State, entered: Sequence[Entered]) -> None:
    """Scores that are normalised across names are those of all that its strategy forecast then.

    What was said after the price that a signal enters at does not count.
    """
    together: dict[tuple[str, str], list[Entered]] = {}
    for one in entered:
        if one.signal.crossed:
            together.setdefault((one.signal.source, one.signal.strategy), []).append(one)
    groups = forecasts_of(state.views, state.sources, sorted({source for source, _ in together}))
    for group, own in together.items():
        known = (view for view in groups.get(group, ()) if view.known_at < own[0].at)
        raws = {view.instrument: view.raw for view in known}
        raws |= {one.signal.instrument: one.signal.score for one in own}
        names = sorted(raws)
        normalisation = state.sources[group[0]].terms.normalisation
        scores_now = across(
            np.array([raws[name] for name in names]), normalisation, state.parameters
        )
        most = state.parameters.score_max
        found = dict(zip(names, np.clip(scores_now, -most, most).tolist(), strict=True))
        for one in own:
            state.outcomes.rescore(one, found[one.signal.instrument])


def _compare(state: State) -> None:
    """What sources said of the same names at the same moments since the last close."""
    fresh = state.outcomes.unpaired(state.market.closed_at)
    for _, together in groupby(fresh, key=lambda one: one.at):
        state.pairs.add(
            [(o.signal.source, o.signal.instrument, o.signal.score, o.weight) for o in together]
        )

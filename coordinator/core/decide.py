"""Decide: a round that is due becomes its events, with every reason in them.

Place in the flow: called by the engine when a round's timer fires. Reads the state, changes
nothing.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.board import sums
from coordinator.core.book import EXACT, ZERO, money, units_to_come, value
from coordinator.core.checkpoint import portfolio_digest
from coordinator.core.clock import MILLISECOND
from coordinator.core.conflicts import Conflict, find_conflicts
from coordinator.core.ports import Allocation, Allocator, Floats, RiskModel
from coordinator.core.state import Portfolio, Round, State
from coordinator.core.views import heard
from schemas.base import OutputEvent
from schemas.decisions import (
    AllocationDecided,
    ConflictDetected,
    Identity,
    LimitUse,
    Outcome,
    Profile,
    RoundClosed,
    Rung,
    SignalUse,
    SolverReport,
    Target,
    Trade,
    Verdict,
)

__all__ = ["close_round"]

_UNITS = Decimal("0.00000001")
WEIGHT_ZERO = 1e-9
"""Weights closer to 0 than this hold nothing."""
BREACH_MIN = 1e-7
"""A limit broken by less is drift, fraction of NAV."""
_VERDICTS: tuple[Verdict, ...] = ("followed", "outvoted", "limited")


def close_round(
    state: State, portfolio: Portfolio, *, allocator: Allocator, risk_model: RiskModel
) -> list[OutputEvent]:
    """The events of a round that ends now: conflicts, the decision, the round's books."""
    found = situation(state, portfolio, risk_model)
    if found is None:
        blind = bool(value(portfolio, state.market).unpriced)
        outcome: Outcome = "no_prices" if blind else "no_value"
        return [_closed(state, portfolio, None, outcome=outcome, conflicts=0, reported=0)]
    if not found.problem.instruments:
        return [_closed(state, portfolio, found, outcome="nothing_to_do", conflicts=0, reported=0)]
    answer = allocator.allocate(found.problem)
    conflicts = find_conflicts(found.combination, found.problem, state.parameters)
    reported = conflicts[: state.parameters.conflicts_max]
    events: list[OutputEvent] = [_conflict(state, portfolio, found, answer, c) for c in reported]
    events.append(_decision(state, portfolio, found, answer))
    events.append(
        _closed(
            state,
            portfolio,
            found,
            outcome="decided",
            conflicts=len(conflicts),
            reported=len(reported),
        )
    )
    return events


def decision_id(portfolio: Portfolio) -> str:
    """Name of the round that is open: "portfolio:round"."""
    return f"{portfolio.name}:{portfolio.rounds + 1}"


def _closed(
    state: State,
    portfolio: Portfolio,
    found: Situation | None,
    *,
    outcome: Outcome,
    conflicts: int,
    reported: int,
) -> RoundClosed:
    used = () if found is None else tuple(sorted(found.rows.references))
    if found is None:
        dropped = tuple(sorted(view.reference for view in heard(state, portfolio)))
    else:
        dropped = tuple(sorted(view.reference for view in found.without))
    before = frozenset(portfolio.signals_used)
    collected = portfolio.round or Round("signals", state.clock)
    return RoundClosed(
        decided_at=state.clock,
        portfolio=portfolio.name,
        decision_id=decision_id(portfolio),
        round=portfolio.rounds + 1,
        trigger=collected.trigger,
        opened_at=collected.opened_at,
        signals_used=used,
        signals_new=sum(1 for reference in used if reference not in before),
        signals_dropped=dropped,
        conflicts=conflicts,
        conflicts_reported=reported,
        outcome=outcome,
    )


def _conflict(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation, conflict: Conflict
) -> ConflictDetected:
    names = found.problem.instruments
    start = found.problem.start
    parts = []
    for pick in conflict.picks:
        mu, before = found.combination.mu[pick], start[pick]
        after = before + answer.trades[pick]
        parts.append(f"{names[pick]}: together {mu:+.3%}, held {before:.2%} -> {after:.2%}")
    return ConflictDetected(
        decided_at=state.clock,
        portfolio=portfolio.name,
        decision_id=decision_id(portfolio),
        kind=conflict.kind,
        instruments=tuple(names[pick] for pick in conflict.picks),
        signals=tuple(sorted(found.rows.references[i] for i in conflict.rows)),
        severity=min(max(conflict.severity, 0.0), 1.0),
        resolution="; ".join(parts)[:2000],
    )


def _decision(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation
) -> AllocationDecided:
    problem = found.problem
    start = problem.start
    after = start + answer.trades
    cost = np.where(answer.trades > 0, problem.cost_buy, problem.cost_sell) * np.abs(answer.trades)
    quantities = _quantities(state, portfolio, found, answer)
    return AllocationDecided(
        decided_at=state.clock,
        portfolio=portfolio.name,
        decision_id=decision_id(portfolio),
        round=portfolio.rounds + 1,
        mode=portfolio.mode,
        nav=money(problem.nav),
        horizon_sessions=found.horizon,
        valid_sessions=portfolio.mandate.valid_sessions,
        valid_until=_valid_until(state, portfolio),
        priority=_priority(found, answer, float(cost.sum())),
        turnover=float(np.abs(answer.trades).sum() / 2.0),
        cost=float(cost.sum()),
        targets=_targets(portfolio, found, answer, quantities),
        trades=_trades(portfolio, found, answer, cost, quantities),
        before=_profile(found, start, cash=problem.cash - float((start - problem.filled).sum())),
        after=_profile(
            found, after, cash=problem.cash - float((after - problem.filled).sum() + cost.sum())
        ),
        signals=_signal_uses(found, answer, after),
        prior_utility=0.0,
        limits=tuple(
            LimitUse(
                limit=reading.limit,
                instrument=reading.instrument,
                used=reading.used,
                bound=reading.bound,
                shadow_price=reading.shadow_price,
            )
            for reading in answer.limits
        ),
        solver=_report(answer),
        identity=_identity(state, portfolio, found),
    )


def _quantities(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation
) -> list[Decimal]:
    """(n,) signed units to trade: whole lots, exact full exits, or eight decimals."""
    after = found.problem.start + answer.trades
    held = units_to_come(portfolio)
    units = []
    for i, name in enumerate(found.problem.instruments):
        lots = float(answer.lots[i])
        lot = state.market.instruments[name].lot
        if lots and abs(float(after[i])) < WEIGHT_ZERO * 1e-3:
            units.append(EXACT.minus(held.get(name, ZERO)))
        elif lot:
            units.append(EXACT.multiply(Decimal(round(lots)), lot))
        else:
            amount = lots * found.problem.nav / float(found.prices[i]) if lots else 0.0
            units.append(EXACT.quantize(Decimal(repr(amount)), _UNITS))
    return units


def _targets(
    portfolio: Portfolio, found: Situation, answer: Allocation, quantities: list[Decimal]
) -> tuple[Target, ...]:
    start, held = found.problem.start, units_to_come(portfolio)
    return tuple(
        Target(
            instrument=name,
            weight_before=float(start[i]),
            weight_wanted=float(start[i] + answer.continuous[i]),
            weight=float(start[i] + answer.trades[i]),
            quantity=EXACT.add(held.get(name, ZERO), quantities[i]),
            expected_return=float(found.combination.mu[i]),
            price=float(found.prices[i]),
        )
        for i, name in enumerate(found.problem.instruments)
    )


def _trades(
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    cost: Floats,
    quantities: list[Decimal],
) -> tuple[Trade, ...]:
    urgency = _urgency(found, answer)
    return tuple(
        Trade(
            trade_id=f"{decision_id(portfolio)}:{name}",
            instrument=name,
            quantity=quantities[i],
            price=float(found.prices[i]),
            weight=float(answer.trades[i]),
            cost=float(cost[i]),
            urgency=min(1.0, float(urgency[i])),
        )
        for i, name in enumerate(found.problem.instruments)
        if quantities[i]
    )


def _urgency(found: Situation, answer: Allocation) -> Floats:
    """(n,) share of each instrument's opinions that arrives within a session; see schemas."""
    n, rows = len(found.problem.instruments), found.rows
    if answer.violation_before > BREACH_MIN:
        return np.ones(n)
    own = np.abs(found.combination.own)
    urgency = sums(rows.pick, own * rows.soon, count=n)
    weight = sums(rows.pick, own, count=n)
    return np.divide(urgency, weight, out=np.zeros_like(urgency), where=weight > 0)


def _priority(found: Situation, answer: Allocation, cost: float) -> float:
    """gain / (gain + cost) of trading against not trading; see schemas."""
    if answer.violation_before > BREACH_MIN:
        return 1.0
    problem, start = found.problem, found.problem.start
    risk = problem.risk_aversion / 2.0 * float(start @ problem.covariance @ start)
    gain = max(0.0, answer.objective + cost - (float(problem.mu @ start) - risk))
    return gain / (gain + cost) if gain > 0.0 else 0.0


def _valid_until(state: State, portfolio: Portfolio) -> int | None:
    if state.parameters.sessions == "observed":
        return None
    length = portfolio.mandate.valid_sessions * state.parameters.session_ms * MILLISECOND
    return state.clock + length


def _profile(found: Situation, weights: Floats, *, cash: float) -> Profile:
    variance = float(weights @ found.problem.covariance @ weights)
    return Profile(
        expected_return=float(found.combination.mu @ weights),
        volatility=max(variance, 0.0) ** 0.5,
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
        cash=cash,
        positions=int((np.abs(weights) > WEIGHT_ZERO).sum()),
    )


def _signal_uses(found: Situation, answer: Allocation, after: Floats) -> tuple[SignalUse, ...]:
    """What each signal did: its utility is its part of every mu times the weights."""
    combination, rows = found.combination, found.rows
    columns = zip(
        rows.references,
        rows.views,
        _verdicts(found, answer, after),
        rows.score.tolist(),
        rows.skill.tolist(),
        (combination.q * rows.skill**2).tolist(),
        combination.own.tolist(),
        combination.utility(after).tolist(),
        strict=True,
    )
    return tuple(
        SignalUse(
            signal=reference,
            strategy=view.strategy,
            instrument=view.instrument,
            verdict=verdict,
            score=score,
            skill=skill,
            view=expected,
            own=own,
            utility=utility,
        )
        for reference, view, verdict, score, skill, expected, own, utility in columns
    )


def _verdicts(found: Situation, answer: Allocation, after: Floats) -> list[Verdict]:
    """(rows,) followed, outvoted or limited: see schemas.decisions.SignalUse."""
    pick, wish = found.rows.pick, found.combination.q
    trades, weights = answer.trades[pick], after[pick]
    moved = np.where(np.abs(trades) > WEIGHT_ZERO, trades, weights)
    still = np.abs(moved) <= WEIGHT_ZERO
    # Where nothing may be short, a sale of what is not held is met.
    moved = np.where(still & (found.problem.position_min[pick] >= 0), -1.0, moved)
    followed = (wish * moved > 0) & (np.abs(moved) > WEIGHT_ZERO)
    outvoted = wish * found.combination.mu[pick] <= 0
    which = np.where(followed, 0, np.where(outvoted, 1, 2))
    return [_VERDICTS[i] for i in which.tolist()]


def _report(answer: Allocation) -> SolverReport:
    return SolverReport(
        rung=Rung(answer.rung),
        solver=answer.solver,
        status=answer.status,
        iterations=answer.iterations,
        objective=answer.objective,
        objective_continuous=answer.objective_continuous,
        violation=max(answer.violation, 0.0),
        violation_before=max(answer.violation_before, 0.0),
        remarks=answer.remarks,
    )


def _identity(state: State, portfolio: Portfolio, found: Situation) -> Identity:
    return Identity(
        build=state.build,
        dependencies=state.dependencies,
        fingerprint=state.fingerprint,
        parameters=state.parameters_digest,
        portfolio_state=portfolio_digest(portfolio),
        problem=problem_digest(found.problem),
    )

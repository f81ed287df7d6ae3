"""Decide: a round that is due becomes its events, with every reason in them.

Place in the flow: called by the engine when a round's timer fires. Reads the state, changes
nothing.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.book import money
from coordinator.core.checkpoint import portfolio_digest
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


def close_round(
    state: State, portfolio: Portfolio, *, allocator: Allocator, risk_model: RiskModel
) -> list[OutputEvent]:
    """The events of a round that ends now: conflicts, the decision, the round's books."""
    found = situation(state, portfolio, risk_model)
    if found is None:
        return [_closed(state, portfolio, None, outcome="no_prices", conflicts=0, reported=0)]
    if not found.problem.instruments:
        return [_closed(state, portfolio, found, outcome="nothing_to_do", conflicts=0, reported=0)]
    answer = allocator.allocate(found.problem)
    conflicts = find_conflicts(found.rows, found.combination, found.problem, state.parameters)
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
    used = () if found is None else tuple(sorted(row.view.reference for row in found.rows))
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
    start = found.problem.filled + found.problem.working_buys + found.problem.working_sells
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
        signals=tuple(sorted(found.rows[i].view.reference for i in conflict.rows)),
        severity=min(max(conflict.severity, 0.0), 1.0),
        resolution="; ".join(parts)[:2000],
    )


def _decision(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation
) -> AllocationDecided:
    problem = found.problem
    start = problem.filled + problem.working_buys + problem.working_sells
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
        turnover=float(np.abs(answer.trades).sum() / 2.0),
        cost=float(cost.sum()),
        targets=_targets(portfolio, found, answer, start, quantities),
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
    units = []
    for i, name in enumerate(found.problem.instruments):
        lot = state.market.instruments[name].lot
        held = portfolio.positions.get(name, Decimal(0))
        open_units = sum(
            (t.quantity for t in portfolio.open_trades.values() if t.instrument == name),
            Decimal(0),
        )
        start = float(found.problem.filled[i]) + float(
            found.problem.working_buys[i] + found.problem.working_sells[i]
        )
        lots = float(answer.lots[i])
        if lots and abs(start + float(answer.trades[i])) < WEIGHT_ZERO * 1e-3:
            units.append(-(held + open_units))
        elif lot:
            units.append(Decimal(round(lots)) * lot)
        else:
            amount = lots * found.problem.nav / float(found.prices[i]) if lots else 0.0
            units.append(Decimal(repr(amount)).quantize(_UNITS))
    return units


def _targets(
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    start: Floats,
    quantities: list[Decimal],
) -> tuple[Target, ...]:
    made = []
    for i, name in enumerate(found.problem.instruments):
        held = portfolio.positions.get(name, Decimal(0)) + quantities[i]
        held += sum(
            (t.quantity for t in portfolio.open_trades.values() if t.instrument == name),
            Decimal(0),
        )
        made.append(
            Target(
                instrument=name,
                weight_before=float(start[i]),
                weight_wanted=float(start[i] + answer.continuous[i]),
                weight=float(start[i] + answer.trades[i]),
                quantity=held,
                expected_return=float(found.combination.mu[i]),
                price=float(found.prices[i]),
            )
        )
    return tuple(made)


def _trades(
    portfolio: Portfolio,
    found: Situation,
    answer: Allocation,
    cost: Floats,
    quantities: list[Decimal],
) -> tuple[Trade, ...]:
    return tuple(
        Trade(
            trade_id=f"{decision_id(portfolio)}:{name}",
            instrument=name,
            quantity=quantities[i],
            price=float(found.prices[i]),
            weight=float(answer.trades[i]),
            cost=float(cost[i]),
        )
        for i, name in enumerate(found.problem.instruments)
        if quantities[i]
    )


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
    combination = found.combination
    utility = after @ combination.influence
    return tuple(
        SignalUse(
            signal=row.view.reference,
            strategy=row.view.strategy,
            instrument=row.view.instrument,
            verdict=_verdict(
                combination.q[i],
                combination.mu[row.pick],
                after[row.pick],
                answer.trades[row.pick],
            ),
            score=row.score,
            skill=row.skill,
            view=float(combination.q[i]) * row.skill**2,
            own=float(combination.own[i]),
            utility=float(utility[i]),
        )
        for i, row in enumerate(found.rows)
    )


def _verdict(wish: float, mu: float, after: float, trade: float) -> Verdict:
    """followed, outvoted or limited: see schemas.decisions.SignalUse.

    What counts is where the decision moved; without a trade, where it stands. A sale is followed,
    too, when nothing is left to sell.
    """
    moved = trade if abs(trade) > WEIGHT_ZERO else after
    if abs(moved) <= WEIGHT_ZERO:
        moved = -1.0
    if wish * moved > 0:
        return "followed"
    return "outvoted" if wish * mu <= 0 else "limited"


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

"""Decide: a round that is due becomes its events, with every reason in them.

Place in the flow: called by the engine when a round's timer fires. Reads the state, changes
nothing.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.allocate import Situation, problem_digest, situation
from coordinator.core.book import money, value
from coordinator.core.booked import sized, sleeves_booked
from coordinator.core.checkpoint import portfolio_digest
from coordinator.core.clock import MILLISECOND
from coordinator.core.conflicts import find_conflicts
from coordinator.core.firm import firm_remarks
from coordinator.core.impact_lines import impacts
from coordinator.core.limit_lines import limit_uses
from coordinator.core.lines import (
    BREACH_MIN,
    WEIGHT_ZERO,
    conflicts_said,
    instrument_lines,
    signal_uses,
)
from coordinator.core.objectives import linear_cost, traded_charge
from coordinator.core.ports import Allocation, Allocator, Floats, RiskModel
from coordinator.core.priority import PARTS, decision_parts, weighted
from coordinator.core.score import quality_scored
from coordinator.core.state import Portfolio, Round, State
from coordinator.core.views import heard
from coordinator.core.words import listed
from schemas.base import OutputEvent
from schemas.decisions import (
    AllocationDecided,
    Identity,
    Outcome,
    Profile,
    RoundClosed,
    Rung,
    SolverReport,
)

__all__ = ["close_round"]

BREACH_FULL = 0.01
"""A limit broken by so much, fraction of NAV, comes before all else."""


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
    sizes = sized(found, answer)
    conflicts = find_conflicts(
        found.apart,
        found.combination,
        found.problem,
        state.sources,
        state.parameters,
        rates=_capital_rates(state, portfolio),
        tilt=found.tilt,
    )
    reported = conflicts[: state.parameters.conflicts_max]
    events: list[OutputEvent] = []
    if reported:
        events.append(
            conflicts_said(
                found,
                answer,
                reported,
                sizes=sizes,
                at=state.clock,
                portfolio=portfolio.name,
                decision_id=decision_id(portfolio),
            )
        )
    decided = _decision(state, portfolio, found, answer)
    booked = sleeves_booked(state, portfolio, found, sizes, decided)
    events += [decided] if booked is None else [decided, booked]
    if state.parameters.quality:
        events.append(quality_scored(state, portfolio, found, answer, decided))
    events.append(
        _closed(
            state,
            portfolio,
            found,
            outcome="decided",
            conflicts=len(conflicts) + found.apart.beyond,
            reported=len(reported),
        )
    )
    return events


def _capital_rates(state: State, portfolio: Portfolio) -> dict[str, float]:
    """Units of the portfolio's currency for one of those that capital is stated in."""
    rates: dict[str, float] = {}
    for source in state.sources.values():
        own = [one.capital_currency for one in source.by_strategy.values()]
        for currency in (source.terms.capital_currency, *own):
            if currency is not None and currency not in rates:
                rate = state.market.rate(currency, portfolio.currency)
                if rate is not None:
                    rates[currency] = rate
    return rates


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


def _decision(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation
) -> AllocationDecided:
    problem = found.problem
    start = problem.start
    after = start + answer.trades
    impact = found.aims.expenses.of_trades(answer.trades)
    cost = linear_cost(problem, answer.trades) + impact
    lines = instrument_lines(
        state, portfolio, found, answer, cost=cost, decision_id=decision_id(portfolio)
    )
    paid = float(cost.sum())
    priority, parts = _priority(state, found, answer, cost=paid)
    impact_before, impact_after = impacts(state, portfolio, found, answer)
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
        priority=priority,
        priority_parts=parts,
        turnover=float(np.abs(answer.trades).sum() / 2.0),
        cost=paid,
        targets=lines.targets,
        trades=lines.trades,
        before=_profile(found, start, cash=problem.cash - float((start - problem.filled).sum())),
        after=_profile(
            found, after, cash=problem.cash - float((after - problem.filled).sum() + cost.sum())
        ),
        signals=signal_uses(found, answer, after),
        prior_utility=float(found.combination.prior @ after),
        limits=limit_uses(found, answer),
        solver=_report(found, answer, firm_remarks(state, portfolio)),
        identity=_identity(state, portfolio, found),
        mandate_version=portfolio.mandate_version,
        tilt=found.tilt.parts,
        cost_impact=float(impact.sum()),
        cost_holding=found.aims.expenses.of_holding(after),
        impact_before=impact_before,
        impact_after=impact_after,
    )


def _priority(
    state: State, found: Situation, answer: Allocation, *, cost: float
) -> tuple[float, tuple[tuple[str, float], ...]]:
    """What the trades are worth beside their cost, times how much the signals behind them matter.

    Or, where that is more, how much of a limit was broken before. With its parts, by name; see
    schemas.
    """
    means = decision_parts(found.priorities, found.combination.own)
    worth = _worth(found, answer, cost)
    before = answer.violation_before
    breach = min(before / BREACH_FULL, 1.0) if before > BREACH_MIN else 0.0
    own = (("breach", breach), ("worth", worth))
    named = sorted([*zip(PARTS, (means + 0.0).tolist(), strict=True), *own])
    return max(breach, worth * weighted(means, state.parameters)), tuple(named)


def _worth(found: Situation, answer: Allocation, cost: float) -> float:
    """gain / (gain + cost) of trading against not trading."""
    problem = found.problem
    charged = linear_cost(problem, answer.trades).sum() + traded_charge(
        problem.charges, answer.trades
    )
    gain = max(0.0, answer.objective + float(charged) - answer.objective_before)
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


def _report(found: Situation, answer: Allocation, more: tuple[str, ...]) -> SolverReport:
    """more: remarks on what was asked, beside those on the answer."""
    empty = found.limits.empty
    remarks = (f"left out, of no instrument of this decision: {listed(empty)}",) if empty else ()
    return SolverReport(
        rung=Rung(answer.rung),
        solver=answer.solver,
        status=answer.status,
        iterations=answer.iterations,
        objective=answer.objective,
        objective_continuous=answer.objective_continuous,
        violation=max(answer.violation, 0.0),
        violation_before=max(answer.violation_before, 0.0),
        remarks=(*answer.remarks, *remarks, *found.aims.remarks(), *more),
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

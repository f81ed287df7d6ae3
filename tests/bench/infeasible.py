"""States that no trades can put right, put to the allocator and to its peers.

`python -m tests.bench.infeasible [--record]`, in the environment that `ops/setup --bench` makes
(without the peers, ours and the two-trial rule alone). The states are those of
`tests/support/infeasible_states.py`, which the tests hold the allocator to. For each there is a
least possible violation v* of the hard limits, found independently: the least sum of what all rows
are broken by, none further than by not trading (`tests/support/tight_reference.py`). Told of each:

- answered: in how many states it gave trades at all;
- kept to v*: in how many of them no more than v* + 1e-6 of NAV is broken, in sum;
- beyond v*: the largest excess, in sum and, of ours, for each broken row;
- worse: in how many some hard limit is broken further than by not trading.

The peers: cvxportfolio's single-period policy, which raises where there is no point; skfolio with
its `fallback`, to the previous weights or to the same without the further limits; and a rule of two
trials: solve, else solve without the limits that are broken already, else hold. What a peer cannot
state (working orders for all but the rule; turnover and gross exposure in sum for skfolio) it is
not given: `not_told` names the states.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from coordinator.core.ports import AllocationProblem, Floats, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from tests.bench.libraries import REMEDY, installed, known
from tests.bench.record import finish, options
from tests.support.infeasible_states import STATES
from tests.support.tight_reference import Tight

__all__ = ["Case", "by_lots", "measured", "told", "two_trials"]

TOLERANCE = 1e-6
LOT = 0.002
"""Of NAV: what a lot is worth where the states have none."""
Answer = Callable[[AllocationProblem], Floats]


@dataclass(frozen=True)
class Case:
    """A state, and the least that its hard limits can be broken by."""

    name: str
    problem: AllocationProblem
    stated: Tight
    least: float

    def excess(self, trades: Floats) -> Floats:
        """By how much each hard row is broken if these trades are decided."""
        found = zip(self.stated.rows, self.stated.excess(trades), strict=True)
        return np.concatenate([one for rows, one in found if rows.tier == 0])

    @property
    def before(self) -> Floats:
        """The same of not trading."""
        return self.excess(np.zeros(len(self.problem.instruments)))


def cases() -> list[Case]:
    """Every state with its least possible violation."""
    found = []
    for name, problem in STATES.items():
        stated = Tight(problem)
        least, _ = stated.least()
        found.append(Case(name, problem, stated, least[0]))
    return found


def ours() -> Answer:
    """The allocator, before lots."""
    allocator = CvxAllocator(SolverSettings())
    return lambda problem: allocator.allocate(problem).continuous


def two_trials(problem: AllocationProblem) -> Floats:
    """Solve; else without what is broken already; else hold."""
    stated, held = Tight(problem), np.zeros(len(problem.instruments))
    before = stated.excess(held)
    trials = (
        [np.zeros_like(one) for one in before],
        [np.where(one > TOLERANCE, np.inf, 0.0) for one in before],
    )
    for caps in trials:
        value, trades = stated.answer(caps)
        if np.isfinite(value):
            return trades
    return held


def cvxportfolio(problem: AllocationProblem) -> Floats:
    """Its single-period policy; cash is what the weights leave of 1, its floor moved with it."""
    cvx, pandas = import_module("cvxportfolio"), import_module("pandas")
    p, names = problem, list(problem.instruments)
    covariance = pandas.DataFrame(p.covariance, names, names)
    goal = (
        cvx.ReturnsForecast(pandas.Series(p.mu, names))
        - p.risk_aversion / 2 * cvx.FullCovariance(covariance)
        - cvx.TransactionCost(a=pandas.Series((p.cost_buy + p.cost_sell) / 2, names))
    )
    held = p.start
    rules = [
        cvx.MinWeights(pandas.Series(p.position_min, names)),
        cvx.MaxWeights(pandas.Series(p.position_max, names)),
        cvx.MaxTradeWeights(pandas.Series(p.trade_max, names)),
        cvx.MinTradeWeights(pandas.Series(-p.trade_max, names)),
        cvx.LeverageLimit(p.gross_max),
        cvx.TurnoverLimit(p.turnover_max),
        _below(cvx, pandas, names, np.ones(len(names)), p.cash - p.cash_floor + held.sum()),
        *(rule for limit in p.limits for rule in _rules(p, limit, names, covariance)),
    ]
    policy = cvx.SinglePeriodOptimization(
        goal, rules, include_cash_return=False, solver="CLARABEL", max_threads=1
    )
    account = pandas.Series(np.append(held, 1.0 - held.sum()), [*names, "cash"])
    at = pandas.Timestamp("2026-01-05", tz="UTC")
    trades, _, _ = policy.execute(h=account, market_data=None, t=at)
    return np.asarray(trades.to_numpy()[:-1], dtype=np.float64)


def _below(cvx: Any, pandas: Any, names: list[str], row: Floats, bound: float) -> Any:
    return cvx.FactorMaxLimit(pandas.Series(row, names), bound)


def _rules(p: AllocationProblem, limit: WeightLimit, names: list[str], covariance: Any) -> Any:
    """A limit of ours in its terms."""
    cvx, pandas = import_module("cvxportfolio"), import_module("pandas")
    for row, lower, upper in zip(limit.rows, limit.lower, limit.upper, strict=True):
        if limit.kind == "linear":
            if np.isfinite(upper):
                yield _below(cvx, pandas, names, row, upper)
            if np.isfinite(lower):
                yield cvx.FactorMinLimit(pandas.Series(row, names), lower)
        elif limit.kind == "gross":
            yield cvx.FactorGrossLimit(pandas.Series(row, names), upper)
        elif limit.kind == "volatility":
            yield cvx.FullCovariance(covariance) <= upper**2
        elif limit.kind == "turnover":
            yield cvx.TurnoverLimit(upper)
        else:
            yield _below(cvx, pandas, names, np.ones(len(names)), p.cash - lower + p.start.sum())


def skfolio(*, without_limits: bool) -> Answer:
    """Its mean-risk estimator with a fallback."""

    def answer(problem: AllocationProblem) -> Floats:
        chain: Any = "previous_weights"
        if without_limits:
            plain = _mean_risk(replace(problem, limits=()), None)
            chain = [plain, "previous_weights"]
        model = _mean_risk(problem, chain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(np.zeros((2, len(problem.instruments))))
        return np.asarray(model.weights_, dtype=np.float64) - problem.start

    return answer


def _mean_risk(p: AllocationProblem, fallback: Any) -> Any:
    optimization = import_module("skfolio.optimization")
    rows, bounds = [np.ones(len(p.mu))], [p.cash - p.cash_floor + float(p.start.sum())]
    variance = np.inf
    for limit in p.limits:
        if limit.kind == "linear":
            for row, lower, upper in zip(limit.rows, limit.lower, limit.upper, strict=True):
                rows += [row] * bool(np.isfinite(upper)) + [-row] * bool(np.isfinite(lower))
                bounds += [upper] * bool(np.isfinite(upper)) + [-lower] * bool(np.isfinite(lower))
        elif limit.kind == "volatility":
            variance = min(variance, float(limit.upper[0]) ** 2)
        elif limit.kind == "cash":
            rows.append(np.ones(len(p.mu)))
            bounds.append(p.cash - float(limit.lower[0]) + float(p.start.sum()))
    return optimization.MeanRisk(
        objective_function=optimization.ObjectiveFunction.MAXIMIZE_UTILITY,
        risk_aversion=p.risk_aversion / 2, prior_estimator=known(p.mu, p.covariance),
        min_weights=p.position_min, max_weights=p.position_max, budget=None,
        max_turnover=p.trade_max, previous_weights=p.start,
        transaction_costs=(p.cost_buy + p.cost_sell) / 2, left_inequality=np.array(rows),
        right_inequality=np.array(bounds), solver="CLARABEL", fallback=fallback,
        max_variance=None if variance == np.inf else variance,
    )  # fmt: skip


def not_told(name: str) -> list[str]:
    """States of which a peer cannot be told everything, by the peer's first word."""
    kinds = {"cvxportfolio": set[str](), "skfolio": {"gross", "turnover"}}
    if name not in kinds:
        return []
    return sorted(
        state
        for state, p in STATES.items()
        if p.working_buys.any()
        or p.working_sells.any()
        or kinds[name] & {limit.kind for limit in p.limits}
        or (name == "skfolio" and p.gross_max < 1.0)
    )


def told(all_cases: list[Case], answer: Answer) -> dict[str, Any]:
    """What one way of deciding makes of all states."""
    beyond: dict[str, float] = {}
    by_row, worse, refused = 0.0, [], []
    for case in all_cases:
        try:
            trades = answer(case.problem)
        except Exception as error:  # noqa: BLE001 - whatever a library raises is its result
            refused.append(f"{case.name}: {type(error).__name__}")
            continue
        excess = case.excess(trades)
        beyond[case.name] = float(excess.sum()) - case.least
        by_row = max(by_row, beyond[case.name] / max(1, int((excess > TOLERANCE / 10).sum())))
        if float((excess - case.before).max()) > TOLERANCE:
            worse.append(case.name)
    return {
        "states": len(all_cases),
        "answered": len(beyond),
        "kept_to_least": sum(one <= TOLERANCE for one in beyond.values()),
        "beyond_least_max": float(f"{max(beyond.values(), default=0.0):.2g}"),
        "beyond_least_max_by_row": float(f"{by_row:.2g}"),
        "worse_than_not_trading": worse,
        "refused": refused,
        "not_kept_to_least": sorted(name for name, one in beyond.items() if one > TOLERANCE),
    }


def by_lots(all_cases: list[Case]) -> dict[str, Any]:
    """Ours with lots of a fifth of a percent where a state has none: rows after against before."""
    allocator, most, held = CvxAllocator(SolverSettings()), 0.0, []
    for case in all_cases:
        lots = np.where(case.problem.lot_weight > 0.0, case.problem.lot_weight, LOT)
        problem = replace(case.problem, lot_weight=lots)
        answer = allocator.allocate(problem)
        more = case.excess(answer.trades) - case.excess(answer.continuous)
        most = max(most, float(more.max() / lots.max()))
        if float(more.max()) > lots.max() * (1.0 + 1e-6):
            held.append(case.name)
    return {
        "beyond_continuous_max_lots": round(most, 3),
        "beyond_one_lot": held,
        "lot": LOT,
    }


def measured(*, peers: bool) -> dict[str, Any]:
    """Every way of deciding over every state."""
    found = cases()
    ways: dict[str, Answer] = {"ours": ours(), "two trials": two_trials}
    if peers:
        ways["cvxportfolio"] = cvxportfolio
        ways["skfolio, fallback to previous weights"] = skfolio(without_limits=False)
        ways["skfolio, fallback without further limits"] = skfolio(without_limits=True)
    figures: dict[str, Any] = {
        name: {**told(found, way), "not_told": not_told(name.split(",")[0])}
        for name, way in ways.items()
    }
    return {**figures, "ours, after lots": by_lots(found)}


def main(arguments: list[str]) -> int:
    """Ask all."""
    given = options("Infeasible states beside peers.").parse_args(arguments)
    peers = installed()
    if not peers:
        print(f"{REMEDY}; without them, ours and the two-trial rule alone", file=sys.stderr)
    pin_threads()
    figures = measured(peers=peers)
    finish("infeasible", figures, record=given.record and peers)
    return 0 if figures["ours"]["answered"] == figures["ours"]["states"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

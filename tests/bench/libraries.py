"""The peers: each library as its own documentation says, a function from inputs to weights.

Every one gets the covariance and the means as they are; none estimates anything. All get
Clarabel, and PIQP too where they can be given it, so that what differs is the library. They are
installed by `ops/setup --bench` alone, so none is imported before it is asked for.

- cvxportfolio 1.5: `SinglePeriodOptimization.execute`, which compiles each time; and held open, as
  its simulator does between two changes of the universe, with the covariance factored beforehand.
- PyPortfolioOpt 1.6: `EfficientFrontier.max_quadratic_utility`, an object a round, since its means
  are constants of the problem. Its `transaction_cost` takes one rate for all; the costs by name
  are an objective added by `add_objective`, as its documentation shows.
- skfolio 1.12: `MeanRisk`, maximum utility, through `fit`; costs by name are its own. It writes the
  risk as a cone, which PIQP does not take.
- riskfolio-lib 7.4: `Portfolio.optimization`, utility. It states no costs of trading: it answers
  the problem without them, and is judged by the optimum of that one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from coordinator.core.ports import Floats
from tests.bench.qp import Inputs
from tests.bench.stated import CLARABEL, Options, Solve

__all__ = ["REMEDY", "WITHOUT_COSTS", "installed", "known", "libraries", "without_costs"]

REMEDY = "the peers are not installed: run ops/setup --bench, then .venv-bench/bin/python"
MODULES = ("cvxportfolio", "pypfopt", "riskfolio", "skfolio")
PIQP: Options = {"solver": "PIQP"}
WITHOUT_COSTS = frozenset({"riskfolio-lib"})
"""Who is judged by the problem without costs."""


def installed() -> bool:
    """Whether all peers are there."""
    return all(find_spec(name) is not None for name in MODULES)


def without_costs(given: Inputs) -> Inputs:
    """The problem that is nearest for those who cannot state costs."""
    return replace(given, cost=np.zeros_like(given.cost))


def libraries() -> dict[str, Callable[[Inputs], Solve]]:
    """All, by what they are called in the table.

    Each is loaded, so that its threads can be held afterwards. Raises RuntimeError where one is
    missing, with what to do.
    """
    if not installed():
        raise RuntimeError(REMEDY)
    for name in (*MODULES, "pandas", "sklearn.linear_model"):
        import_module(name)
    return {
        "cvxportfolio, execute": _cvxportfolio_execute,
        "cvxportfolio, held open, Clarabel": _cvxportfolio_open(CLARABEL),
        "cvxportfolio, held open, PIQP": _cvxportfolio_open(PIQP),
        "PyPortfolioOpt, Clarabel": _pypfopt("CLARABEL"),
        "PyPortfolioOpt, PIQP": _pypfopt("PIQP"),
        "skfolio": _skfolio,
        "riskfolio-lib": _riskfolio,
    }


def _names(n: int) -> list[str]:
    return [f"I{i:04d}" for i in range(n)]


def _policy(first: Inputs, mu: Any, covariance: Any, options: Options) -> Any:
    cvx, pandas = import_module("cvxportfolio"), import_module("pandas")
    names = _names(len(first.mu))
    goal = (
        cvx.ReturnsForecast(mu)
        - first.gamma / 2 * cvx.FullCovariance(covariance)
        - cvx.TransactionCost(a=pandas.Series(first.cost, names))
    )
    rules = [cvx.LongOnly(), cvx.MaxWeights(first.cap), cvx.NoCash()]
    return cvx.SinglePeriodOptimization(goal, rules, include_cash_return=False, **options)


def _cvxportfolio_execute(first: Inputs) -> Solve:
    pandas = import_module("pandas")
    names = _names(len(first.mu))
    at = pandas.Timestamp("2026-01-05", tz="UTC")
    covariance = pandas.DataFrame(first.covariance, names, names)

    def solve(given: Inputs) -> Floats:
        policy = _policy(given, pandas.Series(given.mu, names), covariance, CLARABEL)
        held = pandas.Series(np.append(given.start, 1.0 - given.start.sum()), [*names, "cash"])
        trades, _, _ = policy.execute(h=held, market_data=None, t=at)
        return np.asarray(given.start + trades.to_numpy()[:-1], dtype=np.float64)

    return solve


class _Known:
    """What cvxportfolio asks for at each time, as an estimator of its own gives it."""

    FACTORIZED = True
    """A covariance comes as its root."""

    def __init__(self, current_value: Any) -> None:
        self.current_value = current_value

    def values_in_time_recursive(self, **_: Any) -> Any:
        return self.current_value

    def initialize_estimator_recursive(self, **_: Any) -> None:
        """Nothing to prepare."""


def _cvxportfolio_open(options: Options) -> Callable[[Inputs], Solve]:
    pandas = import_module("pandas")
    at = pandas.Timestamp("2026-01-05", tz="UTC")

    def make(first: Inputs) -> Solve:
        universe = pandas.Index([*_names(len(first.mu)), "cash"])
        means = _Known(first.mu)
        policy = _policy(first, means, _Known(first.root), options)
        policy.initialize_estimator_recursive(
            universe=universe, trading_calendar=pandas.DatetimeIndex([at])
        )

        def solve(given: Inputs) -> Floats:
            means.current_value = given.mu
            held = pandas.Series(np.append(given.start, 1.0 - given.start.sum()), universe)
            after = policy.values_in_time_recursive(
                t=at, past_returns=None, past_volumes=None, current_weights=held,
                current_portfolio_value=1.0, current_prices=None,
            )  # fmt: skip
            return np.asarray(after.to_numpy()[:-1], dtype=np.float64)

        return solve

    return make


def _pypfopt(solver: str) -> Callable[[Inputs], Solve]:
    cp, pypfopt = import_module("cvxpy"), import_module("pypfopt")

    def make(_: Inputs) -> Solve:
        def solve(given: Inputs) -> Floats:
            frontier = pypfopt.EfficientFrontier(
                given.mu, given.covariance, weight_bounds=(0, given.cap), solver=solver
            )
            frontier.add_objective(lambda w: given.cost @ cp.abs(w - given.start))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frontier.max_quadratic_utility(risk_aversion=given.gamma)
            return np.asarray(frontier.weights, dtype=np.float64)

        return solve

    return make


class _Moments:
    """Means and a covariance that no one copies."""

    def __init__(self, mu: Floats, covariance: Floats) -> None:
        self.mu, self.covariance = mu, covariance

    def __deepcopy__(self, memo: Any) -> _Moments:
        return self


def known(mu: Floats, covariance: Floats) -> Any:
    """An estimator of skfolio's that gives the means and the covariance as they are."""
    return _prior()(_Moments(mu, covariance))


@cache
def _prior() -> Any:
    prior = import_module("skfolio.prior")

    class Known(prior.BasePrior):  # type: ignore[name-defined,misc]  # No types there.
        """Estimates nothing."""

        def __init__(self, moments: _Moments | None = None) -> None:
            self.moments = moments

        def fit(self, X: Any, y: Any = None, **_: Any) -> Any:
            if self.moments is None:
                raise ValueError("give the moments")
            self.return_distribution_ = prior.ReturnDistribution(
                mu=self.moments.mu, covariance=self.moments.covariance, returns=np.asarray(X)
            )
            return self

    return Known


def _skfolio(first: Inputs) -> Solve:
    optimization = import_module("skfolio.optimization")
    returns = np.zeros((2, len(first.mu)))

    def solve(given: Inputs) -> Floats:
        model = optimization.MeanRisk(
            objective_function=optimization.ObjectiveFunction.MAXIMIZE_UTILITY,
            risk_aversion=given.gamma / 2, prior_estimator=known(given.mu, given.covariance),
            min_weights=0.0, max_weights=given.cap, budget=1.0, transaction_costs=given.cost,
            previous_weights=given.start, solver="CLARABEL",
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(returns)
        return np.asarray(model.weights_, dtype=np.float64)

    return solve


def _riskfolio(first: Inputs) -> Solve:
    riskfolio, pandas = import_module("riskfolio"), import_module("pandas")
    names = _names(len(first.mu))
    # It wants a history, if only to look at its columns.
    returns = pandas.DataFrame(np.zeros((2, len(names))), columns=names)
    covariance = pandas.DataFrame(first.covariance, names, names)

    def solve(given: Inputs) -> Floats:
        portfolio = riskfolio.Portfolio(returns=returns, upperlng=given.cap)
        portfolio.mu = pandas.DataFrame(given.mu[None, :], columns=names)
        portfolio.cov = covariance
        portfolio.solvers = ["CLARABEL"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = portfolio.optimization(
                model="Classic", rm="MV", obj="Utility", l=given.gamma / 2, hist=True
            )
        return np.asarray(found.to_numpy().reshape(-1), dtype=np.float64)

    return solve

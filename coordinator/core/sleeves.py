"""Sleeves: what each strategy of a portfolio would hold, and how large it may be.

Place in the flow: at the end of a round, once the views are combined and the mandate is laid upon
the problem. The weights are written as w = T a + d: T is data, one column for each strategy, so
that budgets are bounds on sizes and what strategies do against each other meets before any cost. A
strategy is a "source/strategy" some view of which counts in the round. Reads the state, changes
nothing. Source: Grinold and Kahn 2000, chapter 14 (what a strategy alone would hold).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from coordinator.core.board import Board
from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.match import Combination
from coordinator.core.ports import AllocationProblem, Floats, Sleeves
from coordinator.core.state import Portfolio, Source, State
from coordinator.core.tilt import Tilt

__all__ = ["binding", "sleeves_of", "split"]

CELLS_MAX = 50_000
"""Strategies times instruments of one decision: a bound on its event. Others are the house's."""
SIZE_MOST = 100.0
"""No strategy wishes for more: a volatility of a hundred times the NAV in one session."""
RISK_LEAST = 1e-12
"""What a strategy would hold with less volatility than this is nothing."""
WISH = 1e-6
"""How much nearness to the wishes counts beside the house's variance: next to nothing, so that it
decides where many sizes explain the weights alike, as those of two strategies against each other.
"""

_Owner = tuple[str, str]
"""Source and strategy."""
_OWNER, _FORM = attrgetter("source", "strategy"), attrgetter("form")


def sleeves_of(
    state: State,
    portfolio: Portfolio,
    problem: AllocationProblem,
    combination: Combination,
    *,
    horizon: float,
    tilt: Tilt,
) -> Sleeves | None:
    """The sleeves of a round; None where they are off, or no view counts.

    horizon: sessions that problem.covariance and the opinion are about. tilt: what wishes and
    budgets are multiplied by.
    """
    board, parameters = combination.board, state.parameters
    if parameters.sleeves == "off" or not len(board):
        return None
    owners, member = _owners(board)
    parts = _parts(combination, member, count=len(owners))
    targets = _targets(board, member, parts, variance=np.diag(problem.covariance))
    risk = np.sqrt(np.einsum("ns,ns->s", targets, problem.covariance @ targets) / horizon)
    targets = targets / np.where(risk > RISK_LEAST, risk, np.inf)
    told = np.einsum("ns,ns->s", parts, targets)
    targets, told = targets * np.where(told < 0.0, -1.0, 1.0), np.abs(told)
    wishes = np.array([tilt.wish(source, strategy) for source, strategy in owners])
    wished = np.minimum(wishes * told / (problem.risk_aversion * horizon), SIZE_MOST)
    kept = _largest(wished, risk, most=min(parameters.sleeves_max, CELLS_MAX // len(problem.mu)))
    owners = [owners[at] for at in kept]
    targets, wished = targets[:, kept], wished[kept]
    if not owners:
        return None
    preset = portfolio.preset
    return Sleeves(
        names=tuple(f"{source}/{strategy}" for source, strategy in owners),
        targets=targets,
        size_max=np.minimum(
            _risk_bounds(state, portfolio, problem, owners, wished, horizon=horizon, tilt=tilt),
            _capital_bounds(state, portfolio, problem, owners, wished, targets, tilt=tilt),
        ),
        wished=wished,
        wish_weight=np.full(len(owners), preset.wish_weight),
        house_weight=preset.house_weight,
        house_max=math.inf if preset.house_max is None else preset.house_max,
    )


def binding(sleeves: Sleeves) -> bool:
    """Whether sizes bound the weights at all: else the house holds what strategies may not."""
    return sleeves.house_weight > 0.0 or math.isfinite(sleeves.house_max)


def _owners(board: Board) -> tuple[list[_Owner], NDArray[np.intp]]:
    """Whose views count, in the order of their names, and (rows,) which of them each is of."""
    spoken: list[_Owner] = list(map(_OWNER, board.views))
    owners = sorted(set(spoken), key=lambda one: ("/".join(one), one))
    index = {owner: at for at, owner in enumerate(owners)}
    return owners, np.array([index[owner] for owner in spoken], dtype=np.intp)


def _parts(combination: Combination, member: NDArray[np.intp], *, count: int) -> Floats:
    """(n, s) each strategy's part of every mu; with the prior they add up to mu."""
    board, picks = combination.board, len(combination.board.picks)
    cells = np.bincount(
        board.slot * count + member, weights=combination.part, minlength=picks * count
    )
    parts: Floats = combination.weighing.gain @ cells.reshape(picks, count)
    return parts


def _targets(board: Board, member: NDArray[np.intp], parts: Floats, *, variance: Floats) -> Floats:
    """(n, s) what each would hold, at any scale: its stated weights, or its part over variance.

    parts: as `_parts`. variance: (n,). Where every signal of a strategy states a weight, those are
    what it would hold.
    """
    forms = list(map(_FORM, board.views))
    if "target_weight" not in forms:
        return parts / variance[:, None]
    weighs = np.array(forms) == "target_weight"
    others = np.bincount(member[~weighs], minlength=parts.shape[1])
    alone = (others == 0)[member]
    found: Floats = np.where(others == 0, 0.0, parts / variance[:, None])
    for row in np.flatnonzero(alone).tolist():
        stated = board.views[row].stated or 0.0
        if board.exposure is None:
            found[board.pick[row], member[row]] += stated
        else:
            found[:, member[row]] += stated * board.exposure[board.slot[row]]
    return found


def _largest(wished: Floats, risk: Floats, *, most: int) -> list[int]:
    """The columns that hold anything, in their order; of too many the largest wishes."""
    some = np.flatnonzero(risk > RISK_LEAST)
    if len(some) > most:
        some = np.sort(some[np.lexsort((some, -wished[some]))[:most]])
    return some.tolist()


# -- budgets --------------------------------------------------------------------------------------


def _shares(
    state: State,
    owners: Sequence[_Owner],
    wished: Floats,
    stated: Callable[[Source, str], tuple[object | None, bool]],
    tilt: Tilt,
) -> Floats:
    """(s,) of each one's budget: all of its own, or its part of what its source's others share.

    Times what budgets are multiplied by now.
    stated: the budget, and whether it is the strategy's own. By their wishes; evenly where there
    are none.
    """
    groups: dict[_Owner, list[int]] = {}
    for at, (source, strategy) in enumerate(owners):
        budget, own = stated(state.sources[source], strategy)
        if budget is not None:
            groups.setdefault((source, strategy if own else ""), []).append(at)
    shares = np.zeros(len(owners))
    for (source, shared), members in sorted(groups.items()):
        whole = float(wished[members].sum())
        even = np.full(len(members), 1.0 / len(members))
        parts = wished[members] / whole if whole > 0.0 else even
        shares[members] = parts * tilt.budget(source, shared)
    return shares


def _risk_bounds(
    state: State,
    portfolio: Portfolio,
    problem: AllocationProblem,
    owners: Sequence[_Owner],
    wished: Floats,
    *,
    horizon: float,
    tilt: Tilt,
) -> Floats:
    """(s,) largest sizes by risk budgets; inf where none is stated."""

    def stated(source: Source, strategy: str) -> tuple[float | None, bool]:
        own = source.by_strategy.get(strategy)
        return source.risk_budget(strategy), own is not None and own.risk_budget is not None

    budgets = [state.sources[source].risk_budget(strategy) for source, strategy in owners]
    found = np.full(len(owners), np.inf)
    if all(budget is None for budget in budgets):
        return found
    whole = _volatility(portfolio, problem, horizon=horizon)
    shares = _shares(state, owners, wished, stated, tilt)
    for at, budget in enumerate(budgets):
        if budget is not None:
            found[at] = budget * whole * float(shares[at])
    return found


def _volatility(portfolio: Portfolio, problem: AllocationProblem, *, horizon: float) -> float:
    """The volatility over a session that risk budgets are shares of.

    The mandate's, where it states one. Else what the portfolio would choose without any budget
    along its own wishes, mu / (gamma sigma^2) within each instrument's bounds and the gross limit:
    known before anything is solved, and not the volatility of what is held, which a new portfolio
    has none of.
    """
    stated = portfolio.mandate.volatility_max
    if stated is not None:
        return stated / math.sqrt(SESSIONS_A_YEAR)
    alone = problem.mu / (problem.risk_aversion * np.diag(problem.covariance))
    wishes = np.clip(alone, problem.position_min, problem.position_max)
    variance = float(wishes @ problem.covariance @ wishes)
    gross = float(np.abs(wishes).sum())
    if variance <= 0.0 or gross <= 0.0:
        return 0.0
    best = float(problem.mu @ wishes) / (problem.risk_aversion * variance)
    scale = min(1.0, max(best, 0.0), problem.gross_max / gross)
    return scale * math.sqrt(variance / horizon)


def _capital_bounds(
    state: State,
    portfolio: Portfolio,
    problem: AllocationProblem,
    owners: Sequence[_Owner],
    wished: Floats,
    targets: Floats,
    *,
    tilt: Tilt,
) -> Floats:
    """(s,) largest sizes by capital: size times |T|_1 times NAV; inf where none is stated.

    A capital in a currency that no rate leads from is not compared.
    """

    def stated(source: Source, strategy: str) -> tuple[object | None, bool]:
        own = source.by_strategy.get(strategy)
        return source.capital(strategy)[0], own is not None and own.capital is not None

    found, tied = np.full(len(owners), np.inf), np.abs(targets).sum(axis=0) * problem.nav
    capitals = [state.sources[source].capital(strategy) for source, strategy in owners]
    if all(money is None for money, _ in capitals):
        return found
    shares = _shares(state, owners, wished * tied, stated, tilt)
    for at, (money, currency) in enumerate(capitals):
        rate = 1.0 if currency is None else state.market.rate(currency, portfolio.currency)
        if money is not None and rate is not None:
            found[at] = float(money) * rate * float(shares[at]) / float(tied[at])
    return found


# -- sizes of an answer that has none -------------------------------------------------------------


def split(sleeves: Sleeves, weights: Floats, covariance: Floats) -> Floats:
    """(s,) sizes a of weights = T a + d with the least risky d, 0 <= a <= size_max.

    covariance: (n, n). Least is d' Sigma d, the variance of the house book, so that strategies
    answer for as much of the risk as they can; of sizes that leave the same, those next to the
    wishes.
    """
    felt = covariance @ sleeves.targets
    inner = sleeves.targets.T @ felt
    size = float(np.diag(inner).max())
    inner = (inner + inner.T) / (2.0 * size) + WISH * np.eye(len(sleeves.names))
    told = felt.T @ weights / size + WISH * np.minimum(sleeves.wished, sleeves.size_max)
    factor: Floats = np.asarray(np.linalg.cholesky(inner), dtype=np.float64)
    goal: Floats = np.asarray(np.linalg.solve(factor, told), dtype=np.float64)
    free = sleeves.size_max > 0.0
    sizes = np.zeros(len(sleeves.names))
    if free.any():
        sizes[free] = _least_squares(factor.T[:, free], goal, sleeves.size_max[free])
    return sizes


def _least_squares(matrix: Floats, goal: Floats, most: Floats) -> Floats:
    """(k,) the nonnegative a within most that brings matrix @ a next to goal."""
    # The package takes a quarter of a second to import, and most portfolios have no sleeves.
    from scipy.optimize import lsq_linear, nnls  # noqa: PLC0415 - as the comment says

    try:
        found = np.asarray(nnls(matrix, goal)[0], dtype=np.float64)
    except RuntimeError:  # its iterations ran out
        found = np.full(len(most), np.inf)
    if (found > most).any():
        found = np.asarray(lsq_linear(matrix, goal, (0.0, most), method="bvls").x, dtype=np.float64)
    clipped: Floats = np.clip(found, 0.0, most)
    return clipped

"""Impact lines: what a decision says of risk, exposure and liquidity before and after its trades.

Place in the flow: asked by `decide` with the situation and the answer. Reads, changes nothing but
what is recalled. What takes longer than a fraction of the decision, past returns and independent
bets, is measured by `coordinator.quality.impact` when somebody asks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordinator.core.allocate import Situation
from coordinator.core.assemble import is_sound, lines_of
from coordinator.core.impact import (
    LEVELS,
    Figures,
    Groups,
    Setting,
    Trading,
    figures,
    groups_of,
    normal_tail,
    trading,
)
from coordinator.core.lines import WEIGHT_ZERO
from coordinator.core.ports import Allocation
from coordinator.core.state import Portfolio, State
from schemas.impact import FactorLine, Impact, RiskLine, SectorLine

__all__ = ["factor_lines", "impacts", "sector_lines", "setting_of"]

RISKS_MAX = 10
"""Lines of single instruments, as `schemas.impact.Impact` says."""


def setting_of(state: State, portfolio: Portfolio, found: Situation) -> Setting:
    """What the weights of a situation are measured in."""
    names, market = found.problem.instruments, state.market
    return Setting(
        mu=found.combination.mu,
        covariance=found.problem.covariance,
        horizon=found.horizon,
        groups=_groups(state, names),
        betas=market.betas(state.parameters)[market.columns(names)],
        volume=market.average_volume(names) * found.unit,
        participation=portfolio.mandate.participation,
        expenses=found.aims.expenses,
    )


def _groups(state: State, names: tuple[str, ...]) -> Groups:
    """An instrument whose terms change is another one, so those of the same ones are the same."""
    instruments = tuple(state.market.instruments[name] for name in names)
    return state.groups.get(None, lambda: groups_of(instruments), same=instruments)


def impacts(
    state: State, portfolio: Portfolio, found: Situation, answer: Allocation
) -> tuple[Impact, Impact]:
    """Without the trades, and with them."""
    setting, names = setting_of(state, portfolio, found), found.problem.instruments
    start, after = found.problem.start, found.problem.start + answer.trades
    before, then = figures(setting, start), figures(setting, after)
    traded = trading(setting, answer.trades)
    held = np.abs(start) > WEIGHT_ZERO
    counts = (np.abs(after) > WEIGHT_ZERO) | (answer.trades != 0.0)
    return (
        _impact(setting.groups, names, before, held, None),
        _impact(setting.groups, names, then, counts, traded),
    )


def sector_lines(groups: Groups, told: Figures) -> tuple[SectorLine, ...]:
    """Of the sectors with any exposure."""
    columns = (told.long + 0.0, told.short + 0.0)
    rows = zip(groups.sectors, *(column.tolist() for column in columns), strict=True)
    made = (
        {"sector": name, "long": long, "short": short} for name, long, short in rows if long - short
    )
    return lines_of(SectorLine, made, sound=is_sound(*columns))


def factor_lines(groups: Groups, told: Figures) -> tuple[FactorLine, ...]:
    """Of every factor that an instrument was listed with, and the market."""
    column = told.factors + 0.0
    rows = zip(groups.factors, column.tolist(), strict=True)
    made = ({"factor": name, "exposure": exposure} for name, exposure in rows)
    return lines_of(FactorLine, made, sound=is_sound(column))


def _impact(
    groups: Groups,
    names: tuple[str, ...],
    told: Figures,
    counts: NDArray[np.bool_],
    traded: Trading | None,
) -> Impact:
    """counts: (n,) which instruments may have a line. traded: what led here."""
    tails = [normal_tail(told.volatility_session, level) for level in LEVELS]
    (var_95, shortfall_95), (var_99, shortfall_99) = tails
    return Impact(
        volatility_year=told.volatility_year,
        var_95=var_95,
        shortfall_95=shortfall_95,
        var_99=var_99,
        shortfall_99=shortfall_99,
        sectors=sector_lines(groups, told),
        factors=factor_lines(groups, told),
        days_to_sell=told.days_mean,
        days_to_sell_max=told.days_max,
        effective_names=told.effective_names,
        diversification_ratio=told.diversification_ratio,
        risks=_risks(names, told, counts),
        volume_share_max=None if traded is None else traded.volume_share_max,
        impact_cost=0.0 if traded is None else float(traded.costs.sum()),
    )


def _risks(
    names: tuple[str, ...], told: Figures, counts: NDArray[np.bool_]
) -> tuple[RiskLine, ...]:
    """The largest shares first; equal ones by name."""
    at = np.flatnonzero(counts)
    at = at[np.argsort(-np.abs(told.shares[at]), kind="stable")][:RISKS_MAX]
    columns = (told.marginal[at] + 0.0, told.shares[at] + 0.0)
    rows = zip(at.tolist(), *(column.tolist() for column in columns), strict=True)
    made = ({"instrument": names[i], "marginal": each, "share": part} for i, each, part in rows)
    return lines_of(RiskLine, made, sound=is_sound(*columns))

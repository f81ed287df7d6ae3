"""Portfolios of several modes and mandates that trade real prices, decision after decision.

Place in the flow: `optimality` asks the allocator each of these problems and judges the answers.
Names, prices, volatilities and correlations are real, where the folder of the prices is given;
sources are simulated and contradict each other: momentum, reversal, one that knows a little of
what comes next, one that knows as little of its opposite. A portfolio is carried on: what it
decided is filled at the close, drifts with the prices, and is where the next decision begins, so
that limits are broken by drift as they are in life. Lots are whole shares of a book of ten million;
how much of a name can be traded at a time, and what it costs, is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from coordinator.bootstrap import risk_model
from coordinator.core.ports import AllocationProblem, Charges, Floats, LimitKind, WeightLimit
from coordinator.core.risk import risk_settings
from schemas.control import Parameters
from tests.bench.residuals import load

__all__ = ["MANDATES", "WINDOW", "Mandate", "World", "decisions", "planted", "real"]

WINDOW, HORIZON, NAMES = 250, 5, 40
NAV = 10_000_000.0
HALTED = 0.02
"""Share of names without a price at a time."""
SKILLS = {"momentum": 0.03, "reversal": 0.04, "informed": 0.08, "misled": -0.04}


@dataclass(frozen=True)
class World:
    """closes: (t, n). sectors: (n,) of each name, by number."""

    closes: Floats
    sectors: np.ndarray[tuple[int], np.dtype[np.int64]]

    def some(self, at: np.ndarray) -> World:
        """Those names alone."""
        return World(np.ascontiguousarray(self.closes[:, at]), self.sectors[at])


@dataclass(frozen=True)
class Mandate:
    """What one portfolio may do. rows: its limits beside those that every problem has.

    charged: whether the objective is charged with everything that it can be.
    """

    name: str
    risk_aversion: float
    low: float
    high: float
    gross: float
    turnover: float
    rows: Callable[[World], tuple[WeightLimit, ...]]
    charged: bool = False


def real(folder: Path) -> World:
    """The names of the folder that traded in every session."""
    prices = load(folder)
    table = pl.read_csv(folder / "sectors.csv")
    of = dict(zip(table["symbol"], table["gics_sector"], strict=True))
    kept = [i for i, name in enumerate(prices.names) if of.get(name)]
    kinds = sorted({of[prices.names[i]] for i in kept})
    sectors = np.array([kinds.index(of[prices.names[i]]) for i in kept], dtype=np.int64)
    return World(np.ascontiguousarray(prices.closes[:, kept]), sectors)


def planted(*, sessions: int, names: int, seed: int = 0) -> World:
    """Made-up prices of three common factors, for where there are no real ones."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(sessions, 3)) * 0.007 @ rng.normal(size=(3, names))
    returns = common + rng.normal(size=(sessions, names)) * rng.uniform(0.008, 0.02, names)
    closes = 100.0 * np.exp(np.cumsum(returns, axis=0))
    return World(closes, np.arange(names, dtype=np.int64) % 5)


def decisions(
    world: World, mandate: Mandate, *, first: int, last: int, seed: int, names: int = NAMES
) -> Iterator[tuple[AllocationProblem, Callable[[Floats], None]]]:
    """A problem a session, and what to call with the trades that were decided.

    first, last: sessions, the first at least a window after the beginning.
    """
    rng = np.random.default_rng((seed, first))
    chosen = np.sort(rng.choice(world.closes.shape[1], size=names, replace=False))
    mine = world.some(chosen)
    limits, settings = mandate.rows(mine), risk_settings(Parameters())
    held, cash, nav = np.zeros(names), 1.0, NAV
    adv = np.exp(rng.uniform(np.log(0.05), np.log(5.0), names))
    cost = rng.uniform(2e-4, 2e-3, names)
    for session in range(first, last):
        closes = mine.closes[session]
        covariance = HORIZON * risk_model().covariance(_returns(mine, session), settings)
        covariance.setflags(write=False)
        halted = rng.random(names) < HALTED
        problem = AllocationProblem(
            instruments=tuple(f"I{i:03d}" for i in range(names)), nav=nav,
            mu=_mu(mine, session, covariance, rng), covariance=covariance,
            risk_aversion=mandate.risk_aversion, filled=held, working_buys=np.zeros(names),
            working_sells=np.zeros(names), cash=cash, lot_weight=closes / nav,
            exit_odd_lot=np.ones(names, dtype=bool), cost_buy=cost, cost_sell=cost,
            trade_max=np.where(halted, 0.0, adv), position_min=np.full(names, mandate.low),
            position_max=np.full(names, mandate.high), gross_max=mandate.gross, cash_floor=0.0,
            turnover_max=mandate.turnover, trade_min=0.0, limits=limits,
            charges=_charges(covariance, adv) if mandate.charged else Charges(),
        )  # fmt: skip
        decided: list[Floats] = []
        yield problem, decided.append
        trades = decided[-1]
        moved = mine.closes[session + 1] / closes - 1.0
        cash -= float(trades.sum() + cost @ np.abs(trades))
        held = (held + trades) * (1.0 + moved)
        grown = cash + float(held.sum())
        held, cash, nav = held / grown, cash / grown, nav * grown


def _returns(world: World, session: int) -> Floats:
    closes = world.closes[session - WINDOW : session + 1]
    found: Floats = closes[1:] / closes[:-1] - 1.0
    return found


def _charges(covariance: Floats, adv: Floats) -> Charges:
    """Everything at once; impact by the root law, adv as a multiple of NAV."""
    spread, n = np.sqrt(np.diag(covariance)), len(adv)
    return Charges(
        robustness=0.02 * spread, impact=spread / np.sqrt(HORIZON) / np.sqrt(adv),
        borrow=np.linspace(0.0, 1e-3, n), carry=np.linspace(-2e-4, 2e-4, n), turnover=1e-4,
        diversification=1.0, tracking=2.0, benchmark=np.full(n, 1.0 / n),
    )  # fmt: skip


def _mu(world: World, session: int, covariance: Floats, rng: np.random.Generator) -> Floats:
    """What four sources say, each its skill times volatility times score."""
    closes, n = world.closes, world.closes.shape[1]
    ahead = _standard(closes[min(session + HORIZON, len(closes) - 1)] / closes[session])
    scores = {
        "momentum": _standard(closes[session] / closes[session - 60]),
        "reversal": -_standard(closes[session] / closes[session - HORIZON]),
        "informed": SKILLS["informed"] * ahead + rng.normal(size=n),
        "misled": SKILLS["misled"] * ahead + rng.normal(size=n),
    }
    said = sum(SKILLS[name] * np.clip(score, -2.5, 2.5) for name, score in scores.items())
    found: Floats = np.sqrt(np.diag(covariance)) * said
    return found


def _standard(values: Floats) -> Floats:
    found: Floats = (values - values.mean()) / values.std()
    return found


def _limit(
    name: str, kind: LimitKind, rows: Floats, *, lower: float = -np.inf, upper: float = np.inf,
    tier: int = 0,
) -> WeightLimit:  # fmt: skip
    k = len(rows)
    labels = tuple(str(i) for i in range(k)) if k > 1 else ("",)
    return WeightLimit(name, kind, labels, rows, np.full(k, lower), np.full(k, upper), tier)


def _sectors(world: World) -> Floats:
    """(k, n) one row for each sector that is there."""
    found: Floats = (np.unique(world.sectors)[:, None] == world.sectors).astype(np.float64)
    return found


def _whole(world: World, value: float = 1.0) -> Floats:
    return np.full((1, world.closes.shape[1]), value)


def _caps(world: World) -> tuple[WeightLimit, ...]:
    return (_limit("sector", "linear", _sectors(world), upper=0.25),)


def _cautious(world: World) -> tuple[WeightLimit, ...]:
    return (*_caps(world), _limit("volatility", "volatility", _whole(world, 0.0), upper=0.015))


def _balanced(world: World) -> tuple[WeightLimit, ...]:
    return (_limit("sector", "linear", _sectors(world), lower=-0.1, upper=0.1),)


def _neutral(world: World) -> tuple[WeightLimit, ...]:
    net = _limit("net", "linear", _whole(world), lower=-0.02, upper=0.02)
    return (net, _limit("sector", "linear", _sectors(world), lower=-0.05, upper=0.05))


def _soft(world: World) -> tuple[WeightLimit, ...]:
    """Floors of sectors that cannot all hold beside the cap on their sum."""
    floors = _limit("floor", "linear", _sectors(world), lower=0.09, tier=2)
    return (_limit("net", "linear", _whole(world), upper=0.8, tier=1), floors)


def _groups(world: World) -> tuple[WeightLimit, ...]:
    gross = _limit("group", "gross", _sectors(world), upper=0.2)
    return (gross, _limit("volatility", "volatility", _whole(world, 0.0), upper=0.02, tier=1))


MANDATES = (
    Mandate("aggressive, long only", 1.0, 0.0, 0.1, 1.0, 1.0, _caps),
    Mandate("conservative, volatility limited", 10.0, 0.0, 0.1, 1.0, 0.5, _cautious),
    Mandate("balanced, long and short", 3.0, -0.05, 0.1, 1.5, 0.3, _balanced),
    Mandate("market neutral", 3.0, -0.05, 0.05, 2.0, 0.1, _neutral),
    Mandate("little turnover, soft floors", 3.0, 0.0, 0.1, 1.0, 0.03, _soft),
    Mandate("groups' gross, soft volatility", 1.0, -0.05, 0.05, 1.5, 0.2, _groups),
    Mandate("charged with everything", 3.0, -0.05, 0.1, 1.5, 0.5, _balanced, charged=True),
)

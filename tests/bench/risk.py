"""Whether forecast volatility comes true on real prices, for each risk model; one core.

`python -m tests.bench.risk --data FOLDER [--every 2] [--record]`. Two tables of the bias, realised
over forecast volatility, with 95 % intervals (`coordinator.core.bias` has the formula):

- of portfolios that nobody optimised and of those of least variance, made every few sessions from
  the 250 sessions before, for all names of the folder that are known then, held for one session:
  equal weight, random long-only (50 names), random long-short (100 names), least variance with any
  weights that add up to one and with none below zero, of all names and of 30 drawn ones;
- of portfolios that the engine made itself, from signals of three sources, in a backtest with
  simulated fills: what the engine's own state says of each at the end.

Beside each: realised volatility in percent a year, and for the portfolios of least variance the
difference in variance to the default model, paired by session, in its standard errors.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from coordinator.bootstrap import risk_model
from coordinator.core.bias import Bias, told
from coordinator.core.ports import Floats, RiskModel, RiskSettings
from coordinator.core.risk import risk_settings
from coordinator.log.open import open_reader
from coordinator.solver import pin_threads
from replay.standing import Moment, standing
from schemas.control import Parameters
from tests.bench.record import finish, options
from tests.bench.sp500 import timed, write_files

Indices = NDArray[np.int64]
SEED, WINDOW, EACH = 1, 250, 20
FEW, FEW_EACH = 30, 5
"""Names of a small portfolio of least variance, and how many are drawn a session."""
EVERY_NAME = 8
"""The engine's own portfolios are of every so many names, so that the whole takes minutes."""
DEFAULTS = risk_settings(Parameters())
MODELS: dict[str, RiskSettings] = {
    "blended": replace(DEFAULTS, model="blended"),
    "ewma": replace(DEFAULTS, model="ewma"),
    "factor": replace(DEFAULTS, model="factor"),
    "factor, as many as told": replace(DEFAULTS, model="factor", factors=0),
}
PORTFOLIOS = """
[parameters]
risk_model = "{model}"
risk_bias_half_life_sessions = 1e6
learning = false
skill_prior = 0.15
[[parameters.modes]]
mode = "aggressive"
risk_aversion = 1.0
[[parameters.modes]]
mode = "balanced"
risk_aversion = 3.0
[[parameters.modes]]
mode = "conservative"
risk_aversion = 10.0

[[portfolio]]
id = "long only"
cash = "100000000"
currency = "USD"
mode = "aggressive"
[portfolio.mandate]
position_max = 0.05
gross_max = 1.0
turnover_max = 0.3
[portfolio.schedule]
kind = "session_close"
every = 5

[[portfolio]]
id = "long and short"
cash = "100000000"
currency = "USD"
mode = "balanced"
[portfolio.mandate]
position_max = 0.05
position_min = -0.05
gross_max = 1.5
turnover_max = 0.5
[portfolio.schedule]
kind = "session_close"
every = 5

[[portfolio]]
id = "few names, cautious"
cash = "100000000"
currency = "USD"
mode = "conservative"
[portfolio.mandate]
position_max = 0.2
gross_max = 1.0
[portfolio.schedule]
kind = "session_close"
every = 5
"""
OWN = ("few names, cautious", "long and short", "long only")


def returns_of(data: Path) -> Floats:
    """(sessions, names) returns of closes, NaN where unknown."""
    prices = pl.read_parquet(data / "sp500_ohlcv_daily.parquet").with_columns(
        pl.col("symbol").cast(pl.String)
    )
    wide = prices.pivot(on="symbol", index="date", values="close").sort("date").drop("date")
    closes = wide.select(sorted(wide.columns)).to_numpy().astype(np.float64)
    found: Floats = closes[1:] / closes[:-1] - 1.0
    return found


def drawn(rng: np.random.Generator, n: int) -> Iterator[tuple[str, Floats]]:
    """Portfolios that nobody optimised."""
    yield "equal weight", np.full(n, 1.0 / n)
    for _ in range(EACH):
        weights = np.zeros(n)
        weights[rng.choice(n, 50, replace=False)] = rng.dirichlet(np.ones(50))
        yield "random long-only", weights
    for _ in range(EACH):
        weights, some = np.zeros(n), rng.standard_normal(100)
        weights[rng.choice(n, 100, replace=False)] = (some - some.mean()) / 100
        yield "random long-short", weights


def least_variance(sigma: Floats, *, short: bool) -> Floats:
    """(n,) weights that add up to one; where none may be short, of those that then stay."""
    held = np.arange(len(sigma))
    while True:
        found = cho_solve(cho_factor(sigma[np.ix_(held, held)]), np.ones(len(held)))
        if short or (found > 0.0).all():
            weights = np.zeros(len(sigma))
            weights[held] = found / found.sum()
            return weights
        held = held[found > 0.0]


def optimised(
    model: RiskModel, settings: RiskSettings, window: Floats, few: list[Indices], sigma: Floats
) -> Iterator[tuple[str, Floats, Floats]]:
    """Kind, weights (n,) and covariance (n, n) of portfolios of least variance.

    few: columns of the small ones, which have an estimate of their own.
    """
    for short, how in ((True, ""), (False, ", long-only")):
        yield f"least variance{how}", least_variance(sigma, short=short), sigma
    for columns in few:
        own = model.covariance(window[:, columns], settings)
        wide = np.zeros_like(sigma)
        wide[np.ix_(columns, columns)] = own
        for short, how in ((True, ""), (False, ", long-only")):
            weights = np.zeros(len(sigma))
            weights[columns] = least_variance(own, short=short)
            yield f"least variance of {FEW} names{how}", weights, wide


class Tally:
    """One model's forecasts of one kind of portfolio."""

    def __init__(self) -> None:
        self.standardised: list[float] = []
        self.squares: list[float] = []

    def add(self, forecasts: list[float], moves: list[float]) -> None:
        """Portfolios of one session, which count as one: they move together."""
        ratios = [(m / f) ** 2 for f, m in zip(forecasts, moves, strict=True)]
        self.standardised.append(math.sqrt(sum(ratios) / len(ratios)))
        self.squares.append(sum(m * m for m in moves) / len(moves))

    def figures(self) -> dict[str, float]:
        """Bias, interval and realised volatility."""
        bias = Bias({})
        for one in self.standardised:
            bias.add(one, fade=1.0)
        return _bias(bias) | {
            "volatility_year_percent": round(100 * math.sqrt(252 * np.mean(self.squares)), 2)
        }


def _bias(bias: Bias) -> dict[str, float]:
    found = told(bias)
    if found is None:
        message = f"{bias.count} forecasts tell no bias"
        raise RuntimeError(message)
    return {
        "bias": round(found.bias, 3),
        "low": round(found.low, 3),
        "high": round(found.high, 3),
        "sessions": found.count,
    }


def of_made_up(returns: Floats, every: int) -> dict[str, Any]:
    """The first table."""
    rng, model = np.random.default_rng(SEED), risk_model()
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in MODELS}
    seconds = dict.fromkeys(MODELS, 0.0)
    days = range(WINDOW, len(returns), every)
    for day in days:
        known = np.flatnonzero(~np.isnan(returns[day - 1]))
        window, move = returns[day - WINDOW : day, known], np.nan_to_num(returns[day, known])
        portfolios = list(drawn(rng, len(known)))
        few = [rng.choice(len(known), FEW, replace=False) for _ in range(FEW_EACH)]
        for name, settings in MODELS.items():
            before = time.process_time()
            sigma = model.covariance(window, settings)
            seconds[name] += time.process_time() - before
            made = [(kind, weights, sigma) for kind, weights in portfolios]
            made += optimised(model, settings, window, few, sigma)
            _count(tallies[name], made, move)
    found: dict[str, Any] = {}
    for name, kinds in tallies.items():
        found[name] = {kind: tally.figures() for kind, tally in kinds.items()}
        for kind in kinds:
            if kind.startswith("least"):
                apart = _apart(kinds[kind], tallies[DEFAULTS.model][kind])
                found[name][kind]["variance_apart_in_errors"] = apart
        found[name]["covariance_ms"] = {"mean": round(1e3 * seconds[name] / len(days), 1)}
    return found


def _count(
    kinds: dict[str, Tally], portfolios: list[tuple[str, Floats, Floats]], move: Floats
) -> None:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for kind, weights, sigma in portfolios:
        forecasts, moves = found.setdefault(kind, ([], []))
        forecasts.append(math.sqrt(float(weights @ sigma @ weights)))
        moves.append(float(weights @ move))
    for kind, (forecasts, moves) in found.items():
        kinds.setdefault(kind, Tally()).add(forecasts, moves)


def _apart(one: Tally, other: Tally) -> float:
    """Mean difference of squared returns over its standard error; below 0: `one` risks less."""
    differences = np.array(one.squares) - np.array(other.squares)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return round(float(differences.mean()) / error, 2) if error > 0.0 else 0.0


def of_the_engine(data: Path, model: str) -> dict[str, Any]:
    """The second table's row of one model: import, backtest, and what the state then says."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(data, folder)
        for file, column in (("prices", "time"), ("signals", "event_time")):
            rows = pl.read_parquet(folder / f"{file}.parquet")
            names = rows["instrument"].unique().sort().gather_every(EVERY_NAME)
            kept = rows.filter(pl.col("instrument").is_in(names.implode())).sort(column)
            kept.write_parquet(folder / f"{file}.parquet")
        text = PORTFOLIOS.format(model=model)
        (folder / "portfolios.toml").write_text(text, encoding="utf-8")
        return _played(folder)


def _played(folder: Path) -> dict[str, Any]:
    coordinator = [sys.executable, "-m", "coordinator.cli.main"]
    inputs, run = folder / "inputs.sqlite", folder / "run.sqlite"
    timed(
        [
            *coordinator, "import", "--signals", str(folder / "signals.parquet"),
            "--prices", str(folder / "prices.parquet"),
            "--portfolios", str(folder / "portfolios.toml"),
            "--dates-known-at", "close", "--shards", "1", "--log", str(inputs),
        ]
    )  # fmt: skip
    timed([*coordinator, "backtest", "--log", str(inputs), "--out", str(run)])
    with open_reader(run) as reader:
        state = standing(reader, 0, Moment()).state
    return {name: _bias(state.biases[name]) for name in OWN}


def measure(data: Path, every: int) -> dict[str, Any]:
    """Both tables."""
    pin_threads()
    returns = returns_of(data)
    return {
        "sessions": len(returns),
        "names": returns.shape[1],
        "every": every,
        "made up": of_made_up(returns, every),
        "the engine's own": {
            name: of_the_engine(data, name) for name in ("blended", "ewma", "factor")
        },
    }


if __name__ == "__main__":
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prices")
    parser.add_argument("--every", type=int, default=2, help="sessions from one to the next")
    arguments = parser.parse_args()
    finish("risk", measure(arguments.data, arguments.every), record=arguments.record)

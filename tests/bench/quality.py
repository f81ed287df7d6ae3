"""Whether the quality score of a decision is worth what it predicts.

`python -m tests.bench.quality --data FOLDER [--seeds 3] [--names 30] [--processes 2] [--record]`:
simulated sources speak every fifth session of names of the S&P 500, as in the experiment, and an
engine that is told no skill decides on them for two portfolios of each of six cases. Each decision
is scored when it is made. What it then brings is its realised net utility: what the traded weights
earned from the next open to the open five sessions later, less the costs that the decision counted
on, less half the risk aversion times the variance that its trades added. Weights of the score's
parts are chosen on decisions before 2016, by rank correlation. On those from 2016 on the rank
correlation of the score, with the weights that ship, is told once, with a 95 % interval of blocks
of eight weeks resampled: all portfolios and seeds share one history of prices.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from coordinator.core.ports import Floats
from coordinator.shells.live.collecting import collect_seldom
from schemas.control import Parameters, QualityWeights
from tests.bench.alphas import CASES, HORIZON, distinct, hear
from tests.bench.experiment import checked
from tests.bench.played import Spoken
from tests.bench.record import finish, options
from tests.bench.residuals import PRICES, NoPrices, Prices, load, residuals, standardised
from tests.bench.scored import Decided, scored

MEASURED = date(2016, 1, 1)
PLAYED = ("apart", "inverted", "copies", "sparse", "alike", "nobody")
"""Cases of the experiment that are played: each asks for decisions of its own."""
PARTS = tuple(QualityWeights.model_fields)
CANDIDATES = (1.0, 2.0, 4.0, 8.0)
"""Weights tried; none is 0, as every part must show in the score."""
ROUNDS, GAIN_LEAST = 2, 1e-3
"""How often all weights are gone through, and how much correlation a change must gain."""
BLOCK, RESAMPLED, LEVEL = 8, 2_000, 95.0
"""Decision days resampled together, how often, and the interval's level in percent."""
FIFTHS = 5


@dataclass(frozen=True, slots=True)
class Table:
    """Decisions in columns. day: (k,) session; portfolio: (k,) its place among the sorted names."""

    day: Floats
    portfolio: Floats
    realised: Floats
    parts: Floats

    def some(self, which: NDArray[np.bool_]) -> Table:
        """Those chosen."""
        return Table(
            self.day[which], self.portfolio[which], self.realised[which], self.parts[which]
        )


def decided(seed: int, *, data: Path, names: int) -> list[Decided]:
    """All decisions of one seed."""
    prices = load(data)
    rng = np.random.default_rng((seed, 0))
    some = prices.of(rng.choice(len(prices.names), names, replace=False).tolist())
    cases = tuple(case for case in CASES if case.name in PLAYED)
    alphas = distinct(cases)
    ahead = {}
    for horizon in sorted({HORIZON, *(alpha.horizon for alpha in alphas)}):
        moved, volatility = residuals(some, horizon)
        ahead[horizon] = standardised(moved / volatility)
    heard = hear(alphas, ahead, seed=seed, middle=len(some.days) // 2)
    arrival = rng.random((len(some.days), len(alphas), names))
    return [*scored(some, Spoken(cases, tuple(heard), arrival), parameters=Parameters())]


def table_of(decisions: list[Decided]) -> Table:
    """In columns, by day."""
    ordered = sorted(decisions, key=lambda one: (one.session, one.portfolio))
    names = sorted({one.portfolio for one in ordered})
    return Table(
        np.array([one.session for one in ordered], dtype=np.float64),
        np.array([names.index(one.portfolio) for one in ordered], dtype=np.float64),
        np.array([one.realised for one in ordered]),
        np.array([one.parts for one in ordered]),
    )


def rank_correlation(score: Floats, realised: Floats) -> float:
    """Spearman's; 0 where all are alike."""
    one, other = rankdata(score), rankdata(realised)
    if one.std() == 0.0 or other.std() == 0.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def whole(parts: Floats, weights: Floats) -> Floats:
    """(k,) scores."""
    found: Floats = parts @ weights / weights.sum()
    return found


def chosen(table: Table) -> Floats:
    """Weights of most rank correlation, one part after the other, twice round.

    Begun with the largest of all: a part that these decisions tell nothing of keeps its weight, as
    limits do that hardly ever give way here.
    """
    weights = np.full(len(PARTS), max(CANDIDATES))
    best = rank_correlation(whole(table.parts, weights), table.realised)
    for _ in range(ROUNDS):
        for place in range(len(PARTS)):
            for candidate in CANDIDATES:
                tried = weights.copy()
                tried[place] = candidate
                found = rank_correlation(whole(table.parts, tried), table.realised)
                if found > best + GAIN_LEAST:
                    weights, best = tried, found
    return weights


def interval(score: Floats, table: Table) -> tuple[float, float]:
    """Of the rank correlation: blocks of days resampled, with all that was decided on them."""
    days = np.unique(table.day)
    rows = {day: np.flatnonzero(table.day == day) for day in days.tolist()}
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLED):
        starts = rng.integers(0, len(days), -(-len(days) // BLOCK))
        drawn = (starts[:, None] + np.arange(BLOCK)).ravel()[: len(days)] % len(days)
        at = np.concatenate([rows[day] for day in days[drawn].tolist()])
        found.append(rank_correlation(score[at], table.realised[at]))
    low, high = np.percentile(found, ((100 - LEVEL) / 2, (100 + LEVEL) / 2)).tolist()
    return low, high


def figures_of(table: Table, weights: Floats) -> dict[str, Any]:
    """What the score of these weights tells of these decisions."""
    score = whole(table.parts, weights)
    low, high = interval(score, table)
    within = [
        rank_correlation(score[mine], table.realised[mine])
        for mine in (table.portfolio == one for one in np.unique(table.portfolio))
    ]
    fifth = np.minimum((rankdata(score, method="ordinal") - 1) * FIFTHS // len(score), FIFTHS - 1)
    parts = {
        name: round(rank_correlation(table.parts[:, place], table.realised), 4)
        for place, name in enumerate(PARTS)
    }
    return {
        "decisions": len(score),
        "days": len(np.unique(table.day)),
        "rank_correlation": round(rank_correlation(score, table.realised), 4),
        "interval": [round(low, 4), round(high, 4)],
        "within_portfolios": round(float(np.mean(within)), 4),
        "parts_alone": parts,
        "realised_bps_by_fifth_of_score": [
            round(1e4 * float(table.realised[fifth == one].mean()), 2) for one in range(FIFTHS)
        ],
        "score_by_fifth": [round(float(score[fifth == one].mean()), 3) for one in range(FIFTHS)],
    }


def measured(table: Table, split: int) -> dict[str, Any]:
    """Weights of the days before, and what those that ship are worth on the days after."""
    before, after = table.some(table.day + HORIZON < split), table.some(table.day >= split)
    best = chosen(before)
    shipped = np.array([getattr(QualityWeights(), name) for name in PARTS])
    return {
        "weights_chosen_before_2016": dict(zip(PARTS, best.tolist(), strict=True)),
        "weights_shipped": dict(zip(PARTS, shipped.tolist(), strict=True)),
        "before_2016": figures_of(before, shipped),
        "from_2016": figures_of(after, shipped),
        "from_2016_all_weights_alike": round(
            rank_correlation(whole(after.parts, np.ones(len(PARTS))), after.realised), 4
        ),
    }


def _prices(data: Path, names: int) -> Prices:
    prices = load(data)
    checked(prices, names=names)
    return prices


def main() -> int:
    """Print the figures; 1 when the interval does not lie above 0, 2 without the prices."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help=f"folder of {PRICES}")
    for name, usual in (("seeds", 3), ("names", 30), ("processes", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    try:
        prices = _prices(args.data, args.names)
    except NoPrices as error:
        print(error, file=sys.stderr)
        return 2
    began = time.monotonic()
    one = partial(decided, data=args.data, names=args.names)
    # What polars has begun does not outlive a fork.
    with ProcessPoolExecutor(args.processes, get_context("spawn"), collect_seldom) as pool:
        decisions = [made for seed in pool.map(one, range(args.seeds)) for made in seed]
    figures = measured(table_of(decisions), prices.session_of(MEASURED))
    sizes = {"seeds": args.seeds, "names": args.names}
    minutes = round((time.monotonic() - began) / 60.0, 1)
    finish("quality", {**figures, **sizes, "minutes": minutes}, record=args.record)
    return 0 if figures["from_2016"]["interval"][0] > 0.0 else 1


if __name__ == "__main__":
    sys.exit(main())

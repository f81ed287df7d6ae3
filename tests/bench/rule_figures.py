"""Figures of the books that follow conflict rules: means, intervals, differences, deflation.

Place in the flow: `conflict_rules` plays the books, this makes figures of what came of them, and
`rule_pages` a page of those. Two kinds of intervals stand beside each other: Student's over seeds,
which is of the signals' and the names' chance, and of blocks of sessions drawn anew, the same for
all seeds and rules, which is of the market's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from coordinator.core.clock import SESSIONS_A_YEAR
from coordinator.core.ports import Floats
from tests.bench.played import OURS
from tests.bench.rules import interval
from tests.bench.sharpe import (
    counts_of,
    deflated,
    drawdown,
    drawn_blocks,
    expected_most,
    sharpe,
    sharpe_drawn,
)
from tests.bench.tradebooks import Series

__all__ = [
    "ALLOCATED",
    "AVERSION",
    "BLOCK",
    "DIRECT",
    "DRAWS",
    "JUDGED",
    "MEASURES",
    "TABLES",
    "UNTUNED",
    "UNTUNED_TWICE",
    "Choice",
    "Draws",
    "Measure",
    "Tried",
    "above",
    "choose",
    "figures_of",
    "measures",
    "told",
    "verdict",
    "worth",
]

BLOCK = 20
"""Sessions drawn together: four decisions, a month."""
DRAWS, DRAWS_OF_PATHS = 2_000, 400
"""How often they are drawn anew, and of these the ones whose drawdowns are looked at."""
SURE = 0.95
MEASURES = ("net_sharpe", "gross_sharpe", "worth", "turnover", "cost", "drawdown")
JUDGED = ("net_sharpe", "worth")
"""What won and lost is said of: what is asked for, and what levels are chosen by."""
DIGITS = dict.fromkeys(("worth", "turnover", "cost", "drawdown"), 5)
TABLES = ALLOCATED, DIRECT = "allocated", "set directly"
UNTUNED = "ours, untuned"
"""Ours with its opinions as large as they are."""
UNTUNED_TWICE = "ours, untuned, costs twice"
"""The same by a mode whose `cost_weight` is 2: whoever will leave a position again pays twice."""
AVERSION = 40.0
"""To risk, of every portfolio: so much that its limits seldom decide what it holds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule at a level: the size that its opinions are scaled to, or its gross exposure.

    size: root mean square of its opinions where it is tuned.
    """

    case: str
    table: str
    rule: str
    level: float
    size: float


@dataclass(frozen=True, slots=True)
class Tried:
    """What one seed that is tuned on made of a choice. worth: as the measure."""

    choice: Choice
    sharpe: float
    worth: float

    @classmethod
    def of(cls, choice: Choice, series: Series) -> Tried:
        """What is kept of a series."""
        return cls(choice, float(sharpe(series.net)), float(worth(series.net)))


def worth(net: Floats) -> Floats:
    """(...,) the certain return a year that is as good: mean less AVERSION / 2 times variance."""
    return _worth(net.mean(axis=-1), (net**2).mean(axis=-1))


def _worth(mean: Floats, squares: Floats) -> Floats:
    found: Floats = SESSIONS_A_YEAR * (mean - AVERSION / 2.0 * (squares - mean**2))
    return found


def choose(found: Sequence[Sequence[Tried]]) -> tuple[Choice, ...]:
    """For each rule the level that was worth most in the mean over the seeds, of ties the first."""
    by_rule: dict[tuple[str, str, str], dict[float, list[Tried]]] = {}
    for one in (one for seed in found for one in seed):
        choice = one.choice
        levels = by_rule.setdefault((choice.case, choice.table, choice.rule), {})
        levels.setdefault(choice.level, []).append(one)
    choices = []
    for (case, table, rule), levels in by_rule.items():
        means = {level: np.mean([one.worth for one in some]) for level, some in levels.items()}
        best = max(means, key=lambda level: means[level])
        size = float(np.sqrt(np.mean([one.choice.size**2 for one in levels[best]])))
        choices.append(Choice(case, table, rule, best, size))
    return tuple(choices)


class Measure(NamedTuple):
    """One measure of one rule. by_seed: (s,). by_draw: (b,) means over the seeds of each draw."""

    by_seed: Floats
    by_draw: Floats


class Draws:
    """Blocks of sessions drawn anew, the same ones for whatever is measured."""

    def __init__(self, sessions: int, *, length: int = BLOCK, count: int = DRAWS) -> None:
        rng = np.random.default_rng(0)
        self.rows = drawn_blocks(sessions, length=length, count=count, rng=rng)
        self.counts = counts_of(self.rows)

    def mean(self, series: Floats) -> Floats:
        """(b,) of (s, t)."""
        found: Floats = (series @ self.counts.T).mean(axis=0) / series.shape[1]
        return found

    def sharpe(self, series: Floats) -> Floats:
        """(b,) mean over the seeds."""
        found: Floats = sharpe_drawn(series, self.counts).mean(axis=0)
        return found

    def worth(self, series: Floats) -> Floats:
        """(b,) mean over the seeds."""
        mean, squares = (one @ self.counts.T / series.shape[1] for one in (series, series**2))
        found: Floats = _worth(mean, squares).mean(axis=0)
        return found

    def drawdown(self, series: Floats) -> Floats:
        """(b,) mean over the seeds, of the first draws."""
        rows = self.rows[:DRAWS_OF_PATHS]
        found: Floats = np.mean([drawdown(one[rows]) for one in series], axis=0)
        return found


def measures(some: Sequence[Series], draws: Draws) -> dict[str, Measure]:
    """Every measure of one rule's series by seed; cost is of a year."""
    net, cost, turnover = (
        np.array([getattr(one, name) for one in some]) for name in ("net", "cost", "turnover")
    )
    gross = net + cost
    yearly = SESSIONS_A_YEAR * cost
    return {
        "net_sharpe": Measure(sharpe(net), draws.sharpe(net)),
        "gross_sharpe": Measure(sharpe(gross), draws.sharpe(gross)),
        "worth": Measure(worth(net), draws.worth(net)),
        "turnover": Measure(turnover.mean(axis=1), draws.mean(turnover)),
        "cost": Measure(yearly.mean(axis=1), draws.mean(yearly)),
        "drawdown": Measure(drawdown(net), draws.drawdown(net)),
    }


def above(one: Measure, other: Measure) -> Measure:
    """The paired difference."""
    return Measure(one.by_seed - other.by_seed, one.by_draw - other.by_draw)


def told(name: str, one: Measure) -> dict[str, Any]:
    """Mean, half the width over seeds (None of one alone), and the middle 95 % of the draws."""
    mean, half = interval(one.by_seed)
    low, high = np.quantile(one.by_draw, (0.025, 0.975)).tolist()
    digits = DIGITS.get(name, 3)
    return {
        "mean": round(mean, digits),
        "half_width": round(half, digits) if np.isfinite(half) else None,
        "blocks": [round(low, digits), round(high, digits)],
    }


def verdict(difference: Measure) -> str:
    """Won or lost where both intervals say so; everything else is drawn."""
    mean, half = interval(difference.by_seed)
    low, high = np.quantile(difference.by_draw, (0.025, 0.975)).tolist()
    if min(mean - half, low) > 0.0:
        return "won"
    return "lost" if max(mean + half, high) < 0.0 else "drawn"


def figures_of(
    books: Sequence[Mapping[str, Mapping[str, Mapping[str, Series]]]],
    choices: Sequence[Choice],
    tried: Sequence[Sequence[Tried]],
) -> dict[str, Any]:
    """By table, case and rule. books: by seed, of the same."""
    chosen = {(one.table, one.case, one.rule): one.level for one in choices}
    first = books[0]
    cases = list(first[TABLES[0]])
    sessions = len(first[TABLES[0]][cases[0]][OURS].net)
    draws = Draws(sessions)
    found: dict[str, Any] = {"sessions": sessions, "block": BLOCK, "draws": DRAWS}
    for case in cases:
        trials, most = _by_chance(case, tried, sessions)
        made = {}
        for table in TABLES:
            series = {
                rule: [one[table][case][rule] for one in books] for rule in first[table][case]
            }
            made[table] = {rule: measures(some, draws) for rule, some in series.items()}
            figures = _of_rules(made[table])
            for rule, one in figures.items():
                one["level"] = chosen[table, case, rule]
                one["deflated"] = _deflated(series[rule], trials, most)
            found.setdefault(table, {})[case] = figures
        allocated, directly = (made[table] for table in TABLES)
        for rule, one in found[TABLES[1]][case].items():
            gains = {name: above(allocated[rule][name], directly[rule][name]) for name in JUDGED}
            one["allocator_adds"] = {name: told(name, gain) for name, gain in gains.items()}
            one["allocator"] = {name: verdict(gain) for name, gain in gains.items()}
    return found


def _of_rules(made: Mapping[str, Mapping[str, Measure]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rule, some in made.items():
        found[rule] = {name: told(name, one) for name, one in some.items()}
        if rule != OURS:
            gains = {name: above(made[OURS][name], one) for name, one in some.items()}
            found[rule]["ours_above"] = {name: told(name, one) for name, one in gains.items()}
            found[rule]["ours"] = {name: verdict(gains[name]) for name in JUDGED}
    return found


def _by_chance(case: str, tried: Sequence[Sequence[Tried]], sessions: int) -> tuple[int, float]:
    """How many trials the case saw, and the best Sharpe ratio that as many show by chance alone.

    Their variance is that across the trials, a mean over the seeds tuned on, but no less than a
    Sharpe ratio's own over the sessions shown.
    """
    ratios = [[one.sharpe for one in seed if one.choice.case == case] for seed in tried]
    variance = float(np.mean([np.var(some, ddof=1) for some in ratios]))
    least = SESSIONS_A_YEAR / sessions
    return len(ratios[0]), expected_most(len(ratios[0]), max(variance, least))


def _deflated(some: Sequence[Series], trials: int, most: float) -> dict[str, Any]:
    """Probabilities of skill beyond chance: each seed has one."""
    found = np.array([deflated(one.net, most=most) for one in some])
    return {
        "trials": trials,
        "most_by_chance": round(most, 3),
        "probability": round(float(found.mean()), 3),
        "sure": round(float((found > SURE).mean()), 3),
    }

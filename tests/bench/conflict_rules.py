"""What each conflict rule earns after costs, with everything else alike.

`python -m tests.bench.conflict_rules --data FOLDER [--seeds 50] [--tuning-seeds 4] [--names 30]
[--processes 2] [--record]`: the simulated alphas of `experiment`, spoken through an engine that is
told no skill, become books of 10 million: every fifth session each rule's opinion goes to the same
allocator with the same mandate, costs and risk model, is filled at the next open, and pays a share
of what it trades and an impact that grows with the root of its share in a day's volume. Beside it,
the same opinions with weights set directly, as Lean does. How large opinions are taken to be is
chosen for each rule in each case on 2014 and 2015, by other seeds; ours stands there twice more,
as it ships, and so under a mode that counts costs twice. What is shown is of 2016 to 2018.
Intervals are by seed, and by blocks of sessions drawn anew.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.risk import covariance_of
from coordinator.shells.live.collecting import collect_seldom
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from schemas.control import Parameters
from tests.bench import conflict_agents, rule_pages
from tests.bench.alphas import CASES, HORIZON
from tests.bench.experiment import NAMES_LEAST, SEEDS_LEAST, World, checked, world
from tests.bench.played import OURS, decisions
from tests.bench.record import RESULTS, finish, options, watched
from tests.bench.residuals import PRICES, NoPrices, Prices, load, volumes
from tests.bench.rule_figures import (
    ALLOCATED,
    AVERSION,
    DIRECT,
    UNTUNED,
    UNTUNED_TWICE,
    Choice,
    Tried,
    choose,
    figures_of,
)
from tests.bench.rules import RULES
from tests.bench.tradebooks import Market, Moment, Series, Tariff, played_out, usual_volume
from tests.bench.ways import Desk, allocating, setting_directly

TUNED, MEASURED = date(2014, 1, 1), date(2016, 1, 1)
SHOWN = (
    "apart", "overconfident", "inverted", "copies", "honest", "alike", "fading", "nobody",
)  # fmt: skip
"""Four cases in which a record is worth something, and four in which it is worth little, nothing
or less: the others of `experiment` are left out for time."""
SOME = tuple(case for case in CASES if case.name in SHOWN)
SIZES = (0.0125, 0.025, 0.05, 0.1)
"""Root mean squares that opinions are scaled to, in units of volatility: of a source alone, they
are its information coefficient."""
GROSS = (0.25, 0.5, 1.0, 2.0)
LEVELS = {ALLOCATED: SIZES, DIRECT: GROSS}
OTHERS = RULES[:4]
"""Those of `experiment` but Idzorek's, left out for time."""
LEVELLED = (OURS, *OTHERS)
"""The rules with a level to choose."""
COST_WEIGHTS = {UNTUNED: 1.0, UNTUNED_TWICE: 2.0}
"""Of ours as it ships; all others weigh costs once."""
NAV = 10_000_000.0
TARIFF = Tariff(buy=3e-4, sell=3e-4, impact=1.0)
"""A basis point of fees and two of half a spread, as a portfolio's costs are where none are stated;
an impact of one day's volatility where a whole day's volume is traded."""
TUNING_SEEDS_FROM = 100_000
"""Seeds that are tuned on, apart from those that are shown."""

Opinions: TypeAlias = dict[str, dict[str, dict[int, Floats]]]
"""(n,) by case, rule and session."""
Books: TypeAlias = dict[str, dict[str, dict[str, Series]]]
"""What came of one seed, by table, case and rule."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every seed does. until: the first day that nobody may see."""

    data: Path
    names: int
    since: date = MEASURED
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """One seed: what every rule held at each decision, and the market they trade in."""

    market: Market
    moments: tuple[Moment, ...]
    opinions: Opinions
    desk: Desk


@cache
def _loaded(folder: Path) -> tuple[Prices, Floats]:
    """Prices and volumes, once a process."""
    pin_threads()
    prices = load(folder)
    return prices, volumes(folder, prices)


@cache
def _allocator() -> CvxAllocator:
    """One a process: it keeps nothing of a problem but its compiled form."""
    return CvxAllocator(SolverSettings())


def play(seed: int, task: Task) -> Played:
    """The engine hears what is said and learns; each decision's opinions are kept."""
    prices, volume = _loaded(task.data)
    if task.until is not None:
        prices = prices.until(prices.session_of(task.until))
    since = prices.session_of(task.since)
    made = world(prices, seed=seed, names=task.names, since=since, cases=SOME)
    columns = [prices.names.index(name) for name in made.prices.names]
    return heard(made, volume[: len(prices.days), columns] * made.prices.closes)


def heard(made: World, traded: Floats) -> Played:
    """What the rules hold of what is said. traded: (t, n) money that changed hands."""
    opinions: Opinions = {case.name: {} for case in made.spoken.cases}
    moments = tuple(_held(made, opinions))
    names = made.prices.names
    desk = Desk(
        allocator=_allocator(), names=names, lots=np.ones(len(names)), tariff=TARIFF,
        risk_aversion=AVERSION, position_min=-0.5, position_max=0.5, gross_max=4.0,
    )  # fmt: skip
    market = Market(made.prices.opens, made.prices.closes, usual_volume(traded))
    return Played(market, moments, opinions, desk)


def _held(made: World, opinions: Opinions) -> Iterator[Moment]:
    """Each decision's moment; what the rules hold then is put into opinions."""
    steps = decisions(made.prices, made.spoken, parameters=Parameters(), since=made.since)
    for session, player in steps:
        if session + 1 + HORIZON >= len(made.prices.days):
            return  # no open is left that these opinions are about
        for case in made.spoken.cases:
            now = player.now(case, session)
            others = player.others(case, session)
            others[OURS] = player.placed(now, now.combination.mu)
            for rule in LEVELLED:
                opinions[case.name].setdefault(rule, {})[session] = others[rule]
        covariance = covariance_of(
            player.engine.state, made.prices.names, currency="USD", horizon=float(HORIZON),
            risk_model=player.risk_model,
        )  # fmt: skip
        yield Moment(session, covariance, np.sqrt(np.diag(covariance) / HORIZON))


def book(one: Played, choice: Choice) -> Series:
    """What comes of one rule at one level."""
    opinions = one.opinions[choice.case][OURS if choice.rule in COST_WEIGHTS else choice.rule]
    if choice.table == DIRECT:
        decide = setting_directly(opinions, gross=choice.level, desk=one.desk)
    else:
        desk = replace(one.desk, cost_weight=COST_WEIGHTS.get(choice.rule, 1.0))
        decide = allocating(opinions, scale=choice.level / choice.size, desk=desk)
    return played_out(one.market, one.moments, decide, nav=NAV, tariff=TARIFF)


def tried(seed: int, *, task: Task) -> list[Tried]:
    """Every rule at every level, of one seed that is tuned on."""
    one = play(seed, task)
    found = []
    for case in SOME:
        trials = []
        for rule, table in product(LEVELLED, LEVELS):
            size = _size(one.opinions[case.name][rule])
            trials += [Choice(case.name, table, rule, level, size) for level in LEVELS[table]]
        trials += [Choice(case.name, ALLOCATED, rule, 1.0, 1.0) for rule in COST_WEIGHTS]
        found += [Tried.of(choice, book(one, choice)) for choice in trials]
    return found


def _size(opinions: Mapping[int, Floats]) -> float:
    """Root mean square, each less its mean over the names."""
    rows = np.array(list(opinions.values()))
    return float((rows - rows.mean(axis=1, keepdims=True)).std())


def shown(seed: int, *, task: Task, choices: Sequence[Choice]) -> tuple[Books, Counter[str]]:
    """What every rule makes of one seed at the levels chosen, and the allocator's rungs."""
    one = play(seed, task)
    found: Books = {}
    for choice in choices:
        rules = found.setdefault(choice.table, {}).setdefault(choice.case, {})
        rules[choice.rule] = book(one, choice)
    return found, one.desk.rungs


def main() -> int:
    """Print the tables; 2 without the prices."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help=f"folder of {PRICES}")
    for name, usual in (("seeds", 50), ("tuning-seeds", 4), ("names", 30), ("processes", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    if min(args.seeds, args.tuning_seeds) < SEEDS_LEAST or args.names < NAMES_LEAST:
        parser.error("an interval needs at least two seeds, a rule three names")
    try:
        checked(load(args.data), names=args.names)
    except NoPrices as error:
        print(error, file=sys.stderr)
        return 2
    began = time.monotonic()
    task = Task(args.data, args.names)
    before = replace(task, since=TUNED, until=MEASURED)
    # What polars has begun does not outlive a fork.
    with ProcessPoolExecutor(args.processes, get_context("spawn"), collect_seldom) as pool:
        seeds = range(TUNING_SEEDS_FROM, TUNING_SEEDS_FROM + args.tuning_seeds)
        found = watched(pool.map(partial(tried, task=before), seeds), len(seeds), "tuning")
        choices = choose(found)
        one = partial(shown, task=task, choices=choices)
        books = watched(pool.map(one, range(args.seeds)), args.seeds, "measuring")
    rungs: Counter[str] = sum((counted for _, counted in books), Counter())
    figures = {
        "seeds": args.seeds, "tuning_seeds": args.tuning_seeds, "names": args.names,
        "cases": {case.name: case.told for case in SOME},
        "tables": figures_of([one for one, _ in books], choices, found),
        "rungs": dict(sorted(rungs.items())),
        "agents": conflict_agents.measured(),
        "minutes": round((time.monotonic() - began) / 60.0, 1),
    }  # fmt: skip
    finish("conflict_rules", figures, record=args.record)
    page = rule_pages.page(figures)
    print(page)
    if args.record:
        (RESULTS / "conflict_rules.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

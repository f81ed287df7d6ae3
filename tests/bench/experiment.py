"""Whether our combination beats simpler rules, on simulated alphas over real prices.

`python -m tests.bench.experiment --data FOLDER [--seeds 50] [--names 40] [--processes 2] [--tune]
[--record]`, or `--agents [--record]`: simulated sources whose information coefficients are known
speak every fifth session of names of the S&P 500, of the return from the next open to the open a
horizon later less beta times the market's. Their signals and the prices go through an engine that
is told no skill; it learns on 2013 to 2015, and from 2016 on each decision's opinion is held
against what then happened, beside what five other rules make of the same signals, and what ours
would make of them were it told every skill. Figures are means over seeds, each with its own names
and signals; the intervals are of 95 %, by seed, and so are those of the paired differences. All
seeds share one history of prices, so that the intervals are of the signals' chance, not of the
market's. Beside it, without a claim: the recorded agents of the demo. With --tune: parameters of
learning compared within 2015 alone. With --agents: the recorded agents alone, put into the result
that is recorded; it needs no prices.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from coordinator.core.ports import Floats
from coordinator.shells.live.collecting import collect_seldom
from schemas.control import Parameters
from tests.bench import agents
from tests.bench.alphas import CASES, HORIZON, Case, bound, distinct, hear
from tests.bench.played import EVERY, FIRST, OURS, TOLD, Spoken, played
from tests.bench.record import RESULTS, finish, options, watched
from tests.bench.residuals import PRICES, NoPrices, Prices, load, residuals, standardised
from tests.bench.rules import RULES, correlation, interval

MEASURED = date(2016, 1, 1)
TUNED = (date(2015, 1, 1), MEASURED)
"""What --tune measures: it ends where the reported figures begin."""
COMPARED = (TOLD, *RULES)
SEEDS_LEAST, NAMES_LEAST = 2, 3
CANDIDATES = {
    "as shipped": Parameters(),
    "skill known to 100 outcomes": Parameters(skill_count_prior=100.0),
    "skill known to 1600 outcomes": Parameters(skill_count_prior=1600.0),
    "half-life 125 sessions": Parameters(skill_half_life_sessions=125.0),
    "half-life 2000 sessions": Parameters(skill_half_life_sessions=2000.0),
    "calibration known to 400 outcomes": Parameters(calibration_count_prior=400.0),
}


Seed: TypeAlias = dict[str, dict[str, dict[str, float]]]
"""One seed's mean information coefficients by case, rule, and what it is held against."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every seed does. measured: the first day of the result, and the first one beyond it."""

    data: Path
    names: int
    measured: tuple[date, date | None] = (MEASURED, None)
    parameters: Parameters = CANDIDATES["as shipped"]


@dataclass(frozen=True, slots=True)
class World:
    """One seed's names and what their sources will say. since: session measured from.

    own: (t, n) what each name will do of its own over HORIZON, by what it is held against: in
    volatilities, and in returns.
    """

    prices: Prices
    spoken: Spoken
    since: int
    own: dict[str, Floats]
    sigma: Floats


def world(
    prices: Prices, *, seed: int, names: int, since: int, cases: tuple[Case, ...] = CASES
) -> World:
    """Names drawn from all, and signals."""
    rng = np.random.default_rng((seed, 0))
    some = prices.of(rng.choice(len(prices.names), names, replace=False).tolist())
    alphas = distinct(cases)
    ahead = {}
    for horizon in sorted({HORIZON, *(alpha.horizon for alpha in alphas)}):
        moved, volatility = residuals(some, horizon)
        ahead[horizon] = standardised(moved / volatility)
    moved, sigma = residuals(some, HORIZON)
    heard = hear(alphas, ahead, seed=seed, middle=(since + len(some.days)) // 2)
    arrival = rng.random((len(some.days), len(alphas), names))
    own = {"ic": ahead[HORIZON], "ic_of_returns": moved}
    return World(some, Spoken(cases, tuple(heard), arrival), since, own, sigma)


def checked(prices: Prices, *, names: int) -> None:
    """Raises NoPrices where so many names, or what is to be measured, are not there."""
    if not NAMES_LEAST <= names <= len(prices.names):
        most = len(prices.names)
        message = f"--names {names}: from {NAMES_LEAST} to {most}, which traded in every session"
        raise NoPrices(message)
    first, until = prices.session_of(MEASURED), len(prices.days)
    if first <= FIRST or until - first <= EVERY + HORIZON:
        message = f"the prices do not reach from well before {MEASURED} to some weeks after it"
        raise NoPrices(message)


@cache
def _loaded(folder: Path) -> Prices:
    """Once a process."""
    return load(folder)


def realised(seed: int, *, task: Task) -> Seed:
    """Mean information coefficient of one seed by case, rule, and what it is held against."""
    prices = _loaded(task.data)
    first, beyond = task.measured
    if beyond is not None:
        prices = prices.until(prices.session_of(beyond))
    made = world(prices, seed=seed, names=task.names, since=prices.session_of(first))
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    steps = played(made.prices, made.spoken, parameters=task.parameters, since=made.since)
    for session, held in steps:
        if np.isnan(made.own["ic"][session]).any():
            break
        for case in CASES:
            by_rule = found.setdefault(case.name, {})
            for rule, opinion in held[case.name].items():
                by_rule.setdefault(rule, {"ic": [], "ic_of_returns": []})
                one = by_rule[rule]
                one["ic"].append(correlation(opinion, made.own["ic"][session]))
                moved = made.own["ic_of_returns"][session]
                one["ic_of_returns"].append(correlation(opinion * made.sigma, moved))
            by_rule.setdefault("bound", {"ic": []})["ic"].append(_bound(made, case.name, session))
    return {
        case: {rule: {k: float(np.mean(v)) for k, v in one.items()} for rule, one in rules.items()}
        for case, rules in found.items()
    }


def _bound(made: World, name: str, session: int) -> float:
    case = next(one for one in CASES if one.name == name)
    places = [made.spoken.alphas.index(alpha) for alpha in case.alphas]
    rho = np.array([made.spoken.heard[place].rho[session] for place in places])
    return bound(case.alphas, rho)


def figures_of(seeds: list[Seed]) -> dict[str, Any]:
    """Means over seeds with their intervals, and by how much ours is above each other."""
    return {
        case.name: {
            "told": case.told,
            "bound": round(float(np.mean([seed[case.name]["bound"]["ic"] for seed in seeds])), 4),
            "rules": {
                rule: _of_rule([seed[case.name] for seed in seeds], rule)
                for rule in (OURS, *COMPARED)
            },
        }
        for case in CASES
    }


def _of_rule(seeds: list[dict[str, dict[str, float]]], rule: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for held_against in ("ic", "ic_of_returns"):
        values = np.array([seed[rule][held_against] for seed in seeds])
        mean, half = interval(values)
        found |= {held_against: round(mean, 4), f"{held_against}_half_width": round(half, 4)}
        if rule != OURS:
            mine = np.array([seed[OURS][held_against] for seed in seeds])
            gain, width = interval(mine - values)
            name = "ours_above" if held_against == "ic" else "ours_above_of_returns"
            found |= {name: round(gain, 4), f"{name}_half_width": round(width, 4)}
    if rule != OURS:
        found["ours"] = verdict(found["ours_above"], found["ours_above_half_width"])
    return found


def verdict(gain: float, half: float) -> str:
    """What the interval of a paired difference says."""
    return "won" if gain > half else "lost" if gain < -half else "drawn"


def table(cases: dict[str, Any]) -> str:
    """For people: what ours reaches, and its paired difference to each other."""
    heads = ["case", "bound", OURS, *(f"above {rule}" for rule in COMPARED)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, case in cases.items():
        mine = case["rules"][OURS]
        cells = [name, f"{case['bound']:.3f}", f"{mine['ic']:.3f} ± {mine['ic_half_width']:.3f}"]
        for rule in COMPARED:
            one = case["rules"][rule]
            gain = f"{one['ours_above']:+.3f} ± {one['ours_above_half_width']:.3f}"
            cells.append(f"{gain} {one['ours']}")
        lines.append("| " + " | ".join(cells) + " |")
    told = [f"- {name}: {case['told']}" for name, case in cases.items()]
    return "\n".join([*lines, "", *told, ""])


def page(figures: dict[str, Any]) -> str:
    """The table, what its cases are, and the agents beside it."""
    beside = figures["agents"]
    lines = [
        "# The experiment",
        "",
        f"{figures['seeds']} seeds of {figures['names']} names, decisions from {MEASURED} on;",
        "mean information coefficients and paired differences, 95 % intervals by seed.",
        "What the columns mean, and what is not won: [README](../README.md).",
        "",
        table(figures["cases"]),
        "## The recorded agents: no claim",
        "",
        f"{beside['sessions']} sessions; intervals of resampled blocks.",
        "",
        f"| rule | information coefficient | {OURS} above it |",
        "| --- | --- | --- |",
    ]
    for rule in (OURS, *RULES):
        above = "" if rule == OURS else _spanned("ours_above", beside[rule])
        lines.append(f"| {rule} | {_spanned('ic', beside[rule])} | {above} |")
    return "\n".join([*lines, ""])


def _spanned(name: str, one: dict[str, Any]) -> str:
    low, high = one[f"{name}_interval"]
    return f"{one[name]:+.3f} ({low:+.3f} to {high:+.3f})"


def claimed(cases: dict[str, Any]) -> bool:
    """Whether ours beats the three rules wherever what sources know differs, and stays so."""
    return all(
        cases[case.name]["rules"][rule]["ours"] == "won"
        for case in CASES
        if case.differ
        for rule in ("last wins", "equal vote", "confidence-weighted mean")
    )


def tuned(task: Task, *, seeds: int, pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Ours by candidate, a mean over the cases, and its paired difference to what ships."""
    found: dict[str, Floats] = {}
    for name, parameters in CANDIDATES.items():
        one = partial(realised, task=replace(task, measured=TUNED, parameters=parameters))
        results = watched(pool.map(one, range(seeds)), seeds, name)
        found[name] = np.array(
            [np.mean([seed[case.name][OURS]["ic"] for case in CASES]) for seed in results]
        )
    shipped = found["as shipped"]
    figures = {}
    for name, values in found.items():
        mean, half = interval(values)
        gain, width = interval(values - shipped)
        figures[name] = {"ic": round(mean, 4), "half_width": round(half, 4)}
        if name != "as shipped":
            figures[name] |= {
                "above_shipped": round(gain, 4),
                "half_width_of_that": round(width, 4),
            }
    return figures


def retold(results: Path, *, record: bool) -> None:
    """The agents' part of the recorded result measured anew; all else stays as it is."""
    kept = results / "experiment.json"
    result = json.loads(kept.read_text(encoding="utf-8"))
    result["figures"]["agents"] = agents.measured()
    print(page(result["figures"]))
    if record:
        kept.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (results / "experiment.md").write_text(page(result["figures"]), encoding="utf-8")


def main() -> int:
    """Print the figures; 1 when a claim does not hold, 2 without the prices."""
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, help=f"folder of {PRICES}")
    parser.add_argument("--agents", action="store_true", help="the recorded agents alone")
    parser.add_argument("--tune", action="store_true", help="compare parameters within 2015")
    for name, usual in (("seeds", 50), ("names", 40), ("processes", 2)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    if args.agents:
        retold(RESULTS, record=args.record)
        return 0
    if args.data is None:
        parser.error("--data is required: the folder of the prices")
    if args.seeds < SEEDS_LEAST:
        parser.error("an interval needs at least two seeds")
    try:
        checked(load(args.data), names=args.names)
    except NoPrices as error:
        print(error, file=sys.stderr)
        return 2
    task, began = Task(args.data, args.names), time.monotonic()
    sizes = {"seeds": args.seeds, "names": args.names}
    # What polars has begun does not outlive a fork.
    spawned = get_context("spawn")
    with ProcessPoolExecutor(args.processes, spawned, collect_seldom) as pool:
        if args.tune:
            finish("tuning", tuned(task, seeds=args.seeds, pool=pool) | sizes, record=args.record)
            return 0
        seeds = watched(pool.map(partial(realised, task=task), range(args.seeds)), args.seeds, "")
    cases = figures_of(seeds)
    minutes = round((time.monotonic() - began) / 60.0, 1)
    figures = {"cases": cases, "agents": agents.measured(), **sizes, "minutes": minutes}
    finish("experiment", figures, record=args.record)
    print(page(figures))
    if args.record:
        (RESULTS / "experiment.md").write_text(page(figures), encoding="utf-8")
    return 0 if claimed(cases) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The experiment: nothing held knows what comes after, and alphas know what they should."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coordinator.core.ports import Floats
from schemas.control import Parameters
from tests.bench import agents, experiment, played, rules
from tests.bench import alphas as made_alphas
from tests.bench.alphas import CASES, Alpha, bound, distinct, hear
from tests.bench.residuals import PRICES, NoPrices, Prices, load, residuals, standardised

SESSIONS, NAMES = 140, 12
CHANGED = 100
"""The session after which the future is another."""


def walk(seed: int, *, sessions: int = SESSIONS, names: int = NAMES) -> Prices:
    """Random prices of weekdays from January 2015 on."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 0.01, (2 * sessions, names)) + rng.normal(0.0, 0.01, (2 * sessions, 1))
    path = 100.0 * np.exp(np.cumsum(moves, axis=0))
    days = [date(2015, 1, 1) + timedelta(days=n) for n in range(2 * sessions)]
    weekdays = tuple(day for day in days if day.weekday() < 5)[:sessions]
    return Prices(tuple(f"N{i:02d}" for i in range(names)), weekdays, path[0::2], path[1::2])


def held_by(prices: Prices, spoken: played.Spoken) -> dict[tuple[int, str, str], Floats]:
    steps = played.played(prices, spoken, parameters=Parameters(), since=played.FIRST)
    return {
        (session, case, rule): opinion
        for session, held in steps
        for case, by_rule in held.items()
        for rule, opinion in by_rule.items()
    }


def test_no_rule_holds_what_only_the_future_tells() -> None:
    """What the sources say stays: only the prices after a session are others."""
    prices = walk(1)
    world = experiment.world(prices, seed=0, names=NAMES, since=played.FIRST)
    other = walk(2)
    after = np.arange(SESSIONS)[:, None] > CHANGED
    changed = dataclasses.replace(
        world.prices,
        opens=np.where(after, other.opens, world.prices.opens),
        closes=np.where(after, other.closes, world.prices.closes),
    )
    before, now = held_by(world.prices, world.spoken), held_by(changed, world.spoken)
    assert before.keys() == now.keys()
    same = {key for key in before if np.array_equal(before[key], now[key])}
    past = {key for key in before if key[0] <= CHANGED}
    assert past <= same
    ours = {key for key in before if key[0] > CHANGED and key[2] == played.OURS}
    assert len(ours - same) > len(ours) / 2  # it would have been seen


def test_the_alphas_know_as_much_as_they_are_said_to() -> None:
    ahead = standardised(np.random.default_rng(3).normal(size=(4_000, 40)))
    some = (
        Alpha(0.10), Alpha(-0.06), Alpha(0.0), Alpha(0.08, share=0.2),
        Alpha(0.06, course="knows"), Alpha(0.05, group=1), Alpha(0.05, 1, group=1),
    )  # fmt: skip
    heard = hear(some, {5: ahead}, seed=1, middle=0)
    for alpha, one in zip(some, heard, strict=True):
        spoken = ~np.isnan(one.score)
        assert spoken.mean() == pytest.approx(alpha.share, abs=0.01)
        score, outcome = one.score[spoken], ahead[spoken]
        least = 4.0 / math.sqrt(len(score))
        assert np.corrcoef(score, outcome)[0, 1] == pytest.approx(alpha.skill, abs=least)
        assert score.std() == pytest.approx(1.0, abs=0.01)
    (copy, other) = (one.score - 0.05 * ahead for one in heard[-2:])
    together = float(np.corrcoef(copy.ravel(), other.ravel())[0, 1])
    assert together == pytest.approx(made_alphas.SHARED, abs=0.01)


def test_a_confidence_is_honest_where_it_says_so() -> None:
    ahead = standardised(np.random.default_rng(4).normal(size=(5_000, 40)))
    (one,) = hear([Alpha(0.2, confidence="honest")], {5: ahead}, seed=1, middle=0)
    right = one.score * ahead > 0
    for low, high in ((0.50, 0.53), (0.53, 0.56), (0.56, 0.60), (0.60, 0.70)):
        among = (one.confidence >= low) & (one.confidence < high)
        assert right[among].mean() == pytest.approx(one.confidence[among].mean(), abs=0.02)


def test_the_bound_is_the_root_of_the_sum_of_squares_of_sources_apart() -> None:
    some = (Alpha(0.10), Alpha(0.05), Alpha(-0.05))
    rho = np.tile(np.array([[one.skill] for one in some]), (1, 7))
    exact = sum(skill**2 / (1 - skill**2) for skill in (0.10, 0.05, -0.05))
    assert bound(some, rho) == pytest.approx(math.sqrt(exact / (1 + exact)), rel=1e-9)
    assert bound(some, rho) == pytest.approx(math.sqrt(0.015), rel=0.01)
    copies = (Alpha(0.05, group=1), Alpha(0.05, 1, group=1))
    least = bound(copies, np.full((2, 7), 0.05))
    assert 0.05 < least < 0.052  # a copy adds next to nothing


def test_what_a_name_does_of_its_own_is_from_the_next_open_and_without_the_market() -> None:
    prices = walk(5)
    own, volatility = residuals(prices, 5)
    raw = prices.opens[16] / prices.opens[11] - 1.0  # of session 10
    left = raw - own[10]
    daily = np.diff(prices.closes, axis=0) / prices.closes[:-1]
    slopes = [np.polyfit(daily.mean(axis=1), one, 1)[0] for one in daily.T]
    assert np.std(slopes) > 0.05  # a beta of one would not do
    assert left == pytest.approx(np.array(slopes) * raw.mean(), rel=1e-9)
    assert abs(own[:-6].mean(axis=1)).max() < 0.01
    assert np.isnan(own[-6:]).all()
    assert not np.isnan(own[:-6]).any()
    assert (volatility > 0).all()
    later = dataclasses.replace(prices, opens=prices.opens.copy())
    later.opens[10] *= 2.0  # the open that the signal could not be traded at
    assert np.array_equal(residuals(later, 5)[0][10], own[10])


def test_the_rules_are_what_they_are_called() -> None:
    nan = math.nan
    said = rules.Said(
        score=np.array([[1.0, 2.0, nan], [-0.5, 1.0, nan], [nan, -3.0, nan]]),
        confidence=np.array([[0.8, nan, nan], [0.2, 0.5, nan], [nan, 0.5, nan]]),
        arrival=np.array([[1.0, 1.0, 3.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0]]),
    )
    found = {rule: opinion.tolist() for rule, opinion in rules.opinions(said).items()}
    assert found["last wins"] == [-0.5, 1.0, 0.0]
    assert found["accumulate"] == [0.5, 0.0, 0.0]
    assert found["equal vote"] == [0.0, pytest.approx(1 / 3), 0.0]
    assert found["confidence-weighted mean"] == pytest.approx([0.7, 0.0, 0.0])
    # 4 and 1/4 units of precision beside the prior's one; three views of one unit each.
    assert found["Idzorek by confidence"] == pytest.approx([(4 - 0.125) / 5.25, 0.0, 0.0])


ONE = {
    "ic": 0.01,
    "ic_interval": [-0.1, 0.2],
    "ours_above": 0.02,
    "ours_above_interval": [-0.2, 0.3],
}
AGENTS = {"sessions": 24} | dict.fromkeys((played.OURS, *rules.RULES), ONE)


def test_the_agents_are_told_anew_and_nothing_else_is(tmp_path: Path) -> None:
    cases = experiment.figures_of([seed_of(0.1, 0.0), seed_of(0.2, 0.1)])
    figures = {"cases": cases, "agents": AGENTS, "seeds": 2, "names": 40, "minutes": 1.0}
    before = {"benchmark": "experiment", "machine": {"cores": 2}, "figures": figures}
    kept = tmp_path / "experiment.json"
    kept.write_text(json.dumps(before), encoding="utf-8")
    experiment.retold(tmp_path, record=False)
    assert json.loads(kept.read_text(encoding="utf-8")) == before
    experiment.retold(tmp_path, record=True)
    after = json.loads(kept.read_text(encoding="utf-8"))
    assert after["figures"].pop("agents") == agents.measured()
    assert after == before | {"figures": {k: v for k, v in figures.items() if k != "agents"}}
    assert "| last wins | +0.010" not in (tmp_path / "experiment.md").read_text(encoding="utf-8")


def seed_of(ours: float, other: float) -> experiment.Seed:
    one = {"ic": other, "ic_of_returns": other}
    made = {played.OURS: {"ic": ours, "ic_of_returns": ours}, "bound": {"ic": 0.1}}
    made |= dict.fromkeys(experiment.COMPARED, one)
    return {case.name: made for case in CASES}


def test_a_difference_counts_by_seed_and_a_loss_is_called_one() -> None:
    noise = [0.3, -0.2, 0.1, -0.2, 0.05, -0.05]
    for gain, says in ((0.05, "won"), (-0.05, "lost")):
        seeds = [seed_of(one + gain + 0.001 * n, one) for n, one in enumerate(noise)]
        figures = experiment.figures_of(seeds)
        found = figures["apart"]["rules"]["last wins"]
        assert found["ours"] == says  # as the pairs differ far less than the seeds do
        assert found["ours_above"] == pytest.approx(gain + 0.0025)
        assert found["ic_half_width"] > 10 * found["ours_above_half_width"]
        assert f"{found['ours_above']:+.3f}" in experiment.table(figures)
        assert experiment.claimed(figures) is (says == "won")
        told = {"cases": figures, "agents": AGENTS, "seeds": 6, "names": 40}
        assert "| last wins | +0.010 (-0.100 to +0.200) | +0.020 (-0.200 to +0.300) |" in (
            experiment.page(told)
        )
    apart = [seed_of(one, -one) for one in noise]
    assert experiment.figures_of(apart)["apart"]["rules"]["last wins"]["ours"] == "drawn"


def write(prices: Prices, folder: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"date": day, "symbol": name, "open": prices.opens[t, i], "close": prices.closes[t, i]}
        for t, day in enumerate(prices.days)
        for i, name in enumerate(prices.names)
    ]
    pl.DataFrame(rows).write_parquet(folder / PRICES)
    return folder


def test_prices_are_read_as_they_were_written_and_gaps_leave_their_name_out(
    tmp_path: Path,
) -> None:
    prices = walk(6)
    write(prices, tmp_path)
    found = load(tmp_path)
    assert (found.names, found.days) == (prices.names, prices.days)
    assert np.array_equal(found.opens, prices.opens)
    assert np.array_equal(found.closes, prices.closes)
    bars = pl.read_parquet(tmp_path / PRICES)
    gone = (pl.col("symbol") == "N03") & (pl.col("date") == prices.days[7])
    bars.filter(~gone).write_parquet(tmp_path / PRICES)
    assert load(tmp_path).names == tuple(name for name in prices.names if name != "N03")


def test_without_the_prices_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoPrices, match="no such file; --data takes the folder"):
        load(tmp_path)
    (tmp_path / PRICES).write_bytes(b"no parquet")
    with pytest.raises(NoPrices):
        load(tmp_path)
    command = [sys.executable, "-m", "tests.bench.experiment", "--data", str(tmp_path / "none")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, "no such file" in run.stderr) == (2, True)


def test_prices_that_cannot_tell_are_refused() -> None:
    prices = walk(8, sessions=400)
    experiment.checked(prices, names=NAMES)
    for names in (2, NAMES + 1):
        with pytest.raises(NoPrices, match=f"--names {names}: from 3 to {NAMES}"):
            experiment.checked(prices, names=names)
    with pytest.raises(NoPrices, match="some weeks after it"):
        experiment.checked(prices.until(200), names=NAMES)


def test_one_seed_measures_every_rule_of_every_case(tmp_path: Path) -> None:
    write(walk(7, sessions=120), tmp_path)
    first = date(2015, 5, 1)
    task = experiment.Task(tmp_path, NAMES, measured=(first, None))
    found = experiment.realised(0, task=task)
    assert list(found) == [case.name for case in CASES]
    for by_rule in found.values():
        assert set(by_rule) == {played.OURS, "bound", *experiment.COMPARED}
        for one in by_rule.values():
            assert all(-1.0 <= value <= 1.0 for value in one.values())
    assert found["nobody"]["bound"]["ic"] == 0.0
    assert found == experiment.realised(0, task=task)


def test_what_is_tuned_on_ends_before_what_is_reported(tmp_path: Path) -> None:
    """With and without prices of later, the same."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    beyond = date(2015, 5, 1)
    prices = walk(9, sessions=150)
    for folder, kept in ((whole, prices), (cut, prices.until(prices.session_of(beyond)))):
        folder.mkdir()
        write(kept, folder)
    first = date(2015, 3, 20)
    with_later, without = (
        experiment.realised(0, task=experiment.Task(folder, NAMES, measured=(first, beyond)))
        for folder in (whole, cut)
    )
    assert with_later == without
    assert experiment.TUNED[1] == experiment.MEASURED


class Here:
    """A pool of this process alone."""

    def map(self, one: Any, seeds: range) -> Any:
        return map(one, seeds)


def test_candidates_are_compared_with_what_ships_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(walk(7, sessions=110), tmp_path)
    some = {
        "as shipped": Parameters(),
        "the same": Parameters(),
        "believes at once": Parameters(skill_count_prior=1.0, calibration_count_prior=1.0),
    }
    monkeypatch.setattr(experiment, "CANDIDATES", some)
    pool: Any = Here()
    found = experiment.tuned(experiment.Task(tmp_path, NAMES), seeds=2, pool=pool)
    assert list(found) == list(some)
    assert found["the same"]["above_shipped"] == 0.0
    assert found["believes at once"]["above_shipped"] != 0.0
    assert found["the same"]["ic"] == found["as shipped"]["ic"]


def test_sources_that_cases_share_speak_once() -> None:
    everybody = [alpha for case in CASES for alpha in case.alphas]
    assert len(distinct(CASES)) == len(set(everybody)) < len(everybody)

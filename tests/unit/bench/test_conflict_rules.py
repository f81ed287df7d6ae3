"""Conflict rules side by side: no decision knows what comes after, and everything else is alike."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coordinator.core.ports import Floats
from tests.bench import conflict_rules, experiment, played
from tests.bench.conflict_rules import LEVELLED, NAV, TARIFF, Played, Task
from tests.bench.residuals import PRICES, Prices, load, volumes
from tests.bench.rule_figures import (
    ALLOCATED,
    DIRECT,
    TABLES,
    UNTUNED,
    UNTUNED_TWICE,
    Choice,
    Tried,
    choose,
    figures_of,
)
from tests.bench.tradebooks import Standing, played_out
from tests.bench.ways import allocating, setting_directly
from tests.unit.bench.test_experiment import walk

SESSIONS, NAMES = 130, 8
CHANGED = 100
"""The session after which the future is another."""
SINCE, UNTIL = date(2015, 4, 1), date(2015, 6, 20)
SOME = conflict_rules.SOME[:2]


def trades(one: Played, *, case: str, table: str, rule: str) -> dict[int, list[float]]:
    """What was ordered at each decision."""
    opinions = one.opinions[case][rule]
    if table == DIRECT:
        decide = setting_directly(opinions, gross=1.0, desk=one.desk)
    else:
        decide = allocating(opinions, scale=0.5, desk=one.desk)
    found: dict[int, list[float]] = {}

    def noted(standing: Standing) -> Floats:
        units = decide(standing)
        found[standing.moment.session] = units.tolist()
        return units

    played_out(one.market, one.moments, noted, nav=NAV, tariff=TARIFF)
    return found


def test_permuted_future_prices_change_no_earlier_trade() -> None:
    """What the sources say stays: prices and volumes after a session change places."""
    prices = walk(1, sessions=SESSIONS, names=NAMES)
    made = experiment.world(prices, seed=0, names=NAMES, since=played.FIRST, cases=SOME)
    traded = np.random.default_rng(2).uniform(1e8, 2e8, prices.closes.shape)
    later = np.random.default_rng(3).permutation(np.arange(CHANGED + 1, SESSIONS))
    order = np.concatenate((np.arange(CHANGED + 1), later))
    shuffled = dataclasses.replace(
        made.prices,
        opens=np.ascontiguousarray(made.prices.opens[order]),
        closes=np.ascontiguousarray(made.prices.closes[order]),
    )
    before = conflict_rules.heard(made, traded)
    after = conflict_rules.heard(dataclasses.replace(made, prices=shuffled), traded[order])
    assert [one.session for one in before.moments] == list(range(60, 125, 5))
    for case in SOME:
        for table in TABLES:
            for rule in LEVELLED:
                which = {"case": case.name, "table": table, "rule": rule}
                one, other = trades(before, **which), trades(after, **which)
                past = [session for session in one if session <= CHANGED]
                assert len(past) == 9
                assert [one[at] for at in past] == [other[at] for at in past], which
                assert one != other  # it would have been seen


def write(prices: Prices, folder: Path) -> None:
    """As a file of daily bars."""
    count, names = len(prices.days), prices.names
    volume = np.random.default_rng(4).uniform(1e6, 2e6, (count, len(names)))
    pl.DataFrame(
        {
            "date": np.repeat(np.array(prices.days, dtype="datetime64[us]"), len(names)),
            "symbol": list(names) * count,
            "open": prices.opens.ravel(),
            "close": prices.closes.ravel(),
            "volume": volume.ravel().astype(np.int64),
        }
    ).write_parquet(folder / PRICES)


def test_volumes_stand_beside_their_prices(tmp_path: Path) -> None:
    write(walk(1, sessions=30, names=5), tmp_path)
    prices = load(tmp_path)
    some = prices.of([0, 3]).until(20)
    found = volumes(tmp_path, some)
    assert found.shape == (20, 2)
    bars = pl.read_parquet(tmp_path / PRICES).filter(pl.col("symbol") == some.names[1])
    assert found[:, 1].tolist() == bars["volume"].to_list()[:20]


def test_what_is_tuned_on_ends_before_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without prices of later, the same trials; then the levels chosen are shown."""
    monkeypatch.setattr(conflict_rules, "SOME", SOME)
    prices = walk(7, sessions=150, names=NAMES)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder, kept in ((whole, prices), (cut, prices.until(prices.session_of(UNTIL)))):
        folder.mkdir()
        write(kept, folder)
    tried: list[list[Tried]] = []
    for folder in (whole, cut):
        task = Task(folder, NAMES, since=SINCE, until=UNTIL)
        tried.append(conflict_rules.tried(100_000, task=task))
    assert tried[0] == tried[1]
    levels = sum(len(levels) for levels in conflict_rules.LEVELS.values())
    assert len(tried[0]) == len(SOME) * (levels * len(LEVELLED) + 2)
    assert len({one.worth for one in tried[0]}) > len(tried[0]) / 2

    choices = choose(tried[:1])
    task = Task(whole, NAMES, since=UNTIL)
    books, rungs = zip(
        *(conflict_rules.shown(seed, task=task, choices=choices) for seed in (0, 1)), strict=True
    )
    again, _ = conflict_rules.shown(0, task=task, choices=choices)
    assert sum(rungs[0].values()) > 0
    for table in TABLES:
        for case in SOME:
            assert set(books[0][table][case.name]) - {UNTUNED, UNTUNED_TWICE} == set(LEVELLED)
            for rule, series in books[0][table][case.name].items():
                assert np.array_equal(series.net, again[table][case.name][rule].net)
                assert not np.array_equal(series.net, books[1][table][case.name][rule].net)
    found = figures_of(books, choices, tried[:1])
    assert found[ALLOCATED]["apart"][UNTUNED]["level"] == 1.0
    for case in SOME:
        once, twice = (books[0][ALLOCATED][case.name][one] for one in (UNTUNED, UNTUNED_TWICE))
        assert twice.turnover.sum() < 0.9 * once.turnover.sum()


def test_a_level_is_a_size_of_opinions_in_one_table_and_exposure_in_the_other() -> None:
    prices = walk(1, sessions=110, names=NAMES)
    made = experiment.world(prices, seed=0, names=NAMES, since=played.FIRST, cases=SOME)
    one = conflict_rules.heard(made, np.full(prices.closes.shape, 1e9))
    small, large = (
        conflict_rules.book(one, Choice("apart", ALLOCATED, "accumulate", level, 0.2))
        for level in (0.01, 0.1)
    )
    assert small.turnover.mean() < 0.5 * large.turnover.mean()
    half, whole = (
        conflict_rules.book(one, Choice("apart", DIRECT, "accumulate", level, 0.2))
        for level in (0.15, 0.3)
    )
    assert half.turnover[0] == pytest.approx(0.075, rel=0.02)
    assert whole.turnover[0] == pytest.approx(0.15, rel=0.02)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.conflict_rules", "--data", str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert PRICES in made.stderr
    one = subprocess.run([*command, "--seeds", "1"], capture_output=True, text=True, check=False)
    assert one.returncode == 2
    assert "two seeds" in one.stderr

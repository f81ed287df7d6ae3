"""Laws of priorities that move: order, shards, crashes and restores change nothing; causes end."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.engine import Engine
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from schemas.verdicts import ParametersAdapted
from tests.journals import (
    DAY,
    HOUR,
    SECOND,
    T0,
    Input,
    Inputs,
    contents,
    engine,
    events_of,
    law,
    lay,
    outputs,
    run,
    zero_clock,
)

NAMES = ("A", "B", "C")
PORTFOLIOS = ("p-close", "p-falls", "p-signals", "p-small")
SEEDS = (1, 2)
DAYS = 12
END = T0 + (DAYS + 2) * DAY
RULES = {
    "regime": {
        "regimes": [
            {"regime": "calm", "risk_aversion": 0.75},
            {"regime": "crisis", "probability_min": 0.6, "probability_keep": 0.3,
             "risk_aversion": 2.0, "turnover": 0.5, "budgets": 0.5},
        ],
        "age_sessions_max": 3.0,
    },
    "volatility": {"sessions": 3, "sessions_long": 10, "least": 0.5, "most": 3.0, "step": 0.1},
    "drawdown": {"begins": 0.01, "full": 0.1, "turnover": 0.5, "step": 0.1},
    "signal_quality": {"deviations": 0.0, "least": 0.0, "most": 4.0, "step": 0.05},
}  # fmt: skip
SHARES = [{"portfolio": name, "share": 0.02} for name in PORTFOLIOS]


@cache
def world(seed: int, *, closes_first: bool = True) -> tuple[Input, ...]:
    """Twelve days in which everything moves: the market, its regime, the books and the skills.

    closes_first: whether a session's close comes before the regime that is told at its moment.
    """
    rng, make = Random(seed), Inputs()
    parameters: dict[str, Any] = {
        "adaptation": RULES, "skill_count_prior": 20.0, "firm_volume_share": 0.1,
        "volume_shares": SHARES,
    }  # fmt: skip
    made = [
        *(make.listed(name, lot=lot) for name, lot in zip(NAMES, ("1", "10", "0"), strict=True))
    ]
    made += [
        make.registered(source, risk_budget=0.3, horizon_sessions=1.0) for source in ("s", "u")
    ]
    made.append(make.make("control", "ParametersChanged", T0, parameters=parameters))
    close = {"kind": "session_close"}
    for name in PORTFOLIOS:
        fields = {"schedule": close} if name == "p-close" else {"cash": "300000"}
        made.append(make.opened(name, mandate={"turnover_max": 0.5}, **fields))
    made.append(make.fill("p-falls", "A", "9000", "30", T0 + SECOND))
    prices = dict.fromkeys(NAMES, 30.0)
    for day in range(DAYS):
        made += _day(rng, make, prices, T0 + day * DAY, closes_first=closes_first)
    return tuple(made)


def _day(
    rng: Random, make: Inputs, prices: dict[str, float], start: int, *, closes_first: bool
) -> list[Input]:
    made: list[Input] = []
    for hour in range(1, 5):
        at = start + hour * HOUR
        for source in ("s", "u"):
            fields = {"direction": rng.choice([-1, 1]), "strength": round(rng.random(), 3)}
            name = rng.choice(NAMES)
            made.append(make.signal(source, name, at, **fields))
        if rng.random() < 0.3:
            regime = rng.choice(["calm", "crisis", "crisis", "unheard-of"])
            sure = round(rng.random(), 3)
            made.append(make.make("market", "RegimeDeclared", at, regime=regime, probability=sure))
    wild = 0.04 if rng.random() < 0.4 else 0.01
    for name in NAMES:
        prices[name] = round(prices[name] * (1.0 + rng.gauss(-0.008, wild)), 4)
    end, regime = start + 6 * HOUR, rng.choice(["calm", "crisis"])
    order = ("close", "regime") if closes_first else ("regime", "close")
    for one in order:
        if one == "close":
            made.append(make.close(prices, end))
        else:
            made.append(make.make("market", "RegimeDeclared", end, regime=regime, probability=0.9))
    return made


@cache
def usual(seed: int, shards: int = 1) -> MemoryLog:
    return run(world(seed), shards=shards, end=END)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_portfolios_moves_and_decisions_are_the_same_for_1_3_and_8_shards(seed: int) -> None:
    said = contents(usual(seed), shards=1)
    for shards in (3, 8):
        assert contents(usual(seed, shards), shards=shards) == said
    moved = events_of(usual(seed), ParametersAdapted)
    causes = {one.cause for one in moved}
    assert causes == {"drawdown", "regime", "signal_quality", "volatility"}
    assert {one.portfolio for one in moved} >= set(PORTFOLIOS)
    assert any(one.tilt for one in events_of(usual(seed), AllocationDecided))


@law(4)
@given(seed=st.sampled_from(SEEDS), order=st.randoms(use_true_random=False))
def test_what_comes_in_one_moment_comes_in_any_order(seed: int, order: Random) -> None:
    """Topics overtake each other; each keeps its own order."""
    mixed: list[Input] = []
    rest = list(world(seed))
    start = next(i for i, one in enumerate(rest) if one.at > T0 + SECOND)
    mixed, rest = rest[:start], rest[start:]
    while rest:
        at = rest[0].at
        moment = [one for one in rest if one.at == at]
        rest = rest[len(moment) :]
        queues: dict[str, list[Input]] = {}
        for one in moment:
            queues.setdefault(one.raw.topic, []).append(one)
        places = [one.raw.topic for one in moment]
        order.shuffle(places)
        mixed += [queues[place].pop(0) for place in places]
    assert contents(run(mixed, end=END), shards=1) == contents(usual(seed), shards=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_close_and_a_regime_of_one_moment_come_in_either_order(seed: int) -> None:
    other = run(world(seed, closes_first=False), end=END)
    assert contents(other, shards=1) == contents(usual(seed), shards=1)


@law(4)
@given(seed=st.sampled_from(SEEDS), cuts=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=4))
def test_a_restore_in_the_middle_says_the_same_to_the_last_hash(
    seed: int, cuts: list[float]
) -> None:
    log = lay(world(seed), MemoryLog(clock=zero_clock), shards=1, end=END)
    records = list(log.read("journal", 0))
    at = {int(cut * len(records)) for cut in cuts}
    deciding: Engine = engine(0, 1)
    said: list[bytes] = []
    for n, record in enumerate(records):
        if n in at:
            kept = deciding.checkpoint()
            deciding = engine(0, 1)
            deciding.restore(kept)
            assert deciding.checkpoint() == kept
        said += deciding.step(record)
    assert said == [entry.payload for entry in usual(seed).read("decisions", 0)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crash_after_any_of_some_records_agrees_with_the_log(seed: int) -> None:
    """Each new owner decides again what the log holds already: it would halt at any difference."""
    log = lay(world(seed), MemoryLog(clock=zero_clock), shards=1, end=END)
    total = log.end("journal", 0)
    for n in range(5):
        owner = Shard(log, engine(0, 1), checkpoint_every=17 + n)
        owner.recover()
    assert total == log.end("journal", 0)
    assert [e.hash for e in outputs(log)] == [e.hash for e in outputs(usual(seed))]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_move_starts_where_the_last_one_ended_and_keeps_its_bounds(seed: int) -> None:
    now: dict[tuple[str | None, ...], float] = {}
    for one in events_of(usual(seed), ParametersAdapted):
        key = (one.portfolio, one.source, one.strategy, one.cause, one.name)
        assert one.before == now.get(key, 1.0) != one.after
        assert 0.0 <= one.after <= 4.0
        if one.name == "turnover":
            assert 0.5 <= one.after <= 1.0
        now[key] = one.after


@pytest.mark.parametrize("seed", SEEDS)
def test_a_decision_tells_what_the_moves_before_it_left_in_force(seed: int) -> None:
    log = run(world(seed), end=END)
    now: dict[str | None, dict[str, float]] = {}
    decided = 0
    for entry in outputs(log):
        event = entry.event
        if isinstance(event, ParametersAdapted):
            who = "" if event.portfolio is None else f"{event.name}"
            name = f"{event.cause}/{who or f'{event.source}/{event.strategy}'}"
            now.setdefault(event.portfolio, {})[name] = event.after
        elif isinstance(event, AllocationDecided):
            force = {**now.get(None, {}), **now.get(event.portfolio, {})}
            assert dict(event.tilt) == {k: v for k, v in force.items() if v != 1.0}
            decided += bool(event.tilt)
    assert decided > 10


def test_when_all_causes_are_gone_everything_is_exactly_1_again() -> None:
    """A quiet market at its best prices, no regime told any more, and no rule for quality."""
    make = Inputs()
    rules = {name: rule for name, rule in RULES.items() if name != "signal_quality"}
    made = [make.listed("A"), make.registered("s")]
    parameters = {"adaptation": rules}
    made.append(make.make("control", "ParametersChanged", T0, parameters=parameters))
    made += [make.opened("p"), make.fill("p", "A", "90000", "10", T0)]
    prices = [10.0, 9.0, 7.0, 8.0, *(10.0 + 0.01 * (n % 2) for n in range(20))]
    for n, price in enumerate(prices):
        made.append(make.close({"A": price}, T0 + n * DAY))
        if n == 1:
            declared = {"regime": "crisis", "probability": 0.9}
            made.append(make.make("market", "RegimeDeclared", T0 + n * DAY, **declared))
    log = run(made, end=T0 + 40 * DAY)
    last: dict[tuple[str | None, str], float] = {}
    for one in events_of(log, ParametersAdapted):
        last[one.cause, one.name] = one.after
    assert len(last) == 7
    left = {key for key, after in last.items() if after != 1.0}
    assert left <= {("volatility", "risk_aversion")}

"""What each weight of a mode does to decisions under it; the modes come from a file.

Judged with an allocator that is the plain model in cvxpy, and with the engine's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.core.engine import Engine
from coordinator.core.ports import Allocator, Floats
from coordinator.importers.portfolios import load_book
from coordinator.learning import ChosenRisk
from coordinator.log.memory import MemoryLog
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from replay.problems import situation_at
from schemas.decisions import AllocationDecided
from tests.journals import DAY, HOUR, SECOND, T0, Input, Inputs, events_of, run
from tests.support.charged_reference import ReferenceAllocator, objective

NAMES = ("A", "B", "C", "D", "E", "F")
DAYS = 25
KINDS = ("reference", "own")
FREE: dict[str, Any] = {"fee_bps": 2.0, "half_spread_bps": 3.0, "impact": 1.0}
HEAD = '[[portfolio]]\nid = "p"\ncash = "1000000"\ncurrency = "USD"\nmode = "own"\n'
WIDE = {"position_min": -0.6, "position_max": 0.8, "gross_max": 3.0, "turnover_max": 3.0}
BENCHMARK = [{"instrument": name, "weight": 1.0 / 8.0} for name in NAMES]


def made_by(kind: str) -> Callable[[int, int], Engine]:
    pin_threads()
    solver: Allocator = ReferenceAllocator()
    if kind == "own":
        solver = CvxAllocator(SolverSettings())
    return lambda shard, shards: Engine(
        shard=shard, shards=shards, allocator=solver, risk_model=ChosenRisk()
    )


def parameters(folder: Path, weights: dict[str, float]) -> dict[str, Any]:
    """As the engine is told them, from a portfolios file with a mode of one's own."""
    lines = "".join(f"{key} = {value!r}\n" for key, value in weights.items())
    path = folder / "book.toml"
    path.write_text(f'{HEAD}[[mode]]\nmode = "own"\n{lines}', encoding="utf-8")
    return load_book(path, currency=None).parameters.model_dump(mode="json")


def inputs(told: dict[str, Any], costs: dict[str, Any]) -> list[Input]:
    """Sessions with prices, then opinions of six names; any quantity is traded."""
    make, rng = Inputs(), np.random.default_rng(4)
    made = [make.make("control", "ParametersChanged", T0, parameters=told)]
    made += [make.listed(name, lot="0") for name in NAMES] + [make.registered("s")]
    mandate = WIDE | {"benchmark": BENCHMARK}
    made.append(make.opened("p", mode="own", mandate=mandate, costs=costs))
    prices = np.full(len(NAMES), 100.0)
    for day in range(DAYS):
        common, own = rng.normal() * 0.012, rng.normal(size=len(NAMES)) * 0.015
        prices = prices * (1.0 + common + own)
        made.append(make.close(dict(zip(NAMES, prices.tolist(), strict=True)), at(day)))
    strengths = (0.95, 0.8, 0.6, 0.4, 0.9, 0.7)
    for i, (name, strength) in enumerate(zip(NAMES, strengths, strict=True)):
        direction = -1 if name in ("E", "F") else 1
        said = {"direction": direction, "strength": strength, "confidence": 0.9}
        made.append(make.signal("s", name, at(DAYS) + i, **said))
    return made


def at(day: int) -> int:
    return T0 + SECOND + day * DAY


@cache
def decided(kind: str, folder: Path, weights: tuple[tuple[str, float], ...], **costs: float) -> Any:
    """The log, and the first decision after the opinions: from cash."""
    told = parameters(folder, {"risk_aversion": 4.0} | dict(weights))
    log = run(inputs(told, FREE | costs), make=made_by(kind), end=at(DAYS) + HOUR)
    return log, events_of(log, AllocationDecided)[-1]


def weights_of(decision: AllocationDecided) -> Floats:
    return np.array([one.weight for one in decision.targets])


def situated(log: MemoryLog, decision: AllocationDecided) -> tuple[Floats, Floats]:
    """Its weights, and the covariance over its horizon."""
    _, _, found = situation_at(log, decision.decision_id)
    return weights_of(decision), found.problem.covariance


def mistakes(log: MemoryLog, decision: AllocationDecided) -> float:
    """What is held, each name by its volatility: what returns may be mistaken by."""
    held, sigma = situated(log, decision)
    return float(np.abs(held) @ np.sqrt(np.diag(sigma)))


def turnover(_: MemoryLog, decision: AllocationDecided) -> float:
    return decision.turnover


def alone(log: MemoryLog, decision: AllocationDecided) -> float:
    """Sum of each position's own variance."""
    held, sigma = situated(log, decision)
    return float(held**2 @ np.diag(sigma))


def tracking(log: MemoryLog, decision: AllocationDecided) -> float:
    held, sigma = situated(log, decision)
    active = held - np.full(len(NAMES), 1.0 / 8.0)
    return float(np.sqrt(active @ sigma @ active))


def paid(_: MemoryLog, decision: AllocationDecided) -> float:
    return decision.cost


def held_cost(_: MemoryLog, decision: AllocationDecided) -> float:
    return decision.cost_holding


SWEEPS: tuple[Any, ...] = (
    ("robustness", (0.0, 0.005, 0.02, 1.0), mistakes),
    ("turnover_price_bps", (0.0, 5.0, 40.0, 5_000.0), turnover),
    ("diversification", (0.0, 4.0, 40.0, 4_000.0), alone),
    ("tracking", (0.0, 4.0, 40.0, 4_000.0), tracking),
    ("cost_weight", (0.0, 1.0, 4.0, 100.0), paid),
    ("holding_weight", (0.0, 1.0, 8.0, 100.0), held_cost),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modes")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("weight", "values", "measure"), SWEEPS, ids=[one[0] for one in SWEEPS])
def test_more_of_a_weight_is_never_more_of_what_it_is_against(
    folder: Path, kind: str, weight: str, values: tuple[float, ...], measure: Any
) -> None:
    costs = {"borrow_bps_year": 300.0} if weight == "holding_weight" else {}
    found = [measure(*decided(kind, folder, ((weight, value),), **costs)) for value in values]
    assert all(after <= before + 1e-6 for before, after in pairwise(found))
    assert found[-1] < 0.9 * found[0]


def names(decision: AllocationDecided) -> float:
    """How many equal positions would be as concentrated."""
    held = weights_of(decision)
    return float(np.abs(held).sum() ** 2 / (held @ held))


@pytest.mark.parametrize("kind", KINDS)
def test_robustness_holds_less_and_diversification_spreads_what_is_held(
    folder: Path, kind: str
) -> None:
    """No laws, as the two above are: of these opinions, in so wide a mandate."""
    plain = decided(kind, folder, ())[1]
    less = [decided(kind, folder, (("robustness", one),))[1] for one in (0.005, 0.02)]
    assert plain.after.gross > less[0].after.gross > less[1].after.gross > 0.0
    spread = [decided(kind, folder, (("diversification", one),))[1] for one in (40.0, 400.0)]
    assert names(plain) < names(spread[0]) < names(spread[1])


@pytest.mark.parametrize("kind", KINDS)
def test_robustness_beyond_every_opinion_leaves_cash(folder: Path, kind: str) -> None:
    _, decision = decided(kind, folder, (("robustness", 1.0),))
    assert decision.after.gross == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_tracking_holds_the_benchmark(folder: Path, kind: str) -> None:
    _, decision = decided(kind, folder, (("tracking", 1e5), ("cost_weight", 0.0)))
    assert weights_of(decision) == pytest.approx(np.full(len(NAMES), 1.0 / 8.0), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_carry_that_is_received_draws_and_carry_that_is_paid_repels(
    folder: Path, kind: str
) -> None:
    told = parameters(folder, {"risk_aversion": 4.0})
    held = []
    for rate in (-1_000.0, 0.0, 1_000.0):
        costs = FREE | {"carry": [{"instrument": "B", "bps_year": rate}]}
        log = run(inputs(told, costs), make=made_by(kind), end=at(DAYS) + HOUR)
        decision = events_of(log, AllocationDecided)[-1]
        held.append(weights_of(decision)[1])
        assert decision.cost_holding == pytest.approx(held[-1] * rate * 1e-4 * 5 / 252)
    assert held[0] > held[1] > held[2]


def test_a_decision_tells_what_impact_and_holding_are_expected_to_cost(folder: Path) -> None:
    """Of the engine's own, whatever its solver weighs: the cost is told of the trades it made."""
    log, decision = decided("reference", folder, (), borrow_bps_year=252.0)
    _, _, found = situation_at(log, decision.decision_id)
    trades, sigma = weights_of(decision), np.sqrt(np.diag(found.problem.covariance) / 5.0)
    volume = 1e6 * found.prices
    impact = (sigma * np.sqrt(np.abs(trades) * 1e6 / volume) * np.abs(trades)).sum()
    linear = 5e-4 * np.abs(trades).sum()
    assert decision.cost_impact == pytest.approx(impact, rel=1e-6)
    assert decision.cost == pytest.approx(linear + impact, rel=1e-6)
    assert decision.cost == pytest.approx(sum(trade.cost for trade in decision.trades), rel=1e-9)
    short = np.maximum(-trades, 0.0).sum()
    assert short > 0.0
    assert decision.cost_holding == pytest.approx(short * 5e-4, rel=1e-6)
    assert decision.after.cash == pytest.approx(1.0 - trades.sum() - decision.cost, abs=1e-9)


EVERYTHING = (
    ("cost_weight", 1.5), ("holding_weight", 2.0), ("robustness", 0.004),
    ("turnover_price_bps", 3.0), ("diversification", 2.0), ("tracking", 3.0),
)  # fmt: skip


@pytest.mark.parametrize("weights", [(), EVERYTHING], ids=["costs alone", "everything"])
def test_the_engines_own_trades_are_worth_as_much_as_the_plain_models(
    folder: Path, weights: tuple[tuple[str, float], ...]
) -> None:
    log, decision = decided("own", folder, weights, borrow_bps_year=100.0)
    _, _, found = situation_at(log, decision.decision_id)
    assert found.problem.charges.impact is not None
    own = objective(found.problem, weights_of(decision))
    assert own == pytest.approx(decision.solver.objective, abs=1e-9)
    assert own >= ReferenceAllocator().allocate(found.problem).objective - 1e-8

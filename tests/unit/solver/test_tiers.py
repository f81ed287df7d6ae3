"""Soft limits: kept where they can be, else given way in the order of their tiers, and said so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.core.ports import AllocationProblem, WeightLimit
from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver import solve as solve_module
from coordinator.solver import tiers as tiers_module
from coordinator.solver.further import excess, further_of
from coordinator.solver.least import Choice
from coordinator.solver.settings import SolverName
from coordinator.solver.shelf import ModelShelf
from coordinator.solver.solve import least_violation
from coordinator.solver.violations import Violations, measure
from tests.support.limit_reference import Stated, limit, state, violations

from .conftest import Make, build

SETTINGS = SolverSettings()
ALLOCATOR = CvxAllocator(SETTINGS)
N = 8
NEAR = 2e-5
"""What is equal: beside a cone a billionth of one row is a hundred thousandth of another."""


KINDS = ("linear", "linear", "gross", "cash", "turnover", "volatility")


def conflicting(seed: int, *, single: bool, kinds: tuple[str, ...] = KINDS) -> AllocationProblem:
    """A problem whose three tiers cannot all be kept; single: each tier is one row."""
    rng = np.random.default_rng(seed)
    k = 1 if single else 3
    found: list[WeightLimit] = []
    for tier in (1, 2, 3):
        kind = str(rng.choice(kinds))
        name = f"{kind}{tier}"
        if kind == "linear":
            rows = rng.choice([0.0, 1.0, 1.0, 2.0, -1.0], (k, N))
            sides = {"lower": rng.uniform(0.2, 0.8)} if tier % 2 else {"upper": -0.1}
            found.append(limit(kind, rows, n=N, tier=tier, name=name, **sides))
        elif kind == "gross":
            rows = rng.choice([0.0, 1.0], (k, N))
            found.append(limit(kind, rows, n=N, upper=0.05, tier=tier, name=name))
        elif kind == "cash":
            found.append(limit(kind, n=N, lower=rng.uniform(0.9, 1.2), tier=tier, name=name))
        else:
            size = 0.1 if kind == "turnover" else 0.004
            found.append(limit(kind, n=N, upper=size, tier=tier, name=name))
    return build(
        N, mu=rng.normal(size=N) * 0.02, filled=np.full(N, 0.05), cash=0.6, position_min=-0.05,
        position_max=0.3, limits=tuple(found),
    )  # fmt: skip


def settled(p: AllocationProblem, stated: Stated) -> list[float]:
    """What each row may be broken by: plain sequential solves, one row a tier, the same ease."""
    tiers, caps = [row.tier for row in stated.rows], [np.inf] * len(stated.rows)
    for tier in sorted(set(tiers)):
        chosen = [one == tier for one in tiers]
        caps[chosen.index(True)] = stated.least(chosen, caps) + tiers_module.EASE
    return caps


@pytest.mark.parametrize("seed", range(30))
def test_single_rows_give_way_as_plain_sequential_solves_say(seed: int) -> None:
    p = conflicting(seed, single=True)
    answer, stated = ALLOCATOR.allocate(p), state(p)
    caps = settled(p, stated)
    ours = [one for _, one in violations(p, answer.continuous).values()]
    assert np.allclose(ours, caps, atol=NEAR), (p.limits, answer.remarks)
    best = stated.best(caps)
    assert answer.objective_continuous >= best - 1e-6
    gone = {one.limit: one.gave_way for one in answer.limits if one.tier}
    scales = [max(np.abs(one.rows).max(), 0.0) or 1.0 for one in p.limits]
    for one, cap, scale in zip(p.limits, caps, scales, strict=True):
        assert gone[one.name] == pytest.approx(cap * scale, abs=NEAR * scale)


@pytest.mark.parametrize("seed", range(30))
def test_each_tier_gives_way_least_given_what_the_higher_ones_got(seed: int) -> None:
    p = conflicting(seed, single=False)
    answer, stated = ALLOCATOR.allocate(p), state(p)
    ours = np.array([one for _, one in violations(p, answer.continuous).values()])
    tiers = np.array([row.tier for row in stated.rows])
    for tier in (1, 2, 3):
        caps = np.where(tiers < tier, ours + 1e-9, np.inf)
        least = stated.least([bool(one) for one in tiers == tier], [float(cap) for cap in caps])
        total = float(ours[tiers == tier].sum())
        assert total <= least + NEAR, (tier, answer.remarks)
        assert total >= least - NEAR


@pytest.mark.parametrize("seed", range(12))
def test_both_searches_find_the_same_least_violation(seed: int) -> None:
    p = conflicting(seed, single=False, kinds=KINDS[:-1])  # one of the two knows no cones
    further, now = further_of(p), measure(p, np.zeros(N))
    chosen = further.tier == 1
    most = replace(now, further=np.where(chosen, np.inf, 10.0))
    choice = Choice(always=False, rows=chosen.astype(float), most=most)
    totals = []
    solvers: tuple[SolverName, SolverName] = ("PIQP", "CLARABEL")
    for solver in solvers:
        found = least_violation(p, choice, ModelShelf(2), SETTINGS, solver)
        assert (found.gap, found.status) == (0.0, "optimal")
        assert found.excess <= 1e-7
        totals.append(float(excess(p, found.trades)[chosen].sum()))
    assert totals[0] == pytest.approx(totals[1], abs=1e-6)


def opposed(make: Make, **tiers: int) -> AllocationProblem:
    """Two names that together are to be at least 0.5, at most 0.2, and at least 0.3."""
    bounds = {"most": {"upper": 0.2}, "least": {"lower": 0.5}, "some": {"lower": 0.3}}
    rows = [1.0, 1.0, 0.0]
    found = tuple(
        limit("linear", rows, n=3, tier=tier, name=name, **bounds[name])
        for name, tier in tiers.items()
    )
    return make(3, mu=0.01, limits=found)


@pytest.mark.parametrize(
    ("tiers", "sum_"),
    [
        ({"most": 1, "least": 2}, 0.2),
        ({"least": 1, "most": 2}, 0.5),
        ({"most": 2, "least": 3, "some": 1}, 0.3),
        ({"most": 0, "least": 1}, 0.2),
    ],
)
def test_the_larger_number_gives_way_first(make: Make, tiers: dict[str, int], sum_: float) -> None:
    p = opposed(make, **tiers)
    answer = ALLOCATOR.allocate(p)
    assert answer.trades[:2].sum() == pytest.approx(sum_, abs=2e-6)
    assert answer.rung == "relaxed"
    assert answer.violation <= 1e-9
    gone = {one.limit: one.gave_way for one in answer.limits if one.gave_way}
    bounds = {"most": 0.2, "least": 0.5, "some": 0.3}
    expected = {
        name: abs(sum_ - bounds[name])
        for name in tiers
        if (name == "most") == (sum_ > bounds[name]) and abs(sum_ - bounds[name]) > 1e-6
    }
    assert gone == pytest.approx(expected, abs=2e-6)
    for name in expected:
        assert name in answer.remarks[-1]


def test_equal_tiers_share_what_cannot_be_kept(make: Make) -> None:
    answer = ALLOCATOR.allocate(opposed(make, most=1, least=1))
    gone = [one.gave_way for one in answer.limits if one.tier]
    assert gone == pytest.approx([0.15, 0.15], abs=1e-4)


def test_soft_limits_that_can_be_kept_are_hard_ones(make: Make) -> None:
    soft = make(5, mu=0.02, limits=(limit("linear", np.ones(5), n=5, upper=0.4, tier=3),))
    hard = replace(soft, limits=(replace(soft.limits[0], tier=0),))
    one, other = ALLOCATOR.allocate(soft), ALLOCATOR.allocate(hard)
    assert one.trades.tobytes() == other.trades.tobytes()
    assert (one.rung, one.remarks) == ("solved", ())


def test_what_gave_way_has_the_price_of_the_solve_with_its_slack_fixed(make: Make) -> None:
    p = opposed(make, most=1, least=2)
    answer = ALLOCATOR.allocate(p)
    price = {one.limit: one.shadow_price for one in answer.limits}
    # The floor pulls up, the cap down: what one more unit of the sum would be worth is between.
    values = [
        ALLOCATOR.allocate(opposed_at(make, 0.2 + step)).objective_continuous
        for step in (1e-4, -1e-4)
    ]
    gained = (values[0] - values[1]) / 2e-4
    assert gained > 1e-3
    assert price["most"] + price["least"] == pytest.approx(gained, rel=1e-2)


def opposed_at(make: Make, sum_: float) -> AllocationProblem:
    rows = [1.0, 1.0, 0.0]
    return make(3, mu=0.01, limits=(limit("linear", rows, n=3, lower=sum_, upper=sum_),))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tiers that are searched for from now on, by their first row."""
    asked: list[int] = []
    real = solve_module.least_violation

    def search(problem: AllocationProblem, choice: Choice, *rest: object) -> object:
        asked.append(int(further_of(problem).tier[choice.rows > 0.0][0]))
        return real(problem, choice, *rest)  # type: ignore[arg-type]  # passed through unread

    monkeypatch.setattr(tiers_module, "least_violation", search)
    return asked


def laddered(make: Make, *, last: int) -> AllocationProblem:
    """Tiers that are kept anyway, then a cap on one name and, after it, three equal floors."""
    first, rows = [1.0, 0.0, 0.0], np.tile([1.0, 0.0, 0.0], (3, 1))
    kept = [
        limit("linear", first, n=3, upper=0.9, tier=t, name=f"k{t}") for t in range(1, last - 1)
    ]
    cap = limit("linear", first, n=3, upper=0.1, tier=last - 1, name="cap")
    floors = limit("linear", rows, n=3, lower=0.4, tier=last, name="floors")
    return make(3, mu=0.01, limits=(*kept, cap, floors))


@pytest.mark.parametrize("last", [9, 40, 100])
def test_a_tier_outranks_every_later_one_however_many_there_are(
    make: Make, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    asked = counted(monkeypatch)
    answer = ALLOCATOR.allocate(laddered(make, last=last))
    assert answer.trades[0] == pytest.approx(0.1, abs=2e-6)
    assert asked == [last], "only what is not kept anyway is searched for"


def rungs(make: Make) -> AllocationProblem:
    """A cap on a sum and six floors above it, each of a tier of its own."""
    rows = np.array([1.0, 1.0, 0.0])
    found = [limit("linear", rows, n=3, upper=0.1, tier=1, name="cap")]
    found += [limit("linear", rows, n=3, lower=0.1 * t, tier=t, name=f"f{t}") for t in range(2, 8)]
    return make(3, mu=0.01, limits=tuple(found))


def test_each_tier_that_is_not_kept_has_a_search_of_its_own(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    answer = ALLOCATOR.allocate(rungs(make))
    assert (answer.rung, asked) == ("relaxed", [2, 3, 4, 5, 6, 7])


def test_searches_are_bounded_and_what_they_do_not_reach_is_said(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch)
    answer = CvxAllocator(replace(SETTINGS, tier_solves_max=2)).allocate(rungs(make))
    assert (answer.rung, asked) == ("relaxed", [2, 3])
    assert answer.remarks[0] == (
        "soft limits from tier 4 on not settled, left as they are: more than 2 searches"
    )


def test_a_tier_that_no_solver_settles_is_left_as_it_is_and_said(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = solve_module.least_violation

    def silent(*given: object) -> object:
        return replace(real(*given), gap=np.inf, status="broken")  # type: ignore[arg-type]  # unread

    monkeypatch.setattr(tiers_module, "least_violation", silent)
    p = opposed(make, most=1, least=2)
    answer = ALLOCATOR.allocate(p)
    assert "not settled" in answer.remarks[0]
    assert "broken" in answer.remarks[0]
    assert answer.rung == "relaxed"
    after = measure(p, answer.trades).further
    assert (after <= measure(p, np.zeros(3)).further + 2e-6).all()


def test_a_soft_limit_broken_before_is_no_breach(make: Make) -> None:
    p = make(2, filled=[0.5, 0.2], cash=0.3, trade_max=0.01)
    p = replace(p, limits=(limit("linear", [1.0, 0.0], n=2, upper=0.1, tier=1),))
    answer = ALLOCATOR.allocate(p)
    assert (answer.violation_before, answer.violation) == (0.0, 0.0)
    assert answer.trades[0] == pytest.approx(-0.01, abs=1e-6)
    (reading,) = (one for one in answer.limits if one.limit == "linear")
    assert reading.gave_way == pytest.approx(0.39, abs=2e-6)


def test_violations_know_which_rows_are_hard(make: Make) -> None:
    p = make(2, filled=0.3, cash=0.4)
    rows = [
        limit("linear", [1.0, 0.0], n=2, upper=0.1, tier=tier, name=str(tier)) for tier in (0, 2)
    ]
    found: Violations = measure(replace(p, limits=tuple(rows)), np.zeros(2))
    assert found.further == pytest.approx([0.2, 0.2])
    assert found.hard.tolist() == [True, False]
    assert found.largest == pytest.approx(0.2)


def test_remarks_of_a_portfolio_that_breaks_everything_fit_a_decision(make: Make) -> None:
    rows = limit("linear", np.eye(60), n=60, upper=0.0, name="n" * 120)
    rows = replace(rows, labels=tuple(f"{i}" + "m" * 120 for i in range(60)))
    p = make(60, filled=0.01, cash=0.4, trade_max=0.001, limits=(rows, replace(rows, tier=2)))
    answer = ALLOCATOR.allocate(p)
    assert any(remark.startswith("gave way") for remark in answer.remarks)
    assert max(len(remark) for remark in answer.remarks) <= 2000

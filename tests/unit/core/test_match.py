"""Stage A, second half: the combination is Black-Litterman's, and each part is somebody's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core import match
from coordinator.core.match import Weighing, pool_views
from coordinator.core.picks import Legs
from coordinator.core.ports import Floats
from coordinator.core.recall import Recall
from tests.journals import law
from tests.unit.core.planted import Scored, alike, board_of, combined, view

skills = st.sampled_from([-0.3, -0.05, 0.01, 0.05, 0.1, 0.5])
scores = st.floats(-2.5, 2.5).filter(lambda s: abs(s) > 1e-3)
covariances = st.integers(0, 2**32 - 1).map(lambda seed: _covariance(np.random.default_rng(seed)))


def _covariance(rng: np.random.Generator, n: int = 4) -> Floats:
    factors = rng.normal(size=(n, 2)) * 0.02
    made: Floats = factors @ factors.T + np.diag(rng.uniform(1e-4, 2e-3, n))
    return made


def row(pick: int, source: str, score: float = 1.0, skill: float = 0.1) -> Scored:
    return Scored(view(instrument=f"N{pick}", source=source), pick, score, skill)


@st.composite
def boards(draw: st.DrawFn, *, distinct: bool = False) -> list[Scored]:
    """Views sorted as the engine sorts them: by instrument, then source."""
    places = draw(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=8))
    names = {place: f"s{place[1]}" for place in places}
    if distinct:
        names = {place: f"s{number}" for number, place in enumerate(sorted(places))}
    return [row(place[0], names[place], draw(scores), draw(skills)) for place in sorted(places)]


def brute_force(rows: list[Scored], covariance: Floats, prior: Floats, c: float) -> Floats:
    """mu with every view a row of its own and the whole Omega, as the formulas are written."""
    p = np.zeros((len(rows), len(covariance)))
    p[np.arange(len(rows)), [r.pick for r in rows]] = 1.0
    for i, r in enumerate(rows):
        for name, weight in r.legs:
            p[i, name] -= weight
    sigma = np.sqrt(np.diag(p @ covariance @ p.T))
    q = np.array([r.score * s / r.skill for r, s in zip(rows, sigma, strict=True)])
    k = np.array([r.k for r in rows])
    errors = np.full((len(rows), len(rows)), c)
    np.fill_diagonal(errors, 1.0)
    omega = np.minimum.outer(k, k) * errors * (p @ covariance @ p.T)
    s = p @ covariance @ p.T + omega
    moved: Floats = prior + covariance @ p.T @ np.linalg.solve(s, q - p @ prior)
    return moved


def leg(pick: int, source: str, legs: Legs, score: float = 1.0, skill: float = 0.1) -> Scored:
    return row(pick, source, score, skill)._replace(legs=legs)


@given(board=boards(distinct=True), covariance=covariances)
def test_views_of_different_sources_combine_like_the_full_formula_without_correlation(
    board: list[Scored], covariance: Floats
) -> None:
    one_each = [r for i, r in enumerate(board) if r.pick not in {b.pick for b in board[:i]}]
    prior = np.linspace(-0.01, 0.01, 4)
    found = combined(board_of(one_each), covariance, prior=prior, correlation=0.0)
    assert found.mu == pytest.approx(brute_force(one_each, covariance, prior, 0.0), abs=1e-10)


@given(board=boards(distinct=True), covariance=covariances, c=st.sampled_from([0.0, 0.3, 0.9]))
def test_views_on_one_instrument_combine_like_the_full_formula(
    board: list[Scored], covariance: Floats, c: float
) -> None:
    same = [Scored(r.view, 1, r.score, r.skill) for r in board]
    found = combined(board_of(same), covariance, prior=np.zeros(4), correlation=c)
    assert found.mu == pytest.approx(brute_force(same, covariance, np.zeros(4), c), abs=1e-9)


@given(score=scores, skill=skills, covariance=covariances)
def test_a_source_alone_moves_its_name_by_skill_times_score_times_volatility(
    score: float, skill: float, covariance: Floats
) -> None:
    found = combined(
        board_of([row(2, "s", score, skill)]), covariance, prior=np.zeros(4), correlation=0.5
    )
    sigma = np.sqrt(covariance[2, 2])
    assert found.mu[2] == pytest.approx(skill * score * sigma, rel=1e-9)
    assert found.mu == pytest.approx(found.mu[2] * covariance[:, 2] / covariance[2, 2], abs=1e-12)


@given(board=boards(), covariance=covariances, c=st.sampled_from([0.0, 0.5, 0.98]))
def test_influences_sum_to_mu_and_shares_of_a_pool_to_one(
    board: list[Scored], covariance: Floats, c: float
) -> None:
    prior = np.full(4, 0.002)
    found = combined(board_of(board), covariance, prior=prior, correlation=c)
    assert found.influence.sum(axis=1) + prior == pytest.approx(found.mu, abs=1e-12)
    for pick in found.board.picks:
        members = [i for i, r in enumerate(board) if r.pick == pick]
        assert found.weighing.pool.share[members].sum() == pytest.approx(1.0)
        assert (found.weighing.pool.share[members] >= -1e-9).all()
    assert found.own == pytest.approx([found.influence[r.pick, i] for i, r in enumerate(board)])


@pytest.mark.parametrize("c", [0.0, 0.5, 0.9, 0.98])
def test_a_less_confident_copy_gets_no_negative_weight(c: float) -> None:
    rows = [row(0, "a", 1.0, 0.1), row(0, "b", 1.0, 0.02), row(0, "c", 1.0, 0.3)]
    made = board_of(rows)
    pool = pool_views(made, between=alike(made, c))
    assert (pool.share >= 0.0).all()
    assert pool.share.argmax() == 2


def test_a_second_strategy_of_a_source_adds_next_to_nothing() -> None:
    one = [row(0, "a", 1.0, 0.1)]
    covariance = np.diag(np.full(4, 4e-4))
    alone = combined(board_of(one), covariance, prior=np.zeros(4), correlation=0.0).mu[0]
    twice = combined(board_of(one * 2), covariance, prior=np.zeros(4), correlation=0.0).mu[0]
    other = [*one, row(0, "b", 1.0, 0.1)]
    both = combined(board_of(other), covariance, prior=np.zeros(4), correlation=0.0).mu[0]
    assert alone < twice < 1.02 * alone
    assert both > 1.9 * alone


def test_without_views_the_prior_stands() -> None:
    prior = np.array([0.01, 0.0, 0.0, -0.01])
    found = combined(board_of([]), np.eye(4), prior=prior, correlation=0.0)
    assert found.mu.tolist() == prior.tolist()
    assert found.influence.shape == (4, 0)


@law(20)
@given(board=boards(), covariance=covariances, scale=st.floats(-3, 3))
def test_mu_is_linear_in_the_opinions(
    board: list[Scored], covariance: Floats, scale: float
) -> None:
    scaled = [Scored(r.view, r.pick, r.score * scale, r.skill) for r in board]
    mu = combined(board_of(board), covariance, prior=np.zeros(4), correlation=0.3).mu
    moved = combined(board_of(scaled), covariance, prior=np.zeros(4), correlation=0.3).mu
    assert moved == pytest.approx(scale * mu, abs=1e-10)


@given(board=boards(), other=st.lists(scores, min_size=8, max_size=8), covariance=covariances)
def test_a_weighing_of_the_round_before_changes_no_bit(
    board: list[Scored], other: list[float], covariance: Floats
) -> None:
    turned = [
        Scored(r.view, r.pick, score, r.skill) for r, score in zip(board, other, strict=False)
    ]
    surer = [r._replace(skill=r.skill * 0.9) for r in board]
    known: Recall[Weighing] = Recall(entries_max=4)
    for rows in (board, turned, surer, board):
        made, prior = board_of(rows), np.zeros(4)
        warm = combined(made, covariance, prior=prior, correlation=0.2, weighings=known)
        cold = combined(made, covariance, prior=prior, correlation=0.2)
        assert warm.mu.tobytes() == cold.mu.tobytes()
        assert warm.own.tobytes() == cold.own.tobytes()
        assert warm.influence.tobytes() == cold.influence.tobytes()
    assert len(known) == 2  # what is said differs in two of three, how surely in one


@given(covariance=covariances, one=scores, other=scores, c=st.sampled_from([0.0, 0.5]))
def test_pairs_and_baskets_combine_like_the_full_formula(
    covariance: Floats, one: float, other: float, c: float
) -> None:
    rows = [
        leg(0, "a", ((1, 1.0),), one),
        leg(1, "b", (), other, 0.05),
        leg(2, "c", ((0, 0.5), (3, 0.5)), 0.7, 0.2),
    ]
    prior = np.linspace(-0.01, 0.01, 4)
    found = combined(board_of(rows), covariance, prior=prior, correlation=c)
    full = brute_force(rows, covariance, prior, c)
    # Pooled, views of sources that err alike correlate as their sources do: here each has one.
    assert found.mu == pytest.approx(full, abs=1e-9)
    assert found.influence.sum(axis=1) + prior == pytest.approx(found.mu, abs=1e-10)


@given(score=scores, skill=skills, covariance=covariances)
def test_a_pair_alone_moves_its_spread_by_skill_times_score_times_volatility(
    score: float, skill: float, covariance: Floats
) -> None:
    p = np.array([1.0, -1.0, 0.0, 0.0])
    rows = [leg(0, "s", ((1, 1.0),), score, skill)]
    found = combined(board_of(rows), covariance, prior=np.zeros(4), correlation=0.5)
    sigma = np.sqrt(p @ covariance @ p)
    assert p @ found.mu == pytest.approx(skill * score * sigma, rel=1e-9)


@given(covariance=covariances, values=st.lists(scores, min_size=4, max_size=4))
def test_ranks_determine_each_other_and_say_nothing_of_what_is_common(
    covariance: Floats, values: list[float]
) -> None:
    """Their picks add up to nothing: the pseudo-inverse, as in the full formula."""
    everyone = tuple((i, 0.25) for i in range(4))
    rows = [leg(i, "s", everyone, value) for i, value in enumerate(values)]
    found = combined(board_of(rows), covariance, prior=np.zeros(4), correlation=0.0)
    p = np.eye(4) - 0.25
    k = rows[0].k
    sigma = np.sqrt(np.diag(p @ covariance @ p.T))
    q = np.array(values) * sigma / rows[0].skill
    # In units of each pick's deviation, as the combination counts what contradicts itself.
    scaled = (1.0 + k) * (p @ covariance @ p.T) / np.outer(sigma, sigma)
    inverse = np.linalg.pinv(scaled, rcond=1e-10, hermitian=True)
    expected = covariance @ p.T @ (inverse @ (q / sigma) / sigma)
    assert found.mu == pytest.approx(expected, abs=1e-9)
    # The mean of all names moves only as far as it moves with them.
    assert found.influence.sum(axis=1) == pytest.approx(found.mu, abs=1e-10)


def test_two_who_rank_the_same_names_are_pooled_and_one_of_other_names_is_not() -> None:
    everyone, pair = tuple((i, 0.25) for i in range(4)), ((0, 0.5), (1, 0.5))
    rows = [
        leg(0, "a", everyone), leg(0, "b", everyone), leg(0, "c", pair),
        leg(1, "a", everyone), leg(1, "b", everyone), leg(1, "c", pair),
    ]  # fmt: skip
    legs = sorted({r.legs for r in rows})
    rows.sort(key=lambda r: (r.pick, legs.index(r.legs)))
    made = board_of(rows)
    assert len(made.picks) == 4
    assert sorted(len(made.rows_of(slot)) for slot in range(4)) == [1, 1, 2, 2]
    assert made.exposure is not None
    assert made.along(np.array([0.3, 0.1, 0.0, 0.0]))[made.slot].tolist() == pytest.approx(
        [float(made.exposure[made.slot[i]] @ [0.3, 0.1, 0.0, 0.0]) for i in range(6)]
    )


def test_many_picks_are_solved_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where eigenvectors would take too long, a little on the diagonal changes next to nothing."""
    rng = np.random.default_rng(4)
    covariance = _covariance(rng, 30)
    everyone = tuple((i, 1.0 / 30) for i in range(30))
    rows = [leg(i, "s", everyone, float(rng.normal())) for i in range(30)]
    made = board_of(rows, width=30)
    few = combined(made, covariance, prior=np.zeros(30), correlation=0.0).mu
    monkeypatch.setattr(match, "EIGENVECTORS_MAX", 10)
    many = combined(made, covariance, prior=np.zeros(30), correlation=0.0).mu
    assert many == pytest.approx(few, rel=1e-4, abs=1e-9)
    assert np.abs(few).max() > 1e-4

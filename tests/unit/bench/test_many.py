"""Many portfolios at once: they share what they should, and are decided as each alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from coordinator.solver import CvxAllocator, SolverSettings
from coordinator.solver.violations import measure
from tests.bench import qp
from tests.bench.many import NAMES, alike, portfolios, ways


def test_portfolios_share_the_market_and_have_mandates_of_their_own() -> None:
    found = portfolios(12, next(qp.draw(NAMES, rounds=1)), 0)
    assert len({id(one.covariance) for one in found}) == 1
    assert len({id(one.factors) for one in found}) == 1
    kinds = {(one.risk_aversion, one.gross_max, one.turnover_max, len(one.limits)) for one in found}
    assert len(kinds) == 12
    for one in found:
        assert not measure(replace(one, limits=()), np.zeros(NAMES)).breached


def test_every_way_decides_as_each_alone() -> None:
    problems = portfolios(4, next(qp.draw(NAMES, rounds=1)), 0)
    alone = [CvxAllocator(SolverSettings()).allocate(one) for one in problems]
    with ExitStack() as begun:
        for decide in ways(2, begun).values():
            assert alike(alone, decide(problems))
    assert not alike(alone, alone[::-1])
    assert not alike(alone, alone[:3])

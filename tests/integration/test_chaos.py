"""Chaos in its short form: one fault of each kind, under load, and the checkers' word.

The long form is `ops/chaos --rounds 200`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.servers_base import CannotStart
from tests.live.chaos import Plan, run
from tests.live.faults import FAULTS
from tests.live.stores import KINDS

SEED = 7


@pytest.mark.integration
def test_a_fault_of_each_kind_loses_and_doubles_nothing(servers_folder: Path) -> None:
    folder = servers_folder / "own-chaos"  # below it whatever is left over is ended with the run
    folder.mkdir()
    try:
        outcome = run(folder, Plan(len(FAULTS), SEED, rate=40.0))
    except CannotStart as failure:
        print(failure)
        pytest.skip(f"{failure.server} could not be started: {failure.reason}")
    assert outcome.findings.faults == []
    assert outcome.wrong == {}
    assert outcome.rounds == len(FAULTS)
    assert set(outcome.waits) == set(outcome.plan.kinds)
    if not outcome.unprojected:
        assert set(outcome.waits) == set(FAULTS)
    assert set(outcome.projected) | set(outcome.unprojected) == set(KINDS)
    assert all(outcome.projected.values())
    assert outcome.findings.verdicts["rejected: shed"] > 0
    assert outcome.findings.acknowledged > 100
    assert outcome.findings.decisions > 0

"""Chaos in its short form: one fault of each kind, under load, and the checker's word.

The long form is `ops/chaos --rounds 200`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.servers_base import CannotStart
from tests.live.chaos import Plan, run
from tests.live.faults import FAULTS

ROUNDS = 10
SEED = 7


@pytest.mark.integration
def test_ten_faults_lose_and_double_nothing(servers_folder: Path) -> None:
    folder = servers_folder / "own-chaos"  # below it whatever is left over is ended with the run
    folder.mkdir()
    try:
        outcome = run(folder, Plan(ROUNDS, SEED, rate=40.0))
    except CannotStart as failure:
        print(failure)
        pytest.skip(f"{failure.server} could not be started: {failure.reason}")
    assert outcome.findings.faults == []
    assert outcome.rounds == ROUNDS
    assert set(outcome.waits) == set(FAULTS)
    assert outcome.findings.acknowledged > 100
    assert outcome.findings.decisions > 0

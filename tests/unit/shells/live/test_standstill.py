"""A standstill is counted from when there was something to do, in the phase that it is in."""

from __future__ import annotations

import pytest

from coordinator.shells.live.owner import Phase
from coordinator.shells.live.standstill import Standstill

RUNNING, RECOVERING, WAITING = Phase.RUNNING, Phase.RECOVERING, Phase.WAITING
STALL_S = 30.0


def test_an_idle_shard_is_not_behind_since_its_last_move() -> None:
    still = Standstill(STALL_S)
    assert still.lagging_s(0, 0.0, 100.0) == 0
    assert still.lagging_s(1, 0.0, 101.0) == 0
    assert still.lagging_s(3, 0.0, 104.0) == 3
    assert still.lagging_s(2, 103.5, 105.0) == 1.5
    assert still.lagging_s(0, 103.5, 106.0) == 0
    assert still.lagging_s(1, 103.5, 107.0) == 0


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([(RUNNING, 0, 100), (RUNNING, 1, 200), (RUNNING, 1, 229)], 0),
        ([(RUNNING, 0, 100), (RUNNING, 1, 200), (RUNNING, 1, 231)], 31),
        ([(RUNNING, 1, 100), (RUNNING, 0, 131), (RUNNING, 1, 132)], 0),
        ([(RECOVERING, 9, 100), (RECOVERING, 9, 399)], 0),
        ([(RECOVERING, 9, 100), (RECOVERING, 9, 401)], 301),
        ([(RECOVERING, 0, 100), (RECOVERING, 0, 401)], 301),  # its first record cannot be appended
        ([(RECOVERING, 9, 100), (WAITING, 9, 390), (RECOVERING, 9, 401)], 0),
        ([(RECOVERING, 9, 100), (RUNNING, 9, 390), (RUNNING, 9, 410)], 0),
        ([(RECOVERING, 9, 100), None, (RECOVERING, 9, 401)], 0),
        ([(WAITING, 9, 100), (WAITING, 9, 900)], 0),
        ([(RUNNING, 9, 100), (Phase.SEALED, 9, 101), (Phase.SEALED, 9, 900)], 0),
    ],
)
def test_it_is_too_long_by_the_phase(
    looks: list[tuple[Phase, int, float] | None], said: float
) -> None:
    still, found = Standstill(STALL_S), -1.0
    for look in looks:
        if look is None:
            still.unknown()
        else:
            phase, lag, now = look
            found = still.standing_s(phase, lag, 0.0, now)
    assert found == said


def test_a_recovery_that_applies_records_is_left_alone() -> None:
    still = Standstill(STALL_S)
    for now in range(0, 3_000, 100):
        assert still.standing_s(RECOVERING, 9, now - 250.0, float(now)) == 0

"""What an owner's metrics say of a round is what its entries say, told without decoding them."""

from __future__ import annotations

import pytest

from coordinator.core.ports import Record
from coordinator.shells.live.observing import Observer
from coordinator.telemetry.metrics import Metrics
from schemas.decisions import ConflictKind, ConflictLine, ConflictsDetected
from schemas.entries import GENESIS, encode_output

HOSTILE = 'x","kind":"horizon", {"kind":"horizon"}'


def line(kind: ConflictKind) -> ConflictLine:
    return ConflictLine(
        kind=kind, instruments=(HOSTILE,), signals=(f"{HOSTILE}/1",), severity=0.5,
        resolution=HOSTILE,
    )  # fmt: skip


@pytest.mark.parametrize("opposite", [1, 80])
def test_each_conflict_of_a_round_counts_by_its_kind(opposite: int) -> None:
    metrics = Metrics()
    lines = [line(ConflictKind.OPPOSITE_DIRECTION)] * opposite + [line(ConflictKind.MANDATE)]
    event = ConflictsDetected(
        decided_at=1, portfolio=HOSTILE, decision_id=f"{HOSTILE}:1", conflicts=tuple(lines)
    )
    entry = encode_output(0, 0, 0, GENESIS, event)
    Observer(0, metrics).applied(Record("journal", 0, 0, 1, b"{}"), [entry], began=0)

    def counted(kind: str) -> float | None:
        return metrics.registry.get_sample_value("coordinator_conflicts_total", {"kind": kind})

    assert counted("opposite_direction") == opposite
    assert counted("mandate") == 1
    assert counted("horizon") is None

"""A log recorded once is decided again: bit for bit here, within tolerance elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from coordinator.core.fold import Fold
from coordinator.core.ports import LogReader
from coordinator.log.memory import MemoryLog
from schemas.decisions import AllocationDecided
from schemas.entries import OutputEntry, decode_output
from tests.golden.record import SHARDS, fingerprint, golden_log
from tests.journals import engine, outputs
from tests.recorded import LOTS, NAMES

OBJECTIVE = 1e-6
"""0.01 basis points, as a fraction of NAV."""


@pytest.fixture(scope="module")
def recorded_log() -> tuple[str, MemoryLog]:
    return golden_log()


def again(log: LogReader, shard: int) -> list[bytes]:
    fold = Fold(log, engine(shard, SHARDS))
    fold.start(None)
    return [entry for record in fold.journal() for entry in fold.step(record)]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_golden_log_is_decided_again(recorded_log: tuple[str, MemoryLog], shard: int) -> None:
    recorded_under, log = recorded_log
    then, now = [e.payload for e in log.read("decisions", shard)], again(log, shard)
    differences = list(beyond_tolerance(outputs(log, shard), [decode_output(e) for e in now]))
    assert differences == []
    if recorded_under == fingerprint():
        assert now == then


def test_the_golden_log_holds_what_it_is_to_guard(recorded_log: tuple[str, MemoryLog]) -> None:
    _, log = recorded_log
    said = [e for shard in range(SHARDS) for e in outputs(log, shard)]
    kinds = {type(entry.event).__name__ for entry in said}
    assert {"AllocationDecided", "ConflictsDetected", "RoundClosed", "SignalRejected"} <= kinds
    assert {"SignalExpired", "TradesExpired", "PortfolioViewUpdated"} <= kinds
    assert sum(isinstance(e.event, AllocationDecided) for e in said) > 20


def beyond_tolerance(then: list[OutputEntry], now: list[OutputEntry]) -> Iterator[str]:
    """Decisions that differ by more than the contract allows; what depends on them may differ."""
    pairs = zip(_decisions(then), _decisions(now), strict=True)
    for old, new in pairs:
        if old.decision_id != new.decision_id:
            yield f"{new.decision_id} instead of {old.decision_id}"
            return
        if abs(old.solver.objective - new.solver.objective) > OBJECTIVE:
            yield f"{old.decision_id}: objective {old.solver.objective}, {new.solver.objective}"
        held = {target.instrument: target.quantity for target in new.targets}
        for target in old.targets:
            step = Decimal(LOTS[NAMES.index(target.instrument)]) or _dust(old, target.price)
            if abs(held.get(target.instrument, Decimal(0)) - target.quantity) > step:
                yield f"{old.decision_id}: {target.instrument} {target.quantity}"


def _decisions(entries: list[OutputEntry]) -> list[AllocationDecided]:
    return [entry.event for entry in entries if isinstance(entry.event, AllocationDecided)]


def _dust(event: AllocationDecided, price: float) -> Decimal:
    """A basis point of NAV, where there are no lots."""
    return event.nav / Decimal(repr(price)) / 10_000


@pytest.mark.parametrize(("objective", "lots", "found"), [(1e-7, 1, 0), (1e-5, 0, 1), (0.0, 2, 1)])
def test_the_tolerance_sees_what_is_too_much_and_only_that(
    recorded_log: tuple[str, MemoryLog], objective: float, lots: int, found: int
) -> None:
    then = outputs(recorded_log[1], 0)
    index = next(i for i, e in enumerate(then) if _trades_in_lots(e))
    event = then[index].event
    assert isinstance(event, AllocationDecided)
    solver = event.solver.model_copy(update={"objective": event.solver.objective + objective})
    place = next(i for i, t in enumerate(event.targets) if t.instrument == "N0")
    target = event.targets[place]
    moved = target.model_copy(update={"quantity": target.quantity + 100 * lots})
    targets = (*event.targets[:place], moved, *event.targets[place + 1 :])
    changed = event.model_copy(update={"solver": solver, "targets": targets})
    now = list(then)
    now[index] = OutputEntry(0, 0, 0, "", "", "", changed)
    assert len(list(beyond_tolerance(then, now))) == found


def _trades_in_lots(entry: OutputEntry) -> bool:
    event = entry.event
    return isinstance(event, AllocationDecided) and any(
        target.instrument == "N0" for target in event.targets
    )

"""The numeric contract: what another machine may change, and what it never covers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import pytest
from pydantic_core import from_json

from coordinator.core.ports import Record
from coordinator.log.memory import MemoryLog
from replay import verify
from replay.verify import Result
from schemas.base import Event
from schemas.books import PortfolioViewUpdated
from schemas.decisions import (
    AllocationDecided,
    ConflictsDetected,
    RoundClosed,
)
from schemas.entries import decode_output, encode_output
from tests.unit.replay.forgeries import (
    difference,
    first_decision,
    retold,
)
from tests.unit.replay.worlds import copied

Said = TypeVar("Said", bound=Event)

# -- the numeric contract ----------------------------------------------------------------------


def first(event: Said, field: str, **changes: object) -> Said:
    """The event with the first of a list, or the part itself, changed."""
    held = getattr(event, field)
    if isinstance(held, tuple):
        changed: object = (held[0].model_copy(update=changes), *held[1:])
    else:
        changed = held.model_copy(update=changes)
    return event.model_copy(update={field: changed})


LIES: dict[str, Callable[[AllocationDecided], AllocationDecided]] = {
    "trades": lambda e: first(e, "trades", quantity=Decimal(-99999)),
    "two lots": lambda e: first(e, "targets", quantity=e.targets[0].quantity + 2),
    "nav": lambda e: e.model_copy(update={"nav": Decimal(1)}),
    "cost": lambda e: e.model_copy(update={"cost": 0.5}),
    "gross": lambda e: first(e, "after", gross=99.0),
    "verdict": lambda e: first(e, "signals", verdict="limited" if e.signals[0].verdict != "limited"
                               else "outvoted"),
    "weight": lambda e: first(e, "targets", weight=e.targets[0].weight + 0.01),
    "price": lambda e: first(e, "targets", price=e.targets[0].price + 0.01),
    "objective": lambda e: first(e, "solver", objective=e.solver.objective + 2e-6),
    "no trades": lambda e: e.model_copy(update={"trades": ()}),
    "a trade twice": lambda e: e.model_copy(update={"trades": (*e.trades, e.trades[0])}),
    "another name": lambda e: first(e, "trades", trade_id="mine"),
    "build": lambda e: first(e, "identity", build="mine"),
    "parameters": lambda e: first(e, "identity", parameters="0" * 64),
    "decided_at": lambda e: e.model_copy(update={"decided_at": e.decided_at + 1}),
    "mode": lambda e: e.model_copy(update={"mode": "mine"}),
    "skill": lambda e: first(e, "signals", skill=e.signals[0].skill + 0.5),
    "positions": lambda e: first(e, "after", positions=e.after.positions + 1),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_the_contract_does_not_cover_a_lie(run: MemoryLog, lie: str) -> None:
    found = difference(retold(run, first_decision(LIES[lie])), tolerance=True)
    assert (found.kind, found.event) == ("different", "AllocationDecided")


_COUNTED: dict[type[Event], str] = {RoundClosed: "conflicts", PortfolioViewUpdated: "open_trades"}
ROUNDING: dict[str, Callable[[AllocationDecided], AllocationDecided]] = {
    "objective": lambda e: first(e, "solver", objective=e.solver.objective + 9e-7),
    "a lot": lambda e: first(
        first(e, "targets", quantity=e.targets[0].quantity + 1), "trades",
        quantity=e.trades[0].quantity + 1,
    ),
    "last bits": lambda e: first(e, "after", gross=e.after.gross * (1 + 1e-12)),
    "iterations": lambda e: first(e, "solver", iterations=e.solver.iterations + 3),
    "state": lambda e: first(e, "identity", portfolio_state="0" * 64, problem="1" * 64),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUNDING)
def test_the_contract_covers_what_other_hardware_does(run: MemoryLog, case: str) -> None:
    log = retold(run, first_decision(ROUNDING[case]))
    assert not verify(log).ok
    assert verify(log, tolerance=True).ok


def test_a_run_of_another_engine_is_compared_by_the_contract(run: MemoryLog) -> None:
    def told(event: Event) -> Event:
        return (
            first(event, "identity", build="another") if isinstance(event, AllocationDecided)
            else event
        )  # fmt: skip

    def started(record: Record) -> bytes:
        event = from_json(record.payload)["event"]
        return (
            record.payload.replace(event["build"].encode(), b"another")
            if record.payload.startswith(b'{"type":"EngineStarted"')
            else record.payload
        )

    log = copied(retold(run, told), lambda r: r.payload if r.topic != "journal" else started(r))
    assert verify(log, tolerance=True).ok
    assert {one.result for one in verify(log).ranges} == {Result.OTHER_ENGINE}


@pytest.mark.parametrize("kind", [RoundClosed, ConflictsDetected, PortfolioViewUpdated])
def test_the_contract_does_not_cover_a_lie_in_any_kind_of_output(
    run: MemoryLog, kind: type[Event]
) -> None:
    def shy(event: Event) -> Event:
        if not isinstance(event, kind):
            return event
        if isinstance(event, ConflictsDetected):
            return first(event, "conflicts", severity=0.987)
        return event.model_copy(update={_COUNTED[kind]: 99})

    found = difference(retold(run, shy), tolerance=True)
    assert (found.kind, found.event) == ("different", kind.__name__)


def test_the_contract_wants_one_chain(run: MemoryLog) -> None:
    def cut(record: Record) -> bytes:
        if record.topic != "decisions" or record.position != 3:
            return record.payload
        entry = decode_output(record.payload)
        return encode_output(entry.position, entry.ordinal, entry.seq, "f" * 64, entry.event)

    found = difference(copied(run, cut), tolerance=True)
    assert [field.path for field in found.fields] == ["prev"]


def test_an_output_that_cannot_be_read_is_a_difference_under_the_contract(run: MemoryLog) -> None:
    def broken(record: Record) -> bytes:
        return b'{"type":"AllocationDecided"' if record.topic == "decisions" else record.payload

    assert difference(copied(run, broken), tolerance=True).kind == "different"

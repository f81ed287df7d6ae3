"""Lines put together without validation are those that validation makes, byte for byte."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coordinator.core.assemble import lines_of
from schemas.base import Model
from schemas.canonical import canonical_bytes
from schemas.decisions import (
    AllocationDecided,
    ConflictKind,
    ConflictLine,
    ConflictsDetected,
    LimitUse,
    SignalUse,
    Target,
    Trade,
)
from schemas.entries import decode_output, encode_output
from tests.journals import law, run
from tests.recorded import end_of, recorded

numbers = st.floats(-1e18, 1e18)
positive = st.floats(1e-9, 1e12)
shares = st.floats(0.0, 1.0)
names = st.text("abcÄ ß/-9", min_size=1, max_size=9).filter(lambda s: s == s.strip())
units = st.decimals(-(10**15), 10**15, places=8).map(lambda d: d.normalize() if d else Decimal(0))
conflicts: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(ConflictKind), "instruments": st.lists(names).map(tuple),
    "signals": st.lists(names).map(tuple), "severity": shares, "resolution": names,
}  # fmt: skip
KINDS: dict[type[Model], dict[str, st.SearchStrategy[Any]]] = {
    Target: {
        "instrument": names, "weight_before": numbers, "weight_wanted": numbers,
        "weight": numbers, "quantity": units, "expected_return": numbers, "price": positive,
        "forces": st.lists(st.tuples(names, numbers)).map(tuple), "residual": st.none() | numbers,
    },
    Trade: {
        "trade_id": names, "instrument": names, "quantity": units, "price": positive,
        "weight": numbers, "cost": numbers, "urgency": shares,
    },
    SignalUse: {
        "signal": names, "strategy": names, "instrument": names,
        "verdict": st.sampled_from(["followed", "outvoted", "limited"]), "score": numbers,
        "skill": numbers, "view": numbers, "own": numbers, "utility": numbers,
        "priority": shares,
    },
    LimitUse: {
        "limit": names, "instrument": st.none() | names, "used": numbers, "bound": numbers,
        "shadow_price": numbers, "about": st.none() | names,
        "priority": st.none() | st.integers(1, 100), "given": positive,
    },
    ConflictLine: conflicts,
    ConflictsDetected: {
        "decided_at": st.integers(0, 2**61), "portfolio": names, "decision_id": names,
        "conflicts": st.lists(st.fixed_dictionaries(conflicts), max_size=3).map(
            lambda rows: lines_of(ConflictLine, rows, sound=True)
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_whole_and_in_the_models_order(kind: type[Model]) -> None:
    assert list(KINDS[kind]) == list(kind.model_fields)


@pytest.mark.parametrize("kind", KINDS)
@law(40)
@given(source=st.data())
def test_a_line_is_the_one_that_validation_makes(kind: type[Model], source: st.DataObject) -> None:
    drawn = source.draw(st.fixed_dictionaries(KINDS[kind]))
    row = {name: drawn[name] for name in kind.model_fields}
    (line,) = lines_of(kind, [dict(row)], sound=True)
    (checked,) = lines_of(kind, [dict(row)], sound=False)
    assert line == checked
    assert canonical_bytes(line) == canonical_bytes(checked)
    assert line.model_fields_set == checked.model_fields_set
    assert line.model_copy(update={}) == checked
    assert repr(line) == repr(checked)
    assert hash(line) == hash(checked)


def test_lines_that_are_not_known_to_fit_are_validated() -> None:
    row: dict[str, Any] = {
        "limit": "x", "instrument": None, "used": np.inf, "bound": 1.0, "shadow_price": 0.0,
    }  # fmt: skip
    with pytest.raises(ValidationError, match="used"):
        lines_of(LimitUse, [row], sound=False)


def test_every_event_of_busy_days_is_what_reading_it_back_makes() -> None:
    inputs = recorded(3, days=2)
    log = run(inputs, end=end_of(inputs), shards=1)
    decisions = 0
    for record in log.read("decisions", 0):
        entry = decode_output(record.payload)
        again = encode_output(entry.position, entry.ordinal, entry.seq, entry.prev, entry.event)
        assert again == record.payload
        if isinstance(entry.event, AllocationDecided):
            decisions += 1
            for line in (*entry.event.targets, *entry.event.signals, *entry.event.trades):
                assert list(vars(line)) == list(type(line).model_fields)
    assert decisions > 5

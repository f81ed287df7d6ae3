"""Likeness: what is assumed of two sources, and of two of one group."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.likeness import errors_between
from coordinator.core.state import Source
from schemas.control import Parameters, SourceRegistered


def sources(**groups: str | None) -> dict[str, Source]:
    return {
        name: Source(SourceRegistered(event_id=name, event_time=0, source=name, error_group=group))
        for name, group in groups.items()
    }


def test_sources_of_one_group_err_together_more_than_others() -> None:
    known = sources(a="vendor", b="vendor", c=None, d=None)
    found = errors_between(sorted(known), known, Parameters(view_correlation=0.1))
    assert found.tolist() == [
        [1.0, 0.5, 0.1, 0.1],
        [0.5, 1.0, 0.1, 0.1],
        [0.1, 0.1, 1.0, 0.1],
        [0.1, 0.1, 0.1, 1.0],
    ]


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("between", [0.0, 0.4, 0.98])
def test_it_is_positive_definite_whatever_the_groups(alike: float, between: float) -> None:
    known = sources(a="x", b="x", c="y", d="y", e=None, f="x")
    parameters = Parameters(view_correlation=between, group_correlation=alike)
    found = errors_between(sorted(known), known, parameters)
    assert float(np.linalg.eigvalsh(found).min()) > 0.0

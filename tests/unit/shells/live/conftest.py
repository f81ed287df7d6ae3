"""Owners that are ended with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.shells.live.owning import WITHIN_S, Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for owner in made.owners:
        owner.stop()
    for owner in made.owners:
        if owner._thread.ident is not None:
            assert owner.join(WITHIN_S)

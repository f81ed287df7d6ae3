"""A log that was lived in, made once."""

from __future__ import annotations

import pytest

from coordinator.log.memory import MemoryLog
from tests.support.cut_log import CutLog
from tests.support.lived_log import copy_of, laid


@pytest.fixture(scope="session")
def recorded() -> MemoryLog:
    return laid()


@pytest.fixture
def live(recorded: MemoryLog) -> CutLog:
    """The recorded log, to be cut and grown: a copy."""
    return CutLog(copy_of(recorded))

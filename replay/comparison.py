"""Two ways to compare a recorded output with a derived one; this one is by bytes.

Place in the flow: verify compares with `Exact`, or with the numeric contract of
`replay.contract`. Neither may ever look at the journal.
"""

from __future__ import annotations

from typing import Protocol

from coordinator.core.state import State
from replay.divergence import Difference, differences_of_bytes

__all__ = ["Comparison", "Exact"]


class Comparison(Protocol):
    """How outputs are compared. exact: by bytes, so hashes and states must be the same too."""

    exact: bool

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:
        """What differs; empty when the two count as the same. state: the engine's, for lots."""
        ...


class Exact:
    """Every byte."""

    exact = True

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:  # noqa: ARG002 - the port's shape
        """Every field that differs, hashes of the chain included."""
        return () if recorded == derived else differences_of_bytes(recorded, derived)

"""Two ways to compare a recorded output with a derived one: by bytes, or by the numeric contract.

Place in the flow: verify compares with one of them. Other hardware or libraries give other last
bits, so a log from elsewhere is held to the contract: a decision's objective within 0.01 basis
points and one lot a name; verdicts on signals, which no solver touches, are the same. Neither may
ever look at the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from coordinator.core.state import State
from replay.divergence import Difference, differences_of_bytes
from schemas.decisions import AllocationDecided, Target
from schemas.entries import decode_output, opening
from schemas.verdicts import SignalExpired, SignalRejected

__all__ = ["Comparison", "Contract", "Exact"]

OBJECTIVE_TOLERANCE = 1e-6
"""0.01 basis points, as a fraction of NAV."""
WEIGHT_TOLERANCE = 1e-4
"""Of NAV, where an instrument trades in any fraction and has no lot."""
_CONCERNS = opening(AllocationDecided, SignalRejected, SignalExpired)


class Comparison(Protocol):
    """How outputs are compared. states: whether the states in checkpoints must be the same too."""

    states: bool

    def concerns(self, output: bytes) -> bool:
        """Whether this output is compared at all."""
        ...

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:
        """What differs; empty when the two count as the same. state: the engine's, for lots."""
        ...


class Exact:
    """Every output, every byte."""

    states = True

    def concerns(self, output: bytes) -> bool:  # noqa: ARG002 - the port's shape
        """All of them."""
        return True

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:  # noqa: ARG002 - the port's shape
        """Every field that differs, hashes of the chain included."""
        return () if recorded == derived else differences_of_bytes(recorded, derived)


class Contract:
    """Decisions within the numeric contract, and verdicts on signals exactly."""

    states = False

    def concerns(self, output: bytes) -> bool:
        """Decisions and verdicts on signals."""
        return output.startswith(_CONCERNS)

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:
        """Of two decisions, what exceeds the contract; of anything else, every field."""
        left, right = decode_output(recorded).event, decode_output(derived).event
        if isinstance(left, AllocationDecided) and isinstance(right, AllocationDecided):
            return tuple(_beyond_contract(left, right, state))
        if type(left) is type(right) and left == right:
            return ()
        return differences_of_bytes(recorded, derived)


def _beyond_contract(
    left: AllocationDecided, right: AllocationDecided, state: State
) -> Iterator[Difference]:
    if left.decision_id != right.decision_id:
        yield Difference("event.decision_id", left.decision_id, right.decision_id)
        return
    if abs(left.solver.objective - right.solver.objective) > OBJECTIVE_TOLERANCE:
        yield Difference("event.solver.objective", left.solver.objective, right.solver.objective)
    ours = {target.instrument: target for target in right.targets}
    theirs = {target.instrument: target for target in left.targets}
    for name in sorted({**ours, **theirs}):
        yield from _apart(name, theirs.get(name), ours.get(name), state)


def _apart(
    name: str, recorded: Target | None, derived: Target | None, state: State
) -> Iterator[Difference]:
    """More than a lot apart; a target that one side does not have is one of nothing."""
    instrument = state.market.instruments.get(name)
    if instrument is not None and instrument.lot:
        field = "quantity"
        values = [float(one.quantity) if one is not None else 0.0 for one in (recorded, derived)]
        allowed = float(instrument.lot)
    else:
        field = "weight"
        values = [one.weight if one is not None else 0.0 for one in (recorded, derived)]
        allowed = WEIGHT_TOLERANCE
    if abs(values[0] - values[1]) > allowed * (1 + 1e-9):
        yield Difference(f"event.targets[{name}].{field}", values[0], values[1])

"""The numeric contract: how far a decision made on other hardware may lie from ours.

Place in the flow: verify compares with it where bytes cannot be the same. Other hardware or
libraries give other last bits, and a solver that starts from them may stop one lot away. So the
objective is held to 0.01 basis points and each name to one lot; every other number to a relative
tolerance, and everything else must be the same. It must never look at the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pydantic_core import from_json

from coordinator.core.state import State
from replay.divergence import ABSENT, Difference, Json, differences, differences_of_bytes
from schemas.canonical import canonical_bytes
from schemas.entries import OutputEntry, decode_output
from schemas.registry import SchemaError

__all__ = ["Contract"]

OBJECTIVE_TOLERANCE = 1e-6
"""0.01 basis points, as a fraction of NAV."""
WEIGHT_TOLERANCE = 1e-4
"""Of NAV, where an instrument trades in any fraction and has no lot."""
RELATIVE_TOLERANCE = 1e-4
"""Of every other number; those below OBJECTIVE_TOLERANCE count as nothing."""
ROUNDING = 1 + 1e-9
_OBJECTIVES = {"objective", "objective_continuous"}
_WEIGHTS = {"weight", "weight_wanted", "weight_before"}
_FROM_JOURNAL = {"price", "bound"}
"""Seen or given, not computed: the same on any hardware."""
_FREE = {
    "event.solver.iterations",
    "event.identity.portfolio_state",
    "event.identity.problem",
}
"""How long the solver took, and hashes over numbers that may differ."""
_MOVING = (
    "event.after.", "event.turnover", "event.cost", "event.priority", "event.prior_utility",
    "event.limits[", "event.signals[", "event.trades[",
)  # fmt: skip
"""What adds up over the names, and so moves with their lots."""


class Contract:
    """Every output: numbers within the contract, all else the same."""

    exact = False

    def differences(self, recorded: bytes, derived: bytes, state: State) -> tuple[Difference, ...]:
        """What exceeds the contract, field by field; of the chain, only the place in it."""
        try:
            left, right = decode_output(recorded), decode_output(derived)
        except SchemaError:
            return differences_of_bytes(recorded, derived)
        trees = _tree(left), _tree(right)
        allowance = _Allowance(state)
        if trees[0]["type"] == trees[1]["type"] == "AllocationDecided":
            return tuple(_of_decisions(*trees, allowance))
        return tuple(one for one in differences(*trees) if not allowance.covers(one))


def _tree(entry: OutputEntry) -> dict[str, Any]:
    """What any reader of the entry sees; prev is the business of the chain."""
    return {
        "type": type(entry.event).__name__,
        "version": entry.event.version,
        "position": entry.position,
        "ordinal": entry.ordinal,
        "seq": entry.seq,
        "event": from_json(canonical_bytes(entry.event)),
    }


def _of_decisions(
    recorded: dict[str, Any], derived: dict[str, Any], allowance: _Allowance
) -> Iterator[Difference]:
    """Targets and trades by name, for one side may trade a lot where the other trades nothing."""
    events = recorded["event"], derived["event"]
    lists = {field: (events[0].pop(field), events[1].pop(field)) for field in ("targets", "trades")}
    allowance = allowance.of_names(*lists["targets"], nav=float(events[1]["nav"]))
    yield from (one for one in differences(recorded, derived) if not allowance.covers(one))
    for field, (left, right) in lists.items():
        yield from _of_names(f"event.{field}", left, right, allowance)


def _of_names(
    path: str, recorded: list[Any], derived: list[Any], allowance: _Allowance
) -> Iterator[Difference]:
    theirs = {one["instrument"]: one for one in recorded}
    ours = {one["instrument"]: one for one in derived}
    if list(theirs) != sorted(theirs) or len(theirs) != len(recorded):
        yield Difference(path, [one["instrument"] for one in recorded], list(ours))
        return
    for name in sorted({**theirs, **ours}):
        left, right = theirs.get(name), ours.get(name)
        if left is None or right is None:
            # One side has nothing there: that is a quantity and a weight of zero.
            there = left if left is not None else right
            zero = _nothing(there or {})
            left, right = left or zero, right or zero
        for one in differences(left, right, f"{path}[{name}]"):
            if not allowance.covers(one, name):
                yield one


def _nothing(other: dict[str, Any]) -> dict[str, Any]:
    """An entry of the other's name that comes to nothing."""
    zeros = dict.fromkeys(("weight", "weight_wanted", "weight_before", "cost"), 0.0)
    return {**other, **{name: zeros[name] for name in zeros if name in other}, "quantity": "0"}


@dataclass(frozen=True, slots=True)
class _Allowance:
    """How far a field may be off.

    nav: money, for the weight of a lot. prices: of each name. moved: how far the weights of all
    names are off together, fraction of NAV; names: how many are.
    """

    state: State
    nav: float = 0.0
    prices: dict[str, float] | None = None
    moved: float = 0.0
    names: int = 0

    def of_names(self, recorded: list[Any], derived: list[Any], *, nav: float) -> _Allowance:
        """The allowance of a decision with these targets."""
        theirs = {one["instrument"]: one["weight"] for one in recorded}
        ours = {one["instrument"]: one["weight"] for one in derived}
        apart = [
            abs(theirs.get(name, 0.0) - ours.get(name, 0.0)) for name in sorted({**theirs, **ours})
        ]
        prices = {one["instrument"]: one["price"] for one in derived}
        names = sum(one > 0.0 for one in apart)
        return replace(self, nav=nav, prices=prices, moved=sum(apart), names=names)

    def covers(self, found: Difference, name: str = "") -> bool:
        """Whether this difference is within the contract. name: the instrument it is about."""
        if found.path in _FREE:
            return ABSENT not in (found.recorded, found.derived)
        field = found.path.rpartition(".")[2]
        if field == "quantity" and name:
            return self._covers_quantity(found.recorded, found.derived, name)
        if found.path == "event.after.positions":
            return _apart(found) <= self.names
        if type(found.recorded) is not float or type(found.derived) is not float:
            return False
        return _apart(found) <= self._allowed(found, field, name) * ROUNDING

    def _covers_quantity(self, recorded: Json, derived: Json, name: str) -> bool:
        """Within one lot; where there is none, the weights say how far it is off."""
        if not isinstance(recorded, str) or not isinstance(derived, str):
            return False
        lot = self._lot(name)
        apart = abs(float(Decimal(recorded) - Decimal(derived)))
        return apart <= (lot or self._of_weight(name)) * ROUNDING

    def _of_weight(self, name: str) -> float:
        """WEIGHT_TOLERANCE in units."""
        price = (self.prices or {}).get(name, 0.0)
        return WEIGHT_TOLERANCE * self.nav / price if price > 0.0 else 0.0

    def _lot(self, name: str) -> float:
        instrument = self.state.market.instruments.get(name)
        return float(instrument.lot) if instrument is not None else 0.0

    def _allowed(self, found: Difference, field: str, name: str) -> float:
        if field in _FROM_JOURNAL:
            return 0.0
        if field in _OBJECTIVES:
            return OBJECTIVE_TOLERANCE
        if name and field in _WEIGHTS:
            price = (self.prices or {}).get(name, 0.0)
            lot_weight = self._lot(name) * price / self.nav if self.nav > 0.0 else 0.0
            # Before whole lots a weight is as free as one that has none.
            loose = field == "weight_wanted" or not lot_weight
            return max(lot_weight, WEIGHT_TOLERANCE if loose else 0.0) + OBJECTIVE_TOLERANCE
        values = [abs(one) for one in (found.recorded, found.derived) if isinstance(one, float)]
        allowed = RELATIVE_TOLERANCE * max(values) + OBJECTIVE_TOLERANCE
        return allowed + (self.moved if found.path.startswith(_MOVING) else 0.0)


def _apart(found: Difference) -> float:
    left, right = found.recorded, found.derived
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return abs(left - right)
    return float("inf")

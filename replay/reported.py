"""What verify found: by shard, by range, and the first difference.

Place in the flow: made by `verify`, shown by the command. Nothing here reads a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic_core import from_json

from replay.divergence import Difference
from replay.errors import IdentityDifference
from replay.ranges import Range

__all__ = [
    "FIELDS_MAX",
    "FirstDifference",
    "RangeReport",
    "Result",
    "ShardReport",
    "VerifyReport",
    "difference_at",
    "head_of",
]

FIELDS_MAX = 20


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """Where a shard's recorded outputs and the derived ones part.

    kind: "different", "missing" (derived, not in the log), "unsaid" (the same at the journal's
    end, where nothing shows that the engine has got there), "extra" (in the log, not derived),
    "state" (a checkpoint is not the state at its position), "shards" (a journal is laid out for
    another number of them) or "partitions" (the log lacks a shard, or holds what is of none).
    position, ordinal, seq: of the output. fields: what differs, at most 20. behind: journal
    records from there on, where they are unsaid.
    """

    kind: str
    shard: int
    position: int
    ordinal: int
    seq: int
    event: str
    fields: tuple[Difference, ...] = ()
    behind: int = 0

    @property
    def unsaid(self) -> bool:
        """Whether the log only ends before its journal does."""
        return self.kind == "unsaid"


class Result(StrEnum):
    """What became of one range."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    OTHER_ENGINE = "other engine"
    """Another engine decided it; nothing was compared."""
    NO_STATE = "no state"
    """Ours, but the engine before left no state at the seal to start from."""
    UNSAID = "not said to its end"
    """The same, as far as the log holds outputs; the engine may not have got to the rest yet."""
    UNDECIDED = "undecided"
    """Behind a seal, and no engine has started there yet."""
    NOT_REACHED = "not reached"
    """A difference came before it."""


@dataclass(frozen=True, slots=True)
class RangeReport:
    """One range of one shard's journal: who decided it, and whether it was found the same.

    parts: what of that engine's identity is not this one's. by: the environment whose engine
    compared it, empty for this one.
    """

    range: Range
    result: Result
    parts: tuple[IdentityDifference, ...] = ()
    by: str = ""

    @property
    def unverified(self) -> bool:
        """Whether nobody has compared it."""
        return self.result in {Result.OTHER_ENGINE, Result.NO_STATE}


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What one shard's check did. from_position: of the checkpoint it started at, else -1.

    repeats: outputs that stand in the log once more, which every reader passes over.
    """

    shard: int
    from_position: int
    records: int
    outputs: int
    decisions: int
    seconds: float
    difference: FirstDifference | None
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether the log's decisions follow from its inputs.

    compared: "bytes" or "contract". layout: set when the log has not exactly its shards. ranges:
    by engine, of every shard.
    """

    shards: tuple[ShardReport, ...]
    compared: str
    layout: FirstDifference | None = None
    ranges: tuple[RangeReport, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return self.difference is None and not self.unverified

    @property
    def difference(self) -> FirstDifference | None:
        """That of the layout, or the first of the first shard that has one; what is unsaid last."""
        every = (self.layout, *(one.difference for one in self.shards))
        found = sorted((one for one in every if one is not None), key=lambda one: one.unsaid)
        return found[0] if found else None

    @property
    def unverified(self) -> tuple[RangeReport, ...]:
        """Ranges that nobody has compared: another engine's."""
        return tuple(one for one in self.ranges if one.unverified)


def difference_at(
    kind: str, shard: int, output: bytes, fields: tuple[Difference, ...] = ()
) -> FirstDifference:
    """Placed by the output's own header, which is read as far as it can be."""
    head = head_of(output)
    return FirstDifference(
        kind=kind,
        shard=shard,
        position=head.get("position", -1),
        ordinal=head.get("ordinal", -1),
        seq=head.get("seq", -1),
        event=head.get("type", "?"),
        fields=fields,
    )


def head_of(output: bytes) -> dict[str, Any]:
    """An output's header and event as they stand; empty where there is no JSON."""
    try:
        head = from_json(output)
    except ValueError:
        return {}
    return head if isinstance(head, dict) else {}

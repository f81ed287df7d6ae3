"""Which move put each multiplier of a decision in force, from what the log says.

Place in the flow: asked by `reasons`. Reads the topic `decisions` only; it must never work out a
rule again. A portfolio's moves stand in its own shard's chain, a strategy's in that of its source.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.base import Model, parse_time
from schemas.decisions import AllocationDecided
from schemas.verdicts import ParametersAdapted

__all__ = ["Moved", "moved_by"]


class Moved(Model):
    """A multiplier that a decision was made under, and the rule that moved it there."""

    name: str
    """The rule's cause and what it multiplies, such as drawdown/risk_aversion."""
    multiplier: float
    rule: str | None
    """In words; absent where the log does not hold the move any more."""
    since: int | None
    """When it moved there, nanoseconds UTC."""


def moved_by(decision: AllocationDecided, said: Iterator[ParametersAdapted]) -> tuple[Moved, ...]:
    """The multipliers of a decision, each with the last move to it.

    said: in the order of their shards' chains.
    """
    last: dict[str, ParametersAdapted] = {}
    for event in said:
        ours = event.portfolio in (None, decision.portfolio)
        if ours and parse_time(event.decided_at) <= parse_time(decision.decided_at):
            last[_name(event)] = event
    found = []
    for name, multiplier in decision.tilt:
        move = last.get(name)
        if move is None or move.after != multiplier:
            found.append(Moved(name=name, multiplier=multiplier, rule=None, since=None))
        else:
            since = parse_time(move.decided_at)
            found.append(Moved(name=name, multiplier=multiplier, rule=move.rule, since=since))
    return tuple(found)


def _name(event: ParametersAdapted) -> str:
    what = event.name if event.source is None else f"{event.source}/{event.strategy}"
    return f"{event.cause}/{what}"

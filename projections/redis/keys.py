"""How the Redis projection's keys are named: the layout that readers rely on.

    {PREFIX}:live                         id of the generation to read (a string)
    {PREFIX}:GEN:checkpoints              hash: "layout", and "topic/shard" to its mark (JSON)
    {PREFIX}:GEN:portfolio_views          hash: portfolio to its newest view with holdings (JSON)
    {PREFIX}:GEN:decisions                hash: portfolio to its newest decision with trades (JSON)
    {PREFIX}:GEN:signals:INSTRUMENT       hash: active signals on it (JSON)
    {PREFIX}:GEN:instruments              set: instruments that have active signals
    {PREFIX}:GEN:as_of                    hash: what the newest views and decisions were made from

and for writers: `building` and `rebuilding` (generations not read yet), `writer` and `rebuilder`
(leases), `hold` (a swap is under way), `generations` (all there are).

Place in the flow: used by the sink, the scripts and the rebuild. The braces are part of the keys:
they put all of them into one slot of a cluster. Must never name a key of another prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LAYOUT", "Keys"]

LAYOUT = 1
"""Rises when what the keys hold changes; an older generation is then rebuilt, a newer refused."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one prefix."""

    prefix: str

    @property
    def base(self) -> str:
        """What every key begins with."""
        return f"{{{self.prefix}}}:"

    def of(self, name: str) -> str:
        """A key outside the generations."""
        return self.base + name

    def within(self, generation: str, name: str) -> str:
        """A key of a generation."""
        return f"{self.base}{generation}:{name}"

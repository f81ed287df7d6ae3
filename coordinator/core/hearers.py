"""Hearers: which portfolios a signal can wake, found without asking those that it cannot.

Place in the flow: told by `evolve` when a portfolio opens, closes or has another mandate; asked by
`listen` for every signal. It follows from the portfolios alone, so that a checkpoint need not hold
it. It must never look at a portfolio itself.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Hearers"]

KEPT_MAX = 1024
"""Answers kept; a portfolio that comes or goes voids them."""

_Bits = dict[str | None, int]
"""Portfolios by a name that their mandates have, one bit each; None: of those that name none."""


class Hearers:
    """Portfolios that decide on signals, by what their mandates name.

    Each has a bit of its own. Who hears a source, and who hears of an instrument, are two numbers;
    those that both have in common are woken. So what a signal costs is that of those it wakes, and
    an instruction for every 64 portfolios there are.
    """

    __slots__ = ("_bits", "_instruments", "_kept", "_names", "_sources", "_terms")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._bits: dict[str, int] = {}
        self._sources: _Bits = {}
        self._instruments: _Bits = {}
        self._terms: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
        self._kept: dict[int, tuple[str, ...]] = {}

    def add(self, name: str, *, sources: Sequence[str], instruments: Sequence[str]) -> None:
        """From now on it hears these sources of these instruments; empty: whatever there will be."""
        self.remove(name)
        bit = self._bits.get(name)
        if bit is None:
            bit = self._bits[name] = 1 << len(self._names)
            self._names.append(name)
        self._terms[name] = (sources, instruments)
        for found, keys in ((self._sources, sources), (self._instruments, instruments)):
            for key in keys or (None,):
                found[key] = found.get(key, 0) | bit

    def remove(self, name: str) -> None:
        """It hears nothing any more; one that heard nothing is no error."""
        terms = self._terms.pop(name, None)
        self._kept.clear()
        if terms is None:
            return
        others = ~self._bits[name]
        for found, keys in zip((self._sources, self._instruments), terms, strict=True):
            for key in keys or (None,):
                found[key] &= others

    def of(self, source: str, instrument: str | None) -> tuple[str, ...]:
        """Who hears that source of that instrument, or of any where none is given; sorted."""
        bits = self._sources.get(None, 0) | self._sources.get(source, 0)
        if instrument is not None:
            bits &= self._instruments.get(None, 0) | self._instruments.get(instrument, 0)
        if not bits:
            return ()
        kept = self._kept.get(bits)
        if kept is None:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            kept = self._kept[bits] = tuple(sorted(self._named(bits)))
        return kept

    def _named(self, bits: int) -> list[str]:
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self._names[lowest.bit_length() - 1])
            bits ^= lowest
        return found

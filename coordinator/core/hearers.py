"""Hearers: whom a signal wakes, found without asking those that it does not.

Place in the flow: told by `rounds` what each portfolio's mandate names and whether it could begin a
round; asked by `listen` for every signal. It follows from the portfolios alone, so that a
checkpoint need not hold it. It must never look at a portfolio itself.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Hearers"]

_Bits = dict[str | None, int]
"""Portfolios by a name that their mandates have, one bit each; None: of those that name none."""


class Hearers:
    """Portfolios that decide on signals, by what their mandates name.

    Each has a bit of its own. Who hears a source, who hears of an instrument, and who is free are
    three numbers; those that have a bit in all of them are woken. So a signal costs what those cost
    that it wakes, and an instruction for every 64 portfolios there are.
    """

    __slots__ = ("_bits", "_free", "_instruments", "_names", "_sources", "_terms")

    def __init__(self) -> None:
        self._names: list[str] = []
        self._bits: dict[str, int] = {}
        self._free = 0
        self._sources: _Bits = {}
        self._instruments: _Bits = {}
        self._terms: dict[str, tuple[Sequence[str], Sequence[str]]] = {}

    def add(self, name: str, *, sources: Sequence[str], instruments: Sequence[str]) -> None:
        """From now on it hears these sources of these instruments; empty: whatever there will be.

        What it heard before it hears no more.
        """
        self.remove(name)
        bit = self._bit(name)
        self._terms[name] = (sources, instruments)
        for found, keys in ((self._sources, sources), (self._instruments, instruments)):
            for key in keys or (None,):
                found[key] = found.get(key, 0) | bit

    def remove(self, name: str) -> None:
        """It hears nothing any more; one that heard nothing is no error."""
        terms = self._terms.pop(name, None)
        if terms is None:
            return
        others = ~self._bit(name)
        for found, keys in zip((self._sources, self._instruments), terms, strict=True):
            for key in keys or (None,):
                found[key] &= others

    def note(self, name: str, *, free: bool) -> None:
        """Whether it could begin a round: who collects already, or is paused, is not woken."""
        bit = self._bit(name)
        self._free = self._free | bit if free else self._free & ~bit

    def of(self, source: str, instrument: str | None) -> list[str]:
        """Who is free and hears that source of that instrument, or of any; sorted by name."""
        bits = self._free & (self._sources.get(None, 0) | self._sources.get(source, 0))
        if bits and instrument is not None:
            bits &= self._instruments.get(None, 0) | self._instruments.get(instrument, 0)
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self._names[lowest.bit_length() - 1])
            bits ^= lowest
        return sorted(found)

    def _bit(self, name: str) -> int:
        bit = self._bits.get(name)
        if bit is None:
            bit = self._bits[name] = 1 << len(self._names)
            self._names.append(name)
        return bit

"""Remembered: which producers' ids were used, and when, in few bytes each.

Place in the flow: part of the state; `intake` asks it, the engine tells it, a checkpoint writes it
down. Every shard hears every signal, and remembers as many as the parameters allow: as strings in a
dictionary, a million of them took 190 MB a shard. Here each is a digest and a time, in blocks that
shards of one process share where they are the same. Sharing must never show: a block that is full
never changes, and which one holds an id decides nothing.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from weakref import WeakValueDictionary

import numpy as np

__all__ = ["Remembered"]

NAME_BYTES = 16
TIME_BYTES = 8
TIME_MAX = (1 << 63) - 1
"""A stamp is any integer; beyond the years that these can tell all are alike."""
SLOTS = 1 << 16
BLOCK_MAX = 3 * SLOTS // 4
CUT_MASK = (1 << 15) - 1
"""A block ends with an id whose digest ends in zeros: at the same id in every shard, wherever the
shard began. Half as many ids as slots on average, so that most searches end at once."""


def _name(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=NAME_BYTES).digest()


class _Block:
    """Digests and times in the order of their use, and a table that finds them: open addressing.

    slots: 1 + position of the newest use of an id, 0 where none is.
    """

    __slots__ = ("__weakref__", "full", "names", "slots", "times")

    def __init__(self) -> None:
        self.names = bytearray()
        self.times = array("q")
        self.slots = array("H", bytes(2 * SLOTS))
        self.full = False
        """Whether the next use begins another block."""

    def __len__(self) -> int:
        return len(self.times)

    def name(self, position: int) -> bytes:
        """The digest at a position."""
        return bytes(self.names[position * NAME_BYTES : (position + 1) * NAME_BYTES])

    def add(self, name: bytes, time: int) -> None:
        """One more use, the newest."""
        self.times.append(max(-TIME_MAX, min(time, TIME_MAX)))
        self.names += name
        count = self.slots[self._slot(name)] = len(self.times)
        last = name[-2] << 8 | name[-1]
        self.full = count >= BLOCK_MAX or not last & CUT_MASK

    def find(self, name: bytes) -> int:
        """Position of the newest use, -1 without one."""
        return self.slots[self._slot(name)] - 1

    def _slot(self, name: bytes) -> int:
        """Where its position stands, or would."""
        slots, names = self.slots, self.names
        at = name[0] | name[1] << 8
        while (held := slots[at]) and not names.startswith(name, (held - 1) * NAME_BYTES):
            at = (at + 1) % SLOTS
        return at


_FULL: WeakValueDictionary[bytes, _Block] = WeakValueDictionary()
"""Full blocks of this process by what they hold."""
MARKS = 1 << 22
MARK_MAX = 255


def _content(names: bytes | bytearray, times: array[int]) -> bytes:
    return blake2b(times.tobytes(), key=blake2b(names).digest(), digest_size=32).digest()


class _Marks:
    """How many ids of some blocks have one mark: who has a mark that none has, is in none of them.

    Where a count stands at its largest it stays there: too many do no harm.
    """

    def __init__(self) -> None:
        self._counts = bytearray()

    def maybe(self, name: bytes) -> bool:
        """Whether a block may hold it."""
        return bool(self._counts and self._counts[name[2] | name[3] << 8 | (name[4] & 63) << 16])

    def count(self, names: bytearray, step: int) -> None:
        """A block's ids come or go."""
        self._counts = self._counts or bytearray(MARKS)
        table = np.frombuffer(names, dtype=np.uint8).reshape(-1, NAME_BYTES)[:, 2:5].astype(int)
        found = table[:, 0] | table[:, 1] << 8 | (table[:, 2] & 63) << 16
        marks, counts = np.unique(found, return_counts=True)
        held = np.frombuffer(self._counts, dtype=np.uint8)
        before = held[marks].astype(int)
        after = np.clip(before + step * counts, 0, MARK_MAX)
        held[marks] = np.where(before == MARK_MAX, before, after)


class Remembered:
    """Ids with the time of their newest use, in the order of that."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._begin = 0  # of the first block: uses before it are forgotten
        self._again = 0  # uses that a newer one of the same id has taken the place of
        self._count = 0
        self._marks = _Marks()  # of full blocks
        self._asked: tuple[str, bytes, tuple[int, int] | None] = "", b"", None

    def __len__(self) -> int:
        """Ids remembered."""
        return self._count

    def get(self, key: str) -> int | None:
        """When the id was used last; None where it is not known."""
        name = _name(key)
        found = self._find(name)
        self._asked = key, name, found
        return None if found is None else self._blocks[found[0]].times[found[1]]

    def put(self, key: str, time: int) -> None:
        """The id was used; one that is used again is the newest."""
        asked, name, found = self._asked
        if asked == key and name:  # as it should be: who puts has asked whether it is known
            self._put(name, time, known=found is not None)
            return
        name = _name(key)
        self._put(name, time, known=self._find(name) is not None)

    def _put(self, name: bytes, time: int, *, known: bool) -> None:
        self._asked = "", b"", None
        self._count += not known
        self._again += known
        if not self._blocks or self._blocks[-1].full:
            self._blocks.append(_Block())
        newest = self._blocks[-1]
        newest.add(name, time)
        if newest.full:
            self._blocks[-1] = _FULL.setdefault(_content(newest.names, newest.times), newest)
            self._marks.count(newest.names, 1)

    def _find(self, name: bytes) -> tuple[int, int] | None:
        """Block and position of its newest use, unless that is forgotten."""
        count = len(self._blocks)
        last = 0 if self._marks.maybe(name) else max(count - 1, 0)
        for number in range(count - 1, last - 1, -1):
            position = self._blocks[number].find(name)
            if position >= 0:
                return (number, position) if number or position >= self._begin else None
        return None

    def forget(self, *, kept_max: int, since: int) -> None:
        """The oldest go, until there are so few and the oldest was used at that time or later."""
        self._asked = "", b"", None
        while self._count:
            first = self._blocks[0]
            counts = self._counts(0, self._begin)
            if counts and self._count <= kept_max and first.times[self._begin] >= since:
                return
            self._count -= counts
            self._again -= not counts
            self._begin += 1
            if self._begin == len(first):
                if first.full:
                    self._marks.count(first.names, -1)
                del self._blocks[0]
                self._begin = 0

    def _counts(self, number: int, position: int) -> bool:
        """Whether it is the newest use of its id."""
        name = self._blocks[number].name(position) if self._again else b""
        return not self._again or self._find(name) == (number, position)

    # -- written down ------------------------------------------------------------------------------

    def written(self) -> tuple[bytes, bytes]:
        """All digests, and all times as little-endian numbers of 64 bits, oldest first."""
        names, times = bytearray(), array("q")
        for number, block in enumerate(self._blocks):
            begin = 0 if number else self._begin
            if not self._again:
                names += memoryview(block.names)[begin * NAME_BYTES :]
                times += block.times[begin:]
                continue
            for position in range(begin, len(block)):
                if self._counts(number, position):
                    names += block.name(position)
                    times.append(block.times[position])
        return bytes(names), np.array(times, dtype="<i8").tobytes()

    @classmethod
    def read(cls, names: bytes, times: bytes) -> Remembered:
        """What `written` gave. Raises ValueError where they are not of the same length."""
        count, rest = divmod(len(names), NAME_BYTES)
        if rest or count * TIME_BYTES != len(times):
            message = f"{len(names)} bytes of ids, {len(times)} of their times"
            raise ValueError(message)
        made, at = cls(), array("q", np.frombuffer(times, dtype="<i8").astype(np.int64).tobytes())
        tails = np.frombuffer(names, dtype=">u8")[1::2]
        if len(np.unique(tails)) < count:  # never by ourselves: an id stands there twice
            for place, time in enumerate(at):
                name = names[place * NAME_BYTES : (place + 1) * NAME_BYTES]
                made._put(name, time, known=made._find(name) is not None)
            return made
        start = 0
        for cut in [*(np.flatnonzero((tails & np.uint64(CUT_MASK)) == 0) + 1).tolist(), count]:
            while start < cut:
                stop = min(cut, start + BLOCK_MAX)
                made._take(names[start * NAME_BYTES : stop * NAME_BYTES], at[start:stop])
                start = stop
        return made

    def _take(self, names: bytes, times: array[int]) -> None:
        """A run of uses that is one block: what another shard holds is not built again."""
        content = _content(names, times)
        block = _FULL.get(content)
        if block is None:
            block = _Block()
            for place, time in enumerate(times):
                block.add(names[place * NAME_BYTES : (place + 1) * NAME_BYTES], time)
            if block.full:
                _FULL[content] = block
        if block.full:
            self._marks.count(block.names, 1)
        self._blocks.append(block)
        self._count += len(times)

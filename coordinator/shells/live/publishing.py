"""Publishing: a shard's outputs to its decisions partition, one batch in flight, foreign ones seen.

Place in the flow: between a shard and the log, in the shard's own thread. Outputs are sent in order
and in groups: what is said while a send is on its way goes with the next one. Whoever else writes
there must have written the same: a zombie repeats, it never differs. What it repeats from before
our time is compared with what stands in the log. It must never send after a failed send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from coordinator.core.ports import Append, LogReader
from coordinator.core.shard import Diverged
from coordinator.log.kafka.sending import Sent
from coordinator.log.live import begin_of
from coordinator.shells.live.broker_time import BrokerTime
from schemas.canonical import digest
from schemas.decisions import RoundClosed
from schemas.entries import decode_head, opening

__all__ = ["Publisher", "SendingLog"]

_ROUND = opening(RoundClosed)
BATCH_RECORDS_MAX = 500
BATCH_BYTES_MAX = 4 << 20
REMEMBERED_MAX = 20_000
"""Outputs of our own whose hashes are kept to compare what a zombie says; it lives not for long.

As many of somebody who is ahead of us: the nearest ones; what lies further is not compared.
"""
HASH_BYTES = 32
LOOK_BACK = 1_000
"""Positions read first to find what a zombie repeats from before our time; then more each time."""
LOOK_BACK_MAX = 50_000
"""Positions after which it is given up: a zombie repeats what was said not long ago."""


class SendingLog(LogReader, Protocol):
    """A log that can be told to append without waiting."""

    def append_soon(self, batch: Sequence[Append]) -> Future[list[Sent]]:
        """Start an append."""
        ...


class _Said:
    """Hashes of the newest outputs of our own, whose seqs follow each other: 32 bytes each."""

    def __init__(self) -> None:
        self.newest = -1
        self._hashes = bytearray()

    def __len__(self) -> int:
        return len(self._hashes) // HASH_BYTES

    def put(self, seq: int, found: str) -> None:
        """The next one; behind a gap it is the first."""
        if seq != self.newest + 1:
            self._hashes.clear()
        self._hashes += bytes.fromhex(found)
        self.newest = seq

    def forget(self, kept_max: int) -> None:
        """The oldest go."""
        del self._hashes[: max(0, len(self) - kept_max) * HASH_BYTES]

    def get(self, seq: int) -> str | None:
        """Its hash; None where it is not, or no longer, among them."""
        at = len(self) - 1 - self.newest + seq
        if not 0 <= at < len(self):
            return None
        return self._hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES].hex()


class Publisher:
    """One shard's way out. Call `say`, then `flush_soon` often, and `flush` before a checkpoint.

    wake: called from another thread when a send is through. end: where the partition ended when the
    owner had read it. repeated: told how many outputs of somebody else were found.
    broker_time: told what is acknowledged.
    """

    def __init__(
        self,
        log: SendingLog,
        shard: int,
        *,
        wake: Callable[[], None],
        end: int,
        repeated: Callable[[int], None] = lambda _: None,
        broker_time: BrokerTime | None = None,
    ) -> None:
        self._broker_time = BrokerTime() if broker_time is None else broker_time
        self._sent = 0
        self._log = log
        self._shard = shard
        self._wake = wake
        self._end = end
        self._repeated = repeated
        self._waiting: list[tuple[bytes, int]] = []
        self._waiting_bytes = 0
        self._sending: Future[list[Sent]] | None = None
        self._count = 0
        self._urgent = False
        self._furthest = -1
        self._ours = _Said()
        self._theirs: dict[int, str] = {}

    @property
    def idle(self) -> bool:
        """Whether everything said is acknowledged."""
        return not self._waiting and self._sending is None

    @property
    def full(self) -> bool:
        """Whether so much waits that the engine should wait, too."""
        return self._waiting_bytes > 2 * BATCH_BYTES_MAX

    def say(self, entries: Sequence[bytes], journal_time: int) -> None:
        """Put outputs in line. Raises Diverged when somebody said otherwise."""
        for entry in entries:
            seq, found = decode_head(entry).seq, digest(entry)
            self._compare(seq, found, self._theirs.pop(seq, None))
            self._ours.put(seq, found)
            self._waiting.append((entry, journal_time))
            self._waiting_bytes += len(entry)
            self._urgent |= entry.startswith(_ROUND)
        self._ours.forget(REMEMBERED_MAX)

    def flush_soon(self, *, urgent_only: bool = False) -> int:
        """Take note of what is through, send what waits; returns outputs acknowledged since.

        urgent_only: more is about to be said, so only the end of a round is sent at once.
        """
        done = 0
        if self._sending is not None and self._sending.done():
            done = self._settle()
        if self._sending is None and self._waiting and (self._urgent or not urgent_only):
            self._send()
        return done

    def flush(self) -> int:
        """Wait until everything said is acknowledged. Raises LogUnavailable, Diverged."""
        done = 0
        while not self.idle:
            if self._sending is not None:
                self._sending.exception()  # waits; raised below
                done += self._settle()
            if self._waiting:
                self._send()
        return done

    def _send(self) -> None:
        batch: list[Append] = []
        size = 0
        while len(batch) < min(BATCH_RECORDS_MAX, len(self._waiting)):
            entry, time = self._waiting[len(batch)]
            if batch and size + len(entry) > BATCH_BYTES_MAX:
                break
            batch.append(Append("decisions", self._shard, entry, time))
            size += len(entry)
        self._sent = self._broker_time.monotonic()
        self._sending = self._log.append_soon(batch)
        del self._waiting[: len(batch)]
        self._waiting_bytes -= size
        self._count = len(batch)
        self._urgent = bool(self._waiting)
        self._sending.add_done_callback(lambda _: self._wake())

    def _settle(self) -> int:
        """The send is through: where it stands tells whether somebody else wrote meanwhile."""
        if self._sending is None:
            return 0
        sent = self._sending.result()  # a failed one stays: nothing is ever sent behind it
        self._sending = None
        self._broker_time.told(appended_at=sent[-1].at, sent=self._sent)
        expected = self._end
        for one in sent:
            if one.offset < expected:
                reason = f"the topic was cut or made anew: it goes on at {one.offset}"
                raise Diverged(self._shard, expected, reason, of="decisions position")
            if one.offset > expected:
                self._look_at(expected, one.offset)
            expected = one.offset + 1
        self._end = expected
        return self._count

    def _look_at(self, start: int, stop: int) -> None:
        """What another owner wrote between ours: the same, or this shard halts."""
        newest, count = self._ours.newest, 0
        older: dict[int, str] = {}
        for record in self._log.read("decisions", self._shard, start, stop):
            seq, found = decode_head(record.payload).seq, digest(record.payload)
            count += 1
            self._refuse_gap(seq, newest)
            known = self._ours.get(seq)
            if known is None:
                seen = self._theirs if seq > newest else older
                known = seen.get(seq)
                if seen is older or len(seen) < REMEMBERED_MAX:
                    seen[seq] = found
            self._compare(seq, found, known)
        if count:
            self._repeated(count)
            self._look_back(older, start)

    def _refuse_gap(self, seq: int, newest: int) -> None:
        """Somebody ahead of us says what comes next: no reader can go on behind a gap."""
        if self._ours and seq > max(newest, self._furthest) + 1:
            raise Diverged(self._shard, seq, "it stands behind a gap", of="output with seq")
        self._furthest = max(self._furthest, seq)

    def _look_back(self, wanted: dict[int, str], stop: int) -> None:
        """Compare repeats of outputs that we did not say, or forgot, with those in the log."""
        left = set(wanted)
        begin = max(begin_of(self._log, "decisions", self._shard), stop - LOOK_BACK_MAX)
        step = LOOK_BACK
        while left and stop > begin:
            start = max(begin, stop - step)
            for record in self._log.read("decisions", self._shard, start, stop):
                seq = decode_head(record.payload).seq
                if seq in wanted:
                    self._compare(seq, wanted[seq], digest(record.payload))
                    left.discard(seq)
            stop, step = start, step * 4

    def _compare(self, seq: int, found: str, known: str | None) -> None:
        if known not in (None, found):
            raise Diverged(self._shard, seq, "somebody said otherwise", of="output with seq")

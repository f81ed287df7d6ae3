"""Forked: hands of an engine that are processes forked for one moment.

Place in the flow: beneath a shell's engines, above the core, which asks through
`coordinator.core.together`. A child has the state as it is at the fork, and works out rounds from
the last name backwards; the engine goes forwards, and takes what has arrived by then. So they meet
wherever they meet, and nobody waits for more than the round that is worked at just then. A child
that dies, raises, sends what is no answer or does not answer costs time, never an answer: the
engine works out the rest itself, and meets what the child met. It must never leave a child behind,
nor let one touch what the engine holds open.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import pickle
import select
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isqrt
from pathlib import Path
from time import monotonic
from typing import NoReturn

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.together import Shared, Told, Work

__all__ = ["ROUNDS_MIN", "ForkedHands", "cores", "engine_on_cores"]

ROUNDS_MIN = 8
"""Fewer rounds are not worth a fork. Measured: in a process of 280 MB it takes 5 to 8 ms, and the
pages written after it about as much; a round over 100 instruments takes 4 to 6 ms."""
PIPE_BYTES = 1 << 20
"""A child can be ahead by so much: six rounds over 100 instruments. As much as Linux allows."""
MESSAGE_BYTES_MAX = 1 << 30
LENGTH_BYTES = 4
WAIT_S_MAX = 10.0
"""An engine waits so long for the children of one moment, in all. Who did not answer by then most
likely never will (it was forked from within somebody's lock): that engine forks no more."""
ENDING = (signal.SIGTERM, signal.SIGINT)
"""Signals that end a child at once, whatever the engine's process makes of them."""
DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl.h."""
STANDARD = (0, 1, 2)
OPEN = Path("/proc/self/fd")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""What a container may use: microseconds of processor time in so many, or max."""
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None


def cores() -> int:
    """Cores that this process may use: those it may run on, no more than its container's share."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    found = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = map(int, QUOTA.read_text().split())  # "max" is no number
        found = min(found, max(1, quota // max(period, 1)))
    return found


def engine_on_cores(*, shard: int, shards: int) -> Engine:
    """An engine of this build whose rounds use every core that this process may use."""
    return build_engine(shard=shard, shards=shards, hands=ForkedHands(cores()))


class ForkedHands:
    """Hands for one engine. taken: rounds that children have worked out for it so far.

    No other thread of the process may solve or decide meanwhile: a child would wait for its lock.
    """

    def __init__(self, processes: int) -> None:
        """processes: that work out rounds, the engine's own included; 1: it alone."""
        self._children = processes - 1 if sys.platform == "linux" else 0
        self.taken = 0

    def share(self, names: Sequence[str], work: Work) -> Shared | None:
        """Children for these rounds; None where there are too few of them, or nobody else."""
        if self._children < 1 or len(names) < ROUNDS_MIN:
            return None
        # n rounds by p processes take n / p rounds and p - 1 forks, which take about as long as
        # rounds: least where p is the root of n, however many cores there are.
        count = min(self._children, isqrt(len(names)) - 1)
        return _Children(self, names, work, count=count)

    def give_up(self) -> None:
        """Fork no more."""
        self._children = 0


class _Children:
    """Children at work on some names: child j of c on the last but j, and on every c-th before it.

    The first round is worked out before anybody is forked: what it shares with the others, such as
    the covariance and what sources say together, is then there for all.
    """

    def __init__(self, hands: ForkedHands, names: Sequence[str], work: Work, *, count: int) -> None:
        self._hands = hands
        self._names = names
        self._work = work
        self._count = count
        self._last = len(names) - 1
        self._places = {name: place for place, name in enumerate(names)}
        self._children: list[_Child] = []
        self._forked = self._searches = False
        self._patience = WAIT_S_MAX

    def take(self, name: str) -> Sequence[Told] | None:
        """What a child has worked out of that round; None where none has."""
        place = self._places[name]
        if place == 0:
            return None
        try:
            if not self._forked:
                self._forked = True
                self._fork()
            found = self._arrived(place)
        except Exception:  # noqa: BLE001 - whatever it is, the engine can work without children
            self.close()
            return None
        self._hands.taken += found is not None
        return found

    def close(self) -> None:
        """End all children that there are."""
        try:
            with _undisturbed():
                while self._children:
                    self._children.pop().end()
        finally:
            if self._searches:
                self._searches = False
                gc.enable()

    def _fork(self) -> None:
        """As many children as there can be; what a missing one would do is the engine's.

        While they are there, no garbage is searched for: that writes to every page, and each that
        is written to is copied.
        """
        self._searches = gc.isenabled()
        gc.disable()
        with _undisturbed():
            for number in range(self._count):
                names = self._names[self._last - number : 0 : -self._count]
                try:
                    self._children.append(_forked(names, self._work))
                except OSError:
                    return

    def _arrived(self, place: int) -> Sequence[Told] | None:
        back = self._last - place
        number, index = back % self._count, back // self._count
        self._read(0.0)
        if number >= len(self._children):
            return None
        child = self._children[number]
        if index == len(child.answers):  # it is at work on just this one
            self._wait(child, index)
        self._let_off(place)
        answer = child.answers[index] if index < len(child.answers) else b""
        if not answer:
            return None
        child.answers[index] = bytearray()
        return _told(answer)

    def _let_off(self, place: int) -> None:
        """Stop whoever could only answer for what is past; they end while the rest is applied."""
        for number, child in enumerate(self._children):
            if self._last - number - len(child.answers) * self._count < place:
                child.stop()

    def _wait(self, child: _Child, index: int) -> None:
        """Until the child has told that many, has ended, or all patience has."""
        began = monotonic()
        while child.running and len(child.answers) <= index:
            left = began + self._patience - monotonic()
            if left <= 0:
                child.stop()
                self._hands.give_up()
                break
            self._read(left)
        self._patience -= monotonic() - began

    def _read(self, wait_s: float) -> None:
        """What has arrived of anybody; waits for something to arrive, no longer than that."""
        asked = select.poll()
        running = {child.reads: child for child in self._children if child.running}
        for descriptor in running:
            asked.register(descriptor, select.POLLIN)
        for descriptor, _ in asked.poll(1_000 * wait_s):
            running[descriptor].read()


class _Child:
    """A child as the engine's process sees it.

    answers: one for each of its names, in their order; empty where it has none.
    """

    def __init__(self, pid: int, reads: int) -> None:
        self._pid = pid
        self.reads = reads
        self.running = True
        self.answers: list[bytearray] = []
        self._head, self._body = bytearray(LENGTH_BYTES), bytearray()
        self._open = memoryview(self._head)
        self._in_body = False

    def read(self) -> None:
        """Take what has arrived; at the end of it, or where it makes no sense, the child stops."""
        try:
            while count := os.readv(self.reads, [self._open]):
                self._open = self._open[count:]
                if not self._open and not self._next():
                    break
        except BlockingIOError:
            return
        self.stop()

    def _next(self) -> bool:
        """A length, or the answer of that length, is there; whether what comes now can be one."""
        length = 0 if self._in_body else int.from_bytes(self._head, "big")
        if length > MESSAGE_BYTES_MAX:
            return False
        if length:
            self._in_body, self._body = True, bytearray(length)
            self._open = memoryview(self._body)
            return True
        self.answers.append(self._body)
        self._in_body, self._body = False, bytearray()
        self._open = memoryview(self._head)
        return True

    def stop(self) -> None:
        """Let it work no more; what it has answered stays."""
        if self.running:
            self.running = False
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def end(self) -> None:
        """Leave nothing of it. Once. Never raises for what the system makes of it."""
        with suppress(OSError):
            self.stop()
        with suppress(OSError):
            os.close(self.reads)
        with suppress(OSError):
            os.waitpid(self._pid, 0)


def _told(answer: bytes | bytearray) -> list[Told]:
    """What a child has answered. Raises whatever it may where that makes no sense."""
    found = pickle.loads(answer)  # noqa: S301 - our own fork wrote it
    if not isinstance(found, list) or not all(isinstance(one, Told) for one in found):
        message = "a child's answer that is none"
        raise TypeError(message)
    return found


def _forked(names: Sequence[str], work: Work) -> _Child:
    """A child at work on these. Raises OSError where there can be none."""
    reads, writes = os.pipe()
    engine = os.getpid()
    try:
        with suppress(OSError):
            fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(reads, False)
        with warnings.catch_warnings():
            # Of other threads the child needs none: it computes, and writes to its pipe.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            _serve(names, work, writes, engine)
    except BaseException:
        os.close(reads)
        raise
    finally:
        os.close(writes)
    return _Child(pid, reads)


def _serve(names: Sequence[str], work: Work, writes: int, engine: int) -> NoReturn:
    """The child: answers name by name, and ends without a word, however it does."""
    try:
        writes = _let_go(writes, engine)
        for name in names:
            answer = _answer(name, work)
            message = memoryview(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
            while message:
                message = message[os.write(writes, message) :]
    except BaseException:  # noqa: BLE001, S110 - the engine sees that there is no answer
        pass
    finally:
        os._exit(0)


def _let_go(writes: int, engine: int) -> int:
    """Nothing is held open but the pipe, so that locks and connections end with the engine's end.

    Returns the pipe. What anybody prints goes nowhere.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    if _prctl is not None:
        _prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != engine:
        os._exit(0)
    kept = fcntl.fcntl(writes, fcntl.F_DUPFD_CLOEXEC, len(STANDARD))
    try:
        opened = [int(entry.name) for entry in OPEN.iterdir()]
    except OSError:  # where nobody says what is open, all that may be
        os.closerange(0, kept)
        os.closerange(kept + 1, max(os.sysconf("SC_OPEN_MAX"), kept + 1))
        opened = []
    for descriptor in opened:
        if descriptor != kept:
            with suppress(OSError):
                os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in STANDARD:
        os.dup2(nowhere, descriptor)
    return kept


def _answer(name: str, work: Work) -> bytes:
    """Empty where it raises: the engine meets the same, and knows what to do with it."""
    try:
        return pickle.dumps(list(work(name)), pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - as said above
        return b""


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal comes between a child and the note of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

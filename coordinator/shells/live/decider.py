"""Decider: the engines of a worker in a process of their own, and how they are spoken to.

Place in the flow: beneath the shards' owners. Measured: in one process, a round waited half as long
again for the interpreter, which the broker's connections held. Forked before the worker has threads
and connections, so it decides with the very same code. It ends when the worker does, however that
went; when it ends by itself, the worker does. It must never read a log or a setting, nor
a clock but to tell how long a step took.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeAlias

from coordinator.core.checkpoint import CheckpointError
from coordinator.core.deciding import NO_FAILURES
from coordinator.core.engine import (
    Engine,
    EngineError,
    EngineSealedError,
    EvolveFailed,
    NotStarted,
    WrongShards,
)
from coordinator.core.ports import Record
from coordinator.shells.live.collecting import collect_seldom, settle
from schemas.decisions import RoundClosed
from schemas.entries import GENESIS, opening

__all__ = ["Decider", "DeciderGone", "RemoteEngine"]

_ROUND = opening(RoundClosed)
WORKERS = (signal.SIGTERM, signal.SIGINT)
"""Signals that are the worker's to obey: it ends, and then the deciding process does."""
TOGETHER_MAX = 256
TOGETHER_BYTES = 1 << 20
EngineFactory: TypeAlias = Callable[[int, int], Engine]
"""Makes the engine of a shard of so many."""


class DeciderGone(Exception):
    """The deciding process has ended: the worker ends, too, and is to be started again."""


class Seen(NamedTuple):
    """How an engine stood after a step: `coordinator.core.deciding.Standing`, and more."""

    shard: int
    position: int = -1
    seq: int = 0
    last_hash: str = GENESIS
    clock: int = 0
    decisions: int = 0
    build: str = ""
    dependencies: str = ""
    fingerprint: str = ""
    sealed: bool = False
    pace_ms: int = 0
    portfolios: int = 0
    deadline: int | None = None
    begins: int | None = None


class Done(NamedTuple):
    """What a record led to."""

    outputs: list[bytes]
    seen: Seen
    took: int


class Failure(NamedTuple):
    """What was raised over there."""

    kind: str
    message: str
    evolve: tuple[int, str, str] | None = None


_KINDS: Mapping[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        CheckpointError,
        EngineError,
        EngineSealedError,
        NotStarted,
        WrongShards,
        MemoryError,
        OSError,
    )
}


def _failure(error: BaseException) -> Failure:
    if isinstance(error, EvolveFailed):
        return Failure("", "", (error.position, error.unit, error.error))
    name = type(error).__name__
    if name in _KINDS:
        return Failure(name, str(error))
    return Failure("", "".join(traceback.format_exception(error)))


def _raised(failure: Failure) -> Exception:
    if failure.evolve is not None:
        return EvolveFailed(*failure.evolve)
    return _KINDS.get(failure.kind, RuntimeError)(failure.message)


class Decider:
    """The deciding process. Make it early: it is forked. `close` when the worker ends.

    make: makes an engine, over there. Safe for any number of threads: one speaks at a time.
    """

    def __init__(self, make: EngineFactory) -> None:
        self._mutex = threading.Lock()
        self._ours, theirs = Pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WORKERS)
        with warnings.catch_warnings():
            # BLAS has threads, idle and sure to survive this; the fork never runs what they run.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            self._ours.close()
            _serve(theirs, make)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def engine(self, shard: int, shards: int) -> RemoteEngine:
        """The engine of a shard, at the beginning of its journal."""
        return RemoteEngine(self, shard, shards)

    def settle(self) -> None:
        """What the engines hold now stays: it is not searched for garbage again."""
        self.ask("settle", 0)

    def ask(self, what: str, shard: int, *more: Any) -> Any:
        """The answer. Raises what was raised over there, and DeciderGone."""
        message = pickle.dumps((what, shard, more), pickle.HIGHEST_PROTOCOL)
        try:
            with self._mutex:
                self._ours.send_bytes(message)
                answer = self._ours.recv_bytes()
        except (EOFError, OSError) as error:
            raise DeciderGone("the deciding process has ended") from error
        found = pickle.loads(answer)  # noqa: S301 - our own fork wrote it
        if isinstance(found, Failure):
            raise _raised(found)
        return found

    def close(self) -> None:
        """Let it end."""
        with self._mutex:
            self._ours.close()
        os.waitpid(self.pid, 0)


def _serve(connection: Connection, make: EngineFactory) -> None:
    """The other process: answers until nobody asks any more; never returns."""
    for number in WORKERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKERS)
    collect_seldom()
    engines: dict[int, Engine] = {}
    code = 0
    try:
        while True:
            what, shard, more = pickle.loads(connection.recv_bytes())  # noqa: S301 - as above
            try:
                answer = _ANSWERS[what](engines, make, shard, *more)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised over there
                answer = _failure(error)
            connection.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        pass
    except BaseException:  # noqa: BLE001 - no memory left even to say so
        code = 1
    finally:
        os._exit(code)


def _made(engines: dict[int, Engine], make: EngineFactory, shard: int, shards: int) -> Seen:
    engines[shard] = make(shard, shards)
    return _seen(engines[shard])


def _reset(engines: dict[int, Engine], _: EngineFactory, shard: int) -> Seen:
    engines[shard].reset()
    return _seen(engines[shard])


def _restored(engines: dict[int, Engine], _: EngineFactory, shard: int, state: bytes) -> Seen:
    engines[shard].restore(state)
    return _seen(engines[shard])


def _checkpoint(engines: dict[int, Engine], _: EngineFactory, shard: int) -> bytes:
    return engines[shard].checkpoint()


def _settled(_: dict[int, Engine], __: EngineFactory, ___: int) -> None:
    settle()


def _stepped(
    engines: dict[int, Engine],
    _: EngineFactory,
    shard: int,
    records: Sequence[tuple[int, int, bytes]],
    failures: Mapping[str, str],
) -> tuple[list[Done], Failure | None]:
    """As many of the records as there are before a failure, a seal, or the end of a round."""
    engine = engines[shard]
    done: list[Done] = []
    for position, time, payload in records:
        record = Record("journal", shard, position, time, payload)
        try:
            began = perf_counter_ns()
            outputs = engine.step(record, failures=failures)
            took = perf_counter_ns() - began
        except Exception as error:  # noqa: BLE001 - what was done before it counts
            return done, _failure(error)
        done.append(Done(outputs, _seen(engine), took))
        if engine.state.sealed or any(entry.startswith(_ROUND) for entry in outputs):
            break
    return done, None


def _seen(engine: Engine) -> Seen:
    state = engine.state
    return Seen(
        state.shard, state.position, state.seq, state.last_hash, state.clock, state.decisions,
        state.build, state.dependencies, state.fingerprint, state.sealed, state.pace_ms,
        engine.portfolios, engine.next_deadline(), engine.next_begin(),
    )  # fmt: skip


_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "make": _made,
    "reset": _reset,
    "restore": _restored,
    "checkpoint": _checkpoint,
    "settle": _settled,
    "step": _stepped,
}


class RemoteEngine:
    """An engine of the deciding process, as its owner sees it: `coordinator.core.deciding`.

    For one thread.
    """

    def __init__(self, decider: Decider, shard: int, shards: int) -> None:
        self._decider = decider
        self._shard = shard
        self._expected: deque[Record] = deque()
        self._done: deque[Done] = deque()
        self._failed: Failure | None = None
        self._took = 0
        self._seen: Seen = decider.ask("make", shard, shards)

    @property
    def state(self) -> Seen:
        """How it stood after the last step."""
        return self._seen

    @property
    def position(self) -> int:
        """Journal position applied last, -1 before the first."""
        return self._seen.position

    @property
    def seq(self) -> int:
        """Outputs said so far."""
        return self._seen.seq

    @property
    def last_hash(self) -> str:
        """Hash of the last output entry."""
        return self._seen.last_hash

    @property
    def clock(self) -> int:
        """The engine's time, ns."""
        return self._seen.clock

    @property
    def decisions(self) -> int:
        """Allocations decided so far."""
        return self._seen.decisions

    @property
    def portfolios(self) -> int:
        """Portfolios of this shard."""
        return self._seen.portfolios

    @property
    def ahead(self) -> bool:
        """Whether records that were expected are decided, and their outputs not taken yet."""
        return bool(self._done)

    @property
    def took(self) -> int:
        """Nanoseconds of the last step, over there."""
        return self._took

    def next_deadline(self) -> int | None:
        """When the earliest timer is due, ns."""
        return self._seen.deadline

    def next_begin(self) -> int | None:
        """From when on a record may open a round, ns; None while none can."""
        return self._seen.begins

    def expect(self, records: Sequence[Record]) -> None:
        """These are stepped next: as far as they follow each other they are sent together."""
        if self._done:
            raise RuntimeError("expected records are not all taken yet")
        self._expected.clear()
        size, position = 0, self.position
        for record in records:
            if record.position <= position and not self._expected:
                continue
            size += len(record.payload)
            full = len(self._expected) >= TOGETHER_MAX or (self._expected and size > TOGETHER_BYTES)
            if record.position != position + 1 or full:
                break
            self._expected.append(record)
            position += 1

    def step(self, record: Record, *, failures: Mapping[str, str] = NO_FAILURES) -> list[bytes]:
        """Apply one journal record; returns its output entries."""
        if not self._done and self._failed is None:
            self._send(record, failures)
        if not self._done:
            failed, self._failed = self._failed, None
            if failed is None:
                raise RuntimeError("the deciding process gave no answer")
            raise _raised(failed)
        outputs, self._seen, self._took = self._done.popleft()
        return outputs

    def _send(self, record: Record, failures: Mapping[str, str]) -> None:
        if failures or not self._expected or self._expected[0].position != record.position:
            self._expected.clear()
            self._expected.append(record)
        batch = [(one.position, one.journal_time, one.payload) for one in self._expected]
        done, self._failed = self._decider.ask("step", self._shard, batch, dict(failures))
        self._done.extend(done)
        for _ in range(len(done) + (self._failed is not None)):
            self._expected.popleft()

    def reset(self) -> None:
        """Back to the beginning of the journal."""
        self._forget()
        self._seen = self._decider.ask("reset", self._shard)

    def restore(self, checkpoint: bytes) -> None:
        """Start from a checkpoint. Raises CheckpointError."""
        self._forget()
        self._seen = self._decider.ask("restore", self._shard, checkpoint)

    def checkpoint(self) -> bytes:
        """The whole state, to restore from."""
        if self._done:
            raise RuntimeError("outputs of expected records are not taken yet")
        state: bytes = self._decider.ask("checkpoint", self._shard)
        return state

    def _forget(self) -> None:
        self._expected.clear()
        self._done.clear()
        self._failed = None

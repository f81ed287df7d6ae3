"""Decider: the engines of a worker in a process of their own.

Place in the flow: beneath the shards' owners. Measured: in one process, a round waited half as long
again for the interpreter, which the broker's connections held. Forked before the worker has threads
and connections, so it decides with the very same code. It ends when the worker does, however that
went; when it ends by itself, the worker does. It must never read a log or a setting, nor
a clock but to tell how long a step took.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import perf_counter_ns
from typing import Any, TypeAlias, cast

from coordinator.core.engine import (
    Engine,
)
from coordinator.core.ports import Record
from coordinator.shells.live.collecting import collect_seldom, settle
from coordinator.shells.live.remote_engine import (
    Done,
    Failure,
    RemoteEngine,
    Seen,
    failure,
    raised,
)
from schemas.decisions import RoundClosed
from schemas.entries import opening

__all__ = ["Decider", "DeciderGone"]

_ROUND = opening(RoundClosed)
WORKERS = (signal.SIGTERM, signal.SIGINT)
"""Signals that are the worker's to obey: it ends, and then the deciding process does."""
EngineFactory: TypeAlias = Callable[[int, int], Engine]
"""Makes the engine of a shard of so many."""


Question: TypeAlias = tuple[Any, ...]
"""What, of which shard, and more."""


class DeciderGone(Exception):
    """The deciding process has ended: the worker ends, too, and is to be started again."""


class Decider:
    """The deciding process. Make it early: it is forked. `close` when the worker ends.

    make: makes an engine, over there. Safe for any number of threads: each of so many shards has a
    line of its own, so that over there the next question is at hand when one is answered.
    """

    def __init__(self, make: EngineFactory, shards: int) -> None:
        pairs = [Pipe() for _ in range(shards)]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WORKERS)
        with warnings.catch_warnings():
            # BLAS has threads, idle and sure to survive this; the fork never runs what they run.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            for ours, _ in pairs:
                ours.close()
            _serve([theirs for _, theirs in pairs], make)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for _, theirs in pairs:
            theirs.close()
        self._lines = [_Line(ours) for ours, _ in pairs]

    def engine(self, shard: int, shards: int) -> RemoteEngine:
        """The engine of a shard, at the beginning of its journal."""
        return RemoteEngine(self.ask, shard, shards)

    def settle(self) -> None:
        """What the engines hold now stays: it is not searched for garbage again."""
        self.ask("settle", 0)

    def ask(self, what: str, shard: int, *more: Any) -> Any:
        """The answer. Raises what was raised over there, and DeciderGone."""
        found = self._lines[shard].ask(what, shard, *more)
        if isinstance(found, Failure):
            raise raised(found)
        return found

    def close(self) -> None:
        """Let it end."""
        for line in self._lines:
            line.close()
        os.waitpid(self.pid, 0)


class _Line:
    """A connection to the deciding process: one question at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mutex = threading.Lock()

    def ask(self, *question: Any) -> Any:
        """The answer. Raises DeciderGone."""
        message = pickle.dumps(question, pickle.HIGHEST_PROTOCOL)
        try:
            with self._mutex:
                self._connection.send_bytes(message)
                answer = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise DeciderGone("the deciding process has ended") from error
        return pickle.loads(answer)  # noqa: S301 - our own fork wrote it

    def close(self) -> None:
        """Nobody asks any more."""
        with self._mutex:
            self._connection.close()


def _serve(connections: Sequence[Connection], make: EngineFactory) -> None:
    """The other process: answers until nobody asks any more; never returns."""
    for number in WORKERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKERS)
    collect_seldom()
    engines: dict[int, Engine] = {}
    code = 0
    try:
        asking = selectors.DefaultSelector()
        for connection in connections:
            asking.register(connection, selectors.EVENT_READ)
        rounds: deque[tuple[Connection, Question]] = deque()
        while True:
            for key, _ in asking.select(0 if rounds else None):
                connection = cast("Connection", key.fileobj)
                question: Question = pickle.loads(connection.recv_bytes())  # noqa: S301 - as above
                if _ends_a_round(engines, *question):
                    rounds.append((connection, question))
                else:
                    _answer(connection, question, engines, make)
            if rounds:
                _answer(*rounds.popleft(), engines, make)
    except (EOFError, OSError):
        pass
    except BaseException:  # noqa: BLE001 - no memory left even to say so
        code = 1
    finally:
        os._exit(code)


def _ends_a_round(engines: Mapping[int, Engine], what: str, shard: int, *more: Any) -> bool:
    """Whether it takes long: what does not comes before it."""
    if what != "step":
        return False
    deadline = engines[shard].next_deadline()
    return deadline is not None and more[0][-1][1] > deadline


def _answer(
    connection: Connection, question: Question, engines: dict[int, Engine], make: EngineFactory
) -> None:
    what, shard, *more = question
    try:
        answer = _ANSWERS[what](engines, make, shard, *more)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised over there
        answer = failure(error)
    connection.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


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
    last = records[-1][0]
    for position, time, payload in records:
        record = Record("journal", shard, position, time, payload)
        try:
            began = perf_counter_ns()
            outputs = engine.step(record, failures=failures)
            took = perf_counter_ns() - began
        except Exception as error:  # noqa: BLE001 - what was done before it counts
            return done, failure(error)
        ends = engine.state.sealed or any(entry.startswith(_ROUND) for entry in outputs)
        seen = _seen(engine) if ends or outputs or position == last else None
        done.append(Done(outputs, seen, took))
        if ends:
            break
    return done, None


def _seen(engine: Engine) -> Seen:
    state = engine.state
    return Seen(
        state.shard, state.position, state.seq, state.last_hash, state.clock, state.decisions,
        state.build, state.dependencies, state.fingerprint, state.sealed, state.pace_ms,
        state.stagger_ms, engine.portfolios, engine.next_deadline(), engine.next_begin(),
    )  # fmt: skip


_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "make": _made,
    "reset": _reset,
    "restore": _restored,
    "checkpoint": _checkpoint,
    "settle": _settled,
    "step": _stepped,
}

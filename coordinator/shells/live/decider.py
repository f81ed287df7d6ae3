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
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from time import perf_counter_ns
from typing import Any, TypeAlias, cast

from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from coordinator.shells.live.collecting import collect_seldom, settle
from coordinator.shells.live.remote_engine import (
    Done,
    Failure,
    RemoteEngine,
    Replaced,
    Seen,
    failure,
    raised,
)
from schemas.decisions import RoundClosed
from schemas.entries import opening

__all__ = ["Decider", "DeciderGone"]

_ROUND = opening(RoundClosed)
GONE = "the deciding process has ended"
WORKERS = (signal.SIGTERM, signal.SIGINT)
"""Signals that are the worker's to obey: it ends, and then the deciding process does."""
EngineFactory: TypeAlias = Callable[[int, int], Engine]
"""Makes the engine of a shard of so many."""
Question: TypeAlias = tuple[Any, ...]
"""What, of which shard, who asks, and more."""


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
        self._numbers = count()

    def engine(self, shard: int, shards: int) -> RemoteEngine:
        """The engine of a shard, at the beginning of its journal."""
        return RemoteEngine(self.ask, shard, next(self._numbers), shards)

    def settle(self) -> None:
        """What the engines hold now stays: it is not searched for garbage again."""
        self.ask("settle", 0, -1)

    def check(self) -> None:
        """Raises DeciderGone where it has ended. Its end is left for `close` to wait for."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise DeciderGone(GONE)

    def ask(self, what: str, shard: int, number: int, *more: Any) -> Any:
        """The answer. Raises what was raised over there, and DeciderGone.

        number: who asks. A shard's engine answers only the one it was made for last.
        """
        found = self._lines[shard].ask(what, shard, number, *more)
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
            raise DeciderGone(GONE) from error
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
    there = _There(make)
    code = 0
    try:
        asking = selectors.DefaultSelector()
        for connection in connections:
            asking.register(connection, selectors.EVENT_READ)
        long: deque[tuple[Connection, Question]] = deque()
        while True:
            for key, _ in asking.select(0 if long else None):
                connection = cast("Connection", key.fileobj)
                question: Question = pickle.loads(connection.recv_bytes())  # noqa: S301 - as above
                if there.takes_long(*question):
                    long.append((connection, question))
                else:
                    _answer(connection, question, there)
            if long:
                _answer(*long.popleft(), there)
    except (EOFError, OSError):
        pass
    except BaseException:  # noqa: BLE001 - no memory left even to say so
        code = 1
    finally:
        os._exit(code)


def _answer(connection: Connection, question: Question, there: _There) -> None:
    try:
        answer = there.answer(*question)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised over there
        answer = failure(error)
    connection.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


class _There:
    """The engines over there, each with the number of whoever had it made."""

    def __init__(self, make: EngineFactory) -> None:
        self._make = make
        self._engines: dict[int, tuple[int, Engine]] = {}

    def takes_long(self, what: str, shard: int, number: int, *more: Any) -> bool:
        """Whether what does not take long goes first: all but a step that ends no round."""
        if what == "make":
            return False
        if what != "step":
            return True
        made_for, engine = self._engines[shard]
        deadline = engine.next_deadline()
        return number == made_for and deadline is not None and more[0][-1][1] > deadline

    def answer(self, what: str, shard: int, number: int, *more: Any) -> Any:
        """What is asked. Raises Replaced for whoever has a successor."""
        if what == "settle":
            return settle()
        if what == "make":
            self._engines[shard] = number, self._make(shard, *more)
        made_for, engine = self._engines[shard]
        if number != made_for:
            message = f"shard {shard} has another owner in this worker now"
            raise Replaced(message)
        return _ANSWERS[what](engine, *more)


def _made(engine: Engine, _: int) -> Seen:
    return _seen(engine)


def _reset(engine: Engine) -> Seen:
    engine.reset()
    return _seen(engine)


def _restored(engine: Engine, state: bytes) -> Seen:
    engine.restore(state)
    return _seen(engine)


def _checkpoint(engine: Engine) -> bytes:
    return engine.checkpoint()


def _stepped(
    engine: Engine, records: Sequence[tuple[int, int, bytes]], failures: Mapping[str, str]
) -> tuple[list[Done], Failure | None]:
    """As many of the records as there are before a failure, a seal, or the end of a round."""
    shard = engine.state.shard
    done: list[Done] = []
    last = records[-1][0]
    for position, time, payload in records:
        record = Record("journal", shard, position, time, payload)
        before = engine.state.sealed, engine.state.build
        try:
            began = perf_counter_ns()
            outputs = engine.step(record, failures=failures)
            took = perf_counter_ns() - began
        except Exception as error:  # noqa: BLE001 - what was done before it counts
            return done, failure(error)
        state = engine.state
        ends = state.sealed or any(entry.startswith(_ROUND) for entry in outputs)
        told = ends or outputs or position == last or before != (state.sealed, state.build)
        done.append(Done(outputs, _seen(engine) if told else None, took))
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
    "step": _stepped,
}

"""What can go wrong, one function each: it breaks something at a random moment, and lets it be.

Place in the flow: chaos calls one per round and then waits until all is well again.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.live.failing import JUMPS
from tests.live.rig import GONE, LAG_MAX, ROUTERS, SESSION_S, WORKERS, Rig
from tests.live.system import Part

__all__ = ["FAULTS", "OF_STORES", "Fault"]

Fault = Callable[[Rig, random.Random], None]
LATER_MAX_S = 3.0
HALF = 0.5
PLANTED_WITHIN_S = 20.0
SHED_WITHIN_S = 30.0
ENDED_WITHIN_S = 40.0
STANDS_S, GOES_S = 1.2, 0.1
"""Routers look once a second: the lag must not fall from all to nothing between two looks."""


def _kill(names: tuple[str, ...], rig: Rig, rng: random.Random) -> None:
    """kill -9; its successor comes at once or after seconds."""
    name = rng.choice(names)
    rig.parts[name].kill()
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    rig.start(name)


def _database(rig: Rig, rng: random.Random) -> None:
    """kill -9 of a database that is being filled; a Redis forgets all that it held."""
    server = rig.stores.servers[rng.choice(sorted(rig.stores.servers))]
    server.kill()
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    server.restart()


def _overload(rig: Rig, rng: random.Random) -> None:
    """More comes at once than may wait, and the engines only stutter, until signals are shed."""
    workers, before = [rig.parts[name] for name in WORKERS], _said(rig, "signals_shed")
    end = time.monotonic() + SHED_WITHIN_S
    _pause(workers)
    rig.feed.burst(LAG_MAX + rng.randrange(LAG_MAX // 4))
    while _said(rig, "signals_shed") == before and time.monotonic() < end:
        _pause(workers)
        time.sleep(STANDS_S)
        _resume(workers)
        time.sleep(GOES_S)
    _resume(workers)
    # Where stuttering was too little to get below what is held, it is once they go on.
    end = time.monotonic() + SHED_WITHIN_S
    while _said(rig, "signals_shed") == before:
        if time.monotonic() > end:
            rig.wrong["overload that shed nothing"] += 1
            break
        time.sleep(GOES_S)


def _pause(parts: list[Part]) -> None:
    for part in parts:
        part.pause()


def _resume(parts: list[Part]) -> None:
    for part in parts:
        part.resume()


def _said(rig: Rig, event: str) -> int:
    """How often the routers have logged that."""
    word = f'"event":"{event}"'
    return sum(rig.parts[name].log.read_text(errors="replace").count(word) for name in ROUTERS)


def _term(rig: Rig, rng: random.Random) -> None:
    """SIGTERM; it must end by itself, and well."""
    name = rng.choice(WORKERS)
    code = rig.parts[name].stop()
    if code != 0:
        rig.wrong[f"worker: SIGTERM ended with {code}"] += 1
    rig.start(name)


def _deciding(rig: Rig, rng: random.Random) -> None:
    """kill -9 of a worker's deciding process alone; the worker must end by itself, and say why."""
    name = rng.choice(WORKERS)
    part = rig.parts[name]
    rig.bereaved.add(part.log)
    if not part.kill_deciding():
        rig.wrong["worker without a deciding process"] += 1
        return
    try:
        code = part.process.wait(ENDED_WITHIN_S)
    except subprocess.TimeoutExpired:
        rig.wrong["worker that outlived its deciding process"] += 1
        part.kill()
    else:
        if code != 1 or GONE not in part.log.read_text(errors="replace"):
            rig.wrong[f"worker whose deciding process was killed ended with {code}"] += 1
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    rig.start(name)


def _zombie(names: tuple[str, ...], rig: Rig, rng: random.Random) -> None:
    """Stopped until its group has given it up, then it goes on as if nothing had been."""
    part = rig.parts[rng.choice(names)]
    part.pause()
    time.sleep(SESSION_S + rng.uniform(0.5, 2.5))
    part.resume()


def _broker(rig: Rig, rng: random.Random) -> None:
    """kill -9 of the only broker."""
    rig.broker.kill()
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    rig.broker.restart()


def _stall(rig: Rig, rng: random.Random) -> None:
    """Nothing passes between worker 2 and the broker, for less or more than its session."""
    rig.proxy.stall()
    time.sleep(rng.uniform(1.0, SESSION_S + 3.0))
    rig.proxy.flow()


def _disk(rig: Rig, rng: random.Random) -> None:
    """Nothing more fits on the broker's disk: it gives up, and comes back once there is room."""
    rig.broker.fill_disk()
    end = time.monotonic() + ENDED_WITHIN_S
    while rig.broker.running:
        if time.monotonic() > end:
            rig.wrong["broker that outlived its disk"] += 1
            break
        time.sleep(0.05)
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    rig.broker.restart()


def _clock(rig: Rig, rng: random.Random) -> None:
    """The clock of a worker's or router's machine jumps by an hour, and back after a while."""
    part = rig.parts[rng.choice((*WORKERS, *ROUTERS))]
    there, back = rng.choice((tuple(JUMPS), tuple(reversed(JUMPS))))
    _plant(rig, part, there)
    if rng.random() < HALF:  # what it knows of the broker's time must outlive a failed send
        _plant(rig, part, signal.SIGUSR1)
    time.sleep(rng.uniform(0.5, LATER_MAX_S))
    if part.running:
        _plant(rig, part, back)


def _send(names: tuple[str, ...], rig: Rig, rng: random.Random) -> None:
    """The next send fails: nothing left, or it did and the answer is lost."""
    _plant(rig, rig.parts[rng.choice(names)], rng.choice((signal.SIGUSR1, signal.SIGUSR2)))


def _plant(rig: Rig, part: Part, number: int) -> None:
    """Tell a part to fail, and wait until it has."""
    before = part.log.read_text(errors="replace").count('"event":"planted"')
    part.process.send_signal(number)
    end = time.monotonic() + PLANTED_WITHIN_S
    while part.log.read_text(errors="replace").count('"event":"planted"') == before:
        if time.monotonic() > end or not part.running:
            rig.wrong["planted fault that did not come to pass"] += 1
            return
        time.sleep(0.05)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "router killed": lambda rig, rng: _kill(ROUTERS, rig, rng),
        "worker killed": lambda rig, rng: _kill(WORKERS, rig, rng),
        "decider killed": _deciding,
        "broker killed": _broker,
        "broker's disk full": _disk,
        "worker terminated": _term,
        "worker zombie": lambda rig, rng: _zombie(WORKERS, rig, rng),
        "router zombie": lambda rig, rng: _zombie(ROUTERS, rig, rng),
        "link stalled": _stall,
        "worker's send fails": lambda rig, rng: _send(WORKERS, rig, rng),
        "router's send fails": lambda rig, rng: _send(ROUTERS, rig, rng),
        "clock jumps": _clock,
        "overloaded": _overload,
        "database killed": _database,
        "projector killed": lambda rig, rng: _kill(rig.projectors, rig, rng),
    }
)
"""By name, as `ops/chaos --only` takes them."""
OF_STORES = frozenset({"database killed", "projector killed"})
"""Those that need a database."""

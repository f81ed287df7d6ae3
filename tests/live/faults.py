"""What can go wrong, one function each: it breaks something at a random moment, and lets it be.

Place in the flow: chaos calls one per round and then waits until all is well again.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.live.rig import ROUTERS, SESSION_S, WORKERS, Rig

__all__ = ["FAULTS", "Fault"]

Fault = Callable[[Rig, random.Random], None]
LATER_MAX_S = 3.0
PLANTED_WITHIN_S = 20.0


def _kill(names: tuple[str, ...], rig: Rig, rng: random.Random) -> None:
    """kill -9; its successor comes at once or after seconds."""
    name = rng.choice(names)
    rig.parts[name].kill()
    time.sleep(rng.choice((0.0, rng.uniform(0.0, LATER_MAX_S))))
    rig.start(name)


def _term(rig: Rig, rng: random.Random) -> None:
    """SIGTERM; it must end by itself, and well."""
    name = rng.choice(WORKERS)
    code = rig.parts[name].stop()
    if code != 0:
        rig.ended[f"worker: SIGTERM ended with {code}"] += 1
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


def _send(names: tuple[str, ...], rig: Rig, rng: random.Random) -> None:
    """The next send fails: nothing left, or it did and the answer is lost."""
    part = rig.parts[rng.choice(names)]
    before = part.log.read_text(errors="replace").count('"event":"planted"')
    part.process.send_signal(rng.choice((signal.SIGUSR1, signal.SIGUSR2)))
    end = time.monotonic() + PLANTED_WITHIN_S
    while part.log.read_text(errors="replace").count('"event":"planted"') == before:
        if time.monotonic() > end or not part.running:
            rig.ended["planted fault that did not come to pass"] += 1
            return
        time.sleep(0.05)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "router killed": lambda rig, rng: _kill(ROUTERS, rig, rng),
        "worker killed": lambda rig, rng: _kill(WORKERS, rig, rng),
        "broker killed": _broker,
        "worker terminated": _term,
        "worker zombie": lambda rig, rng: _zombie(WORKERS, rig, rng),
        "router zombie": lambda rig, rng: _zombie(ROUTERS, rig, rng),
        "link stalled": _stall,
        "worker's send fails": lambda rig, rng: _send(WORKERS, rig, rng),
        "router's send fails": lambda rig, rng: _send(ROUTERS, rig, rng),
    }
)
"""By name, as `ops/chaos --only` takes them."""

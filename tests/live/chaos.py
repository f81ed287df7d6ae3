"""`ops/chaos`: breaks a live system at random moments, under load, and checks what it leaves.

    ops/chaos --rounds 200 --seed 1 [--only "worker killed,router zombie"] [--rate 100]

A real Kafka of its own, two routers, two engine workers, ten instruments and four portfolios, a
steady feed; a PostgreSQL and a Redis of its own, each with a projector. One fault a round; the
round ends when all parts are ready and every shard has answered since. Then everything is stopped,
`tests/live/checker.py` reads the topics, and each projection is compared with one made anew. Exit
codes: 0 all held, 3 a violation, 2 usage or no server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from coordinator.log.kafka import KafkaLog
from coordinator.settings import KafkaSettings
from ops.servers_base import CannotStart
from tests.live.broker import TwoDoors
from tests.live.checker import Findings, check, read_inputs
from tests.live.faults import FAULTS, OF_STORES
from tests.live.feed import Feed
from tests.live.proxy import Proxy
from tests.live.rig import ROUTERS, SETTINGS, WORKERS, NotRecovered, Rig
from tests.live.stores import Stores, compared
from tests.live.system import System
from tests.live.world import World

__all__ = ["Outcome", "Plan", "main", "run"]

VIOLATION, USAGE = 3, 2
SHARDS = 4
PREFIX = "chaos."
RECOVERED_WITHIN_S = 90.0
PROJECTED_WITHIN_S = 120.0
PARAMETERS = {"round_spacing_ms": 500}
"""Two decisions a second and portfolio: it is not the solver that is broken here."""
RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results" / "chaos.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. rate: signals a second; minutes: no round begins after these."""

    rounds: int
    seed: int
    kinds: Sequence[str] = tuple(FAULTS)
    rate: float = 100.0
    minutes: float = 60.0

    def command(self, rounds: int) -> str:
        """What does so many of its rounds again."""
        only = "" if set(self.kinds) == set(FAULTS) else f' --only "{",".join(self.kinds)}"'
        return f"ops/chaos --rounds {rounds} --seed {self.seed} --rate {self.rate:g}{only}"


@dataclass(slots=True)
class Outcome:
    """What a run showed."""

    plan: Plan
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rounds: int = 0
    seconds: float = 0.0
    sent: int = 0
    not_acknowledged: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    """Parts that ended by themselves, and faults that did not come to pass."""
    exits: dict[str, int] = field(default_factory=dict)
    projected: dict[str, int] = field(default_factory=dict)
    """Rows compared with a rebuild, by projection."""
    unprojected: dict[str, str] = field(default_factory=dict)
    """Databases that could not be had, and why."""
    findings: Findings = field(default_factory=Findings)

    @property
    def held(self) -> bool:
        """Whether nothing was violated."""
        return not self.findings.faults

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the results' file."""
        kinds = {
            kind: {"rounds": len(waits), "p50_s": _at(waits, 50), "p99_s": _at(waits, 99)}
            for kind, waits in sorted(self.waits.items())
        }
        every = [wait for waits in self.waits.values() for wait in waits]
        return {
            "command": self.plan.command(self.rounds),
            "rounds": self.rounds, "seed": self.plan.seed, "seconds": round(self.seconds, 1),
            "signals_sent": self.sent, "signals_not_acknowledged": self.not_acknowledged,
            "longest_wait": {"p50_s": _at(every, 50), "p99_s": _at(every, 99)},
            "kinds": kinds, "went_wrong": self.wrong, "exit_codes": self.exits,
            "projected_rows": self.projected, "not_projected": self.unprojected,
            "checks": self.findings.as_dict(),
        }  # fmt: skip


def _at(values: Sequence[float], percent: int) -> float:
    """A percentile: the largest value for the highest ones of few."""
    if not values:
        return 0.0
    if percent == 50:
        return round(statistics.median(values), 2)
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)


def run(folder: Path, plan: Plan, *, say: Any = print) -> Outcome:
    """A whole run in a folder of its own. Raises OSError, CannotStart when it cannot begin."""
    broker, stores = TwoDoors(folder / "kafka"), Stores()
    try:
        broker.start()
        stores.start(folder)
        outcome = Outcome(_possible(plan, stores, say), unprojected=dict(stores.missing))
        with Proxy(broker.proxy_port, broker.hidden_port) as proxy:
            _on(broker, proxy, stores, folder, outcome, say)
        return outcome
    finally:
        stores.close()
        broker.kill()
        broker.remove()


def _possible(plan: Plan, stores: Stores, say: Any) -> Plan:
    """The plan without what needs a database, where there is none. Raises CannotStart."""
    for name, why in stores.missing.items():
        say(f"NOT CHECKED: no projection in {name}, which this run has to do without:\n{why}")
    if stores.servers:
        return plan
    kinds = tuple(kind for kind in plan.kinds if kind not in OF_STORES)
    if not kinds:
        raise CannotStart("postgres", "all that was asked for needs a database")
    return replace(plan, kinds=kinds)


def _on(
    broker: TwoDoors, proxy: Proxy, stores: Stores, folder: Path, outcome: Outcome, say: Any
) -> None:
    plan = outcome.plan
    world = World(instruments=10, portfolios=4, seed=plan.seed)
    parts = folder / "parts"
    parts.mkdir()
    program = ("-m", "tests.live.failing")
    with System(broker.bootstrap, PREFIX, parts, SHARDS, SETTINGS, program) as system:
        system.topics()
        asyncio.run(_opening(broker.bootstrap, world))
        feed = Feed(broker.bootstrap, PREFIX, world, shards=SHARDS, rate=plan.rate)
        rig = Rig(broker, proxy, system, feed, stores)
        for name in (*ROUTERS, *WORKERS, *rig.projectors):
            rig.start(name)
        began = time.monotonic()
        with feed:
            try:
                _rounds(rig, plan, outcome, say)
            except NotRecovered as error:
                outcome.findings.fault(f"not recovered: {error}")
        outcome.seconds = time.monotonic() - began
        wrong: list[str] = []
        if outcome.held:
            outcome.exits = dict(rig.stop((*ROUTERS, *WORKERS)))
            wrong = _compare(rig, outcome)
            outcome.exits |= rig.stop(rig.projectors)
        outcome.wrong = dict(rig.wrong)
        outcome.sent, outcome.not_acknowledged = feed.noted.sent, len(feed.noted.failed)
        _judge(rig, outcome)
        outcome.findings.faults += wrong


async def _opening(bootstrap: str, world: World) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for message in world.opening(parameters=PARAMETERS):
            await producer.send_and_wait(
                PREFIX + message.topic, message.value, key=message.key.encode()
            )


def _rounds(rig: Rig, plan: Plan, outcome: Outcome, say: Any) -> None:
    rig.settle(RECOVERED_WITHIN_S * 2)
    rig.feed.load()
    rng, order = random.Random(plan.seed), list[str]()
    last = time.monotonic() + plan.minutes * 60
    for number in range(1, plan.rounds + 1):
        if time.monotonic() > last:
            break
        if not order:  # each kind as often as any other, in an order by chance
            order = rng.sample(list(plan.kinds), len(plan.kinds))
        kind = order.pop()
        time.sleep(rng.uniform(0.1, 1.0))
        began = time.monotonic()
        FAULTS[kind](rig, rng)
        rig.settle(RECOVERED_WITHIN_S)
        wait = rig.feed.longest_wait(began)
        outcome.waits[kind].append(wait)
        outcome.rounds = number
        took = time.monotonic() - began
        say(f"round {number:>3}  {kind:<20}  longest wait {wait:5.2f} s  round {took:5.1f} s")
    mark = time.monotonic()
    rig.feed.drain()
    say(f"drained in {time.monotonic() - mark:.1f} s")


def _compare(rig: Rig, outcome: Outcome) -> list[str]:
    """The projections of a log that grows no more, each beside one made anew."""
    wrong: list[str] = []
    settings = KafkaSettings(bootstrap=rig.broker.bootstrap, prefix=PREFIX)
    with KafkaLog(settings) as log:
        for name in rig.stores.servers:
            found, rows = compared(
                name, rig.stores.settings(), log, within_s=PROJECTED_WITHIN_S
            )  # fmt: skip
            wrong += found
            outcome.projected[name] = rows
    return wrong


def _judge(rig: Rig, outcome: Outcome) -> None:
    """The checker's word, and what the parts said themselves."""
    recovery = outcome.findings.faults
    bootstrap = rig.broker.bootstrap
    if not recovery:  # what never came back has not done its work either
        inputs = asyncio.run(read_inputs(bootstrap, PREFIX))
        acked = rig.feed.noted.acked
        with KafkaLog(KafkaSettings(bootstrap=bootstrap, prefix=PREFIX)) as log:
            outcome.findings = check(log, inputs, acked, shards=SHARDS)
    if halts := rig.halts():
        outcome.findings.fault("a shard halted", halts)
    if outcome.wrong:
        counted = [f"{what} ({count} times)" for what, count in sorted(outcome.wrong.items())]
        outcome.findings.fault("went wrong by itself", counted)
    if bad := [f"{name}: {code}" for name, code in outcome.exits.items() if code != 0]:
        outcome.findings.fault("did not end well when told to", bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, write the results."""
    parser = argparse.ArgumentParser(prog="ops/chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0, help="no round begins after these")
    parser.add_argument("--seed", type=int, default=1)
    kinds_help = f"kinds, by comma, of: {', '.join(FAULTS)}"
    parser.add_argument("--only", default=",".join(FAULTS), help=kinds_help)
    parser.add_argument("--rate", type=float, default=100.0, help="signals per second")
    parser.add_argument("--record", action="store_true", help="keep the result in tests/bench")
    parser.add_argument("--keep", type=Path, help="a folder for the parts' logs, kept")
    options = parser.parse_args(arguments)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it complains of what we do to it
    kinds = [kind.strip() for kind in options.only.split(",")]
    if unknown := [kind for kind in kinds if kind not in FAULTS]:
        print(f"chaos: {unknown[0]!r}: known are {', '.join(FAULTS)}", file=sys.stderr)
        return USAGE
    with tempfile.TemporaryDirectory() as own:
        folder = Path(own) if options.keep is None else options.keep
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(options.rounds, options.seed, tuple(kinds), options.rate, options.minutes)
        try:
            outcome = run(folder, plan, say=lambda text: print(text, flush=True))
        except CannotStart as failure:
            print(failure, file=sys.stderr)
            return USAGE
    found = outcome.as_dict()
    if options.record:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    _table(found)
    return 0 if outcome.held else VIOLATION


def _table(found: dict[str, Any]) -> None:
    print(f"\n{'fault':<22} rounds   p50 s   p99 s   (longest that anybody waited for an answer)")
    for kind, row in found["kinds"].items():
        print(f"{kind:<22} {row['rounds']:>6} {row['p50_s']:>7.2f} {row['p99_s']:>7.2f}")
    every = found["longest_wait"]
    print(f"{'all':<22} {found['rounds']:>6} {every['p50_s']:>7.2f} {every['p99_s']:>7.2f}")
    for name in (
        "seconds", "signals_sent", "signals_not_acknowledged", "went_wrong", "projected_rows",
    ):  # fmt: skip
        print(f"{name:<26} {found[name]}")
    for name in found["not_projected"]:
        print(f"NOT CHECKED: the projection in {name}, which could not be started")
    for name, value in found["checks"].items():
        print(f"{name:<26} {value if name != 'faults' else len(value)}")
    for fault in found["checks"]["faults"]:
        print(f"VIOLATION {fault}")


if __name__ == "__main__":
    sys.exit(main())

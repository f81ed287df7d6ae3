"""The checker sees each kind of fault: one planted at a time in a run that was well."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from coordinator.bootstrap import build_engine, engine_started
from coordinator.core.ports import Append, Record
from coordinator.core.route import Raw, Router
from coordinator.core.shard import Shard
from coordinator.log.memory import MemoryLog
from coordinator.shells.live.routing import Routing
from tests.live.checker import Findings, check
from tests.live.world import World

SHARDS = 2
STEP = 20_000_000
MS = 1_000_000


@dataclass(frozen=True)
class Produced:
    """As aiokafka gives it. timestamp: ms."""

    offset: int
    value: bytes
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


Inputs = dict[tuple[str, int], list[Produced]]
Logged = dict[tuple[str, int], list[Record]]


@dataclass(frozen=True)
class Run:
    inputs: Inputs
    acked: dict[str, str]
    logged: Logged

    def checked(self, damage: Callable[[Logged], None] | None = None) -> Findings:
        logged = {key: list(records) for key, records in self.logged.items()}
        if damage is not None:
            damage(logged)
        log = MemoryLog()
        for (topic, shard), records in logged.items():
            log.append([Append(topic, shard, r.payload, r.journal_time) for r in records])
        return check(log, self.inputs, self.acked, shards=SHARDS)

    def faults(self, damage: Callable[[Logged], None]) -> str:
        return "\n".join(self.checked(damage).faults)


@pytest.fixture(scope="module")
def run() -> Run:
    world = World(instruments=3, portfolios=4, sources=2)
    log = MemoryLog()
    router = Router(log, shards=SHARDS)
    at = time.time_ns()
    router.write(engine_started(at=at, shards=SHARDS), shards=range(SHARDS), journal_time=at)
    inputs: Inputs = {}
    acked = {}
    messages = [*world.opening()]
    for number in range(30):
        acked[f"r-{number}"] = f"s{number % 2}"
        messages.append(world.signal())
    for message in messages:
        at += STEP
        run = inputs.setdefault((message.topic, 0), [])
        run.append(Produced(len(run), message.value))
        raw = Raw(message.topic, "id", 0, len(run) - 1, at, message.value)
        router.accept([raw], journal_times=[at])
    for shard in range(SHARDS):
        owner = Shard(log, build_engine(shard=shard, shards=SHARDS))
        owner.recover()
        owner.tick(at + 1000 * STEP)
        owner.pump()
    logged = {key: list(log.read(*key)) for key in log.partitions()}
    return Run(inputs, acked, logged)


def test_a_run_that_was_well(run: Run) -> None:
    found = run.checked()
    assert found.faults == []
    assert found.acknowledged == 30
    assert found.decisions > 0
    assert found.used > 0
    assert sum(found.verdicts.values()) == 30
    assert set(found.verdicts) == {"expired: superseded", "live"}


def index_of(records: Sequence[Record], opening: bytes) -> int:
    return next(i for i, r in enumerate(records) if r.payload.startswith(opening))


def test_repeats_are_counted_and_are_no_fault(run: Run) -> None:
    def repeat(logged: Logged) -> None:
        decisions, journal = logged["decisions", 0], logged["journal", 1]
        decisions[5:5] = decisions[2:5]
        journal.insert(20, journal[12])

    found = run.checked(repeat)
    # A repeat in the journal moves what follows, so the outputs name other positions.
    assert [one for one in found.faults if not one.startswith("shard 1")] == []
    assert found.raw_repeats == 3
    assert found.journal_repeats == 1


def test_an_output_that_is_missing(run: Run) -> None:
    def lose(logged: Logged) -> None:
        del logged["decisions", 0][4]

    assert "does not follow 3" in run.faults(lose)


def test_outputs_missing_at_the_end(run: Run) -> None:
    def lose(logged: Logged) -> None:
        del logged["decisions", 0][-2:]

    assert "shard 0: outputs lost: 2" in run.faults(lose)


def test_another_content_for_a_seq(run: Run) -> None:
    def differ(logged: Logged) -> None:
        decisions = logged["decisions", 0]
        forged = decisions[3].payload.replace(b'"ordinal":', b'"ordinal":1')
        decisions.insert(6, Record("decisions", 0, 0, decisions[3].journal_time, forged))

    assert "two contents for seq 3" in run.faults(differ)


def test_an_input_that_one_journal_lacks(run: Run) -> None:
    def lose(logged: Logged) -> None:
        del logged["journal", 1][index_of(logged["journal", 1], b'{"type":"SignalIssued"')]

    assert "journal 1: signals/0: inputs lost: 1, such as 0" in run.faults(lose)


def test_inputs_in_another_order(run: Run) -> None:
    def swap(logged: Logged) -> None:
        journal = logged["journal", 1]
        first = index_of(journal, b'{"type":"SignalIssued"')
        journal[first], journal[first + 1] = journal[first + 1], journal[first]

    # The later one is taken first, so that the earlier one counts as a repeat of it.
    assert "journal 1: signals/0: inputs lost: 1" in run.faults(swap)


def test_a_signal_that_was_acknowledged_and_never_seen(run: Run) -> None:
    lied = Run(run.inputs, {**run.acked, "r-99": "s0"}, run.logged)
    faults = "\n".join(lied.checked().faults)
    assert "acknowledged by the broker and not in its topic: 1, such as r-99" in faults
    assert "acknowledged signals without a verdict: 1, such as s0/r-99" in faults


def test_a_signal_with_two_verdicts(run: Run) -> None:
    """The chain is made anew around it, so that nothing but the doubled verdict is to be seen."""

    def twice(logged: Logged) -> None:
        for shard in range(SHARDS):
            decisions = logged["decisions", shard]
            ends = [r for r in decisions if r.payload.startswith(b'{"type":"SignalExpired"')]
            if not ends:
                continue
            last, head = decisions[-1], json.loads(decisions[-1].payload)
            forged = json.loads(ends[0].payload)
            forged["seq"] = head["seq"] + 1
            forged["prev"] = hashlib.sha256(last.payload).hexdigest()
            decisions.append(
                Record("decisions", shard, 0, last.journal_time, json.dumps(forged).encode())
            )

    faults = run.faults(twice)
    assert "signals with several verdicts" in faults
    assert "outputs without a cause: 1" in faults


@pytest.fixture(scope="module")
def shed() -> Run:
    """One router enters ten signals; another takes up at the sixth and sheds up to the twentieth.

    Each source has a partition of its own, as in Kafka, so that neighbours share an entry.
    """
    world = World(instruments=3, portfolios=4, sources=2)
    log = MemoryLog()
    router = Router(log, shards=SHARDS)
    at = time.time_ns()
    router.write(engine_started(at=at, shards=SHARDS), shards=range(SHARDS), journal_time=at)
    inputs: Inputs = {}
    acked = {}
    messages = [*world.opening()]
    for number in range(60):
        acked[f"r-{number}"] = f"s{number % 2}"
        messages.append(world.signal())
    for message in messages:
        at += STEP
        partition = int(message.key[1:]) if message.topic == "signals" else 0
        run = inputs.setdefault((message.topic, partition), [])
        run.append(Produced(len(run), message.value, at // MS))
        if message.topic != "signals":
            raw = Raw(message.topic, "id", 0, len(run) - 1, at // MS * MS, message.value)
            router.accept([raw], journal_times=[at])
    routing = Routing(shards=SHARDS, prefix="")
    before = inputs["signals", 0][20].timestamp * MS
    for begin, end, old in ((0, 10, None), (5, 25, before), (25, 30, None)):
        fetch = {("signals", p): inputs["signals", p][begin:end] for p in range(2)}
        found = routing.route(fetch, topic_id=lambda _: "id", shed_before=old)
        for (topic, shard), records in sorted(found.outgoing.items()):
            log.append([Append(topic, shard, one.value, at) for one in records])
    for shard in range(SHARDS):
        owner = Shard(log, build_engine(shard=shard, shards=SHARDS))
        owner.recover()
        owner.tick(at + 1000 * STEP)
        owner.pump()
    logged = {key: list(log.read(*key)) for key in log.partitions()}
    return Run(inputs, acked, logged)


SHED = b'{"type":"SignalsShed"'


def test_a_shed_entry_covers_its_offsets_and_each_signal_has_one_verdict(shed: Run) -> None:
    found = shed.checked()
    assert found.faults == []
    assert found.shed_entries == 2 * SHARDS
    assert found.acknowledged == sum(found.verdicts.values()) == 60
    assert found.verdicts["rejected: shed"] == 2 * 10  # the first router had entered five of them


def test_signals_that_vanished_with_their_shed_entry(shed: Run) -> None:
    def lose(logged: Logged) -> None:
        del logged["journal", 1][index_of(logged["journal", 1], SHED)]

    assert "journal 1: signals/0: inputs lost: 10, such as 10, 11" in shed.faults(lose)


@pytest.mark.parametrize(("name", "by"), [(b'"r-30"', b'"r-31"'), (b',"r-30"', b"")])
def test_a_shed_entry_that_names_others_than_it_covers(shed: Run, name: bytes, by: bytes) -> None:
    def misname(logged: Logged) -> None:
        journal = logged["journal", 0]
        at = index_of(journal, SHED)
        forged = journal[at].payload.replace(name, by)
        assert forged != journal[at].payload
        journal[at] = Record("journal", 0, 0, journal[at].journal_time, forged)

    faults = shed.faults(misname)
    assert "journal 0 position" in faults
    assert "shed ['r-10', 'r-12', 'r-14', 'r-16', 'r-18'] where" in faults

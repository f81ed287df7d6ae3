"""The checker: reads the topics of a finished run and says what was lost, doubled or told apart.

Place in the flow: after chaos. It trusts nobody: the outputs are read by the reference reader, each
journal is compared with the input topics, and decided again from its first record in this process.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from coordinator.bootstrap import build_engine
from coordinator.core.fold import Fold
from coordinator.core.ports import LogReader
from coordinator.core.route import Raw, Routed, route
from coordinator.core.shards import shard_of
from schemas.entries import JournalEntry, decode_journal
from schemas.journal import SignalsShed
from schemas.registry import INPUT_TOPICS
from tests.live.reader import Reader

__all__ = ["Findings", "check", "read_inputs"]

SHOWN_MAX = 5


@dataclass(slots=True)
class Findings:
    """What was found. Everything in `faults` is a violation; the rest is for the report."""

    faults: list[str] = field(default_factory=list)
    outputs: int = 0
    decisions: int = 0
    raw_repeats: int = 0
    journal_records: int = 0
    journal_repeats: int = 0
    shed_entries: int = 0
    acknowledged: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    used: int = 0

    def fault(self, what: str, of: Any = ()) -> None:
        """One more violation, with a few examples."""
        some = list(of)
        shown = ", ".join(map(str, some[:SHOWN_MAX]))
        self.faults.append(f"{what}: {len(some)}, such as {shown}" if some else what)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(slots=True)
class _Outputs:
    """One shard's outputs under the rule."""

    entries: list[bytes] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)


def check(
    log: LogReader, inputs: Mapping[tuple[str, int], list[Any]], acked: Mapping[str, str], *,
    shards: int,
) -> Findings:  # fmt: skip
    """All checks of one log.

    inputs: every record of every input partition, as `read_inputs` gives them; acked: the source of
    each acknowledged signal.
    """
    found = Findings()
    outputs, live = {}, {}
    for shard in range(shards):
        outputs[shard] = _read_outputs(log, shard, found)
        _check_journal(log, shard, shards, inputs, found)
        live[shard] = _decide_again(log, shard, shards, outputs[shard], found)
    _check_signals(inputs, acked, outputs, live, shards, found)
    return found


def _read_outputs(log: LogReader, shard: int, found: Findings) -> _Outputs:
    """Under the rule; repeats are counted, and one that says something else is a violation."""
    reader, read = Reader(), _Outputs()
    by_seq: dict[int, str] = {}
    for record in log.read("decisions", shard):
        head = json.loads(record.payload)
        content = hashlib.sha256(record.payload).hexdigest()
        if by_seq.setdefault(head["seq"], content) != content:
            found.fault(f"shard {shard}: two contents for seq {head['seq']}")
        try:
            entry = reader.take(record.payload)
        except ValueError as error:
            found.fault(f"shard {shard} position {record.position}: {error}")
            break
        if entry is None:
            found.raw_repeats += 1
            continue
        read.entries.append(record.payload)
        read.said.append(entry)
    found.outputs += len(read.entries)
    decided = Counter(
        entry["event"]["decision_id"] for entry in read.said if entry["type"] == "AllocationDecided"
    )
    found.decisions += len(decided)
    doubled = [name for name, count in decided.items() if count > 1]
    if doubled:
        found.fault(f"shard {shard}: decisions doubled under the rule", doubled)
    return read


def _decide_again(
    log: LogReader, shard: int, shards: int, outputs: _Outputs, found: Findings
) -> set[str]:
    """Fold the journal from its first record; returns the signals that are live at its end."""
    engine = build_engine(shard=shard, shards=shards)
    fold = Fold(log, engine)
    fold.start(None)
    again = [entry for record in fold.journal() for entry in fold.step(record)]
    if len(again) > len(outputs.entries):
        found.fault(f"shard {shard}: outputs lost", again[len(outputs.entries) :])
    if len(again) < len(outputs.entries):
        found.fault(f"shard {shard}: outputs without a cause", outputs.entries[len(again) :])
    for seq, (derived, recorded) in enumerate(zip(again, outputs.entries, strict=False)):
        if derived != recorded:
            found.fault(f"shard {shard}: seq {seq} is not what the journal leads to")
            break
    return {f"{view.source}/{view.signal_id}" for view in engine.state.views.values()}


def _check_journal(
    log: LogReader, shard: int, shards: int, inputs: Mapping[tuple[str, int], list[Any]],
    found: Findings,
) -> None:  # fmt: skip
    """Every input for this shard, once and in the order of its partition, after repeats.

    An entry may stand for several inputs, all from its first offset to its last one: prices that
    were conflated, and signals that were shed, which it must name.
    """
    marks: dict[tuple[str, str, int], int] = {}
    taken: dict[tuple[str, int], list[range]] = defaultdict(list)
    for record in log.read("journal", shard):
        found.journal_records += 1
        entry = decode_journal(record.payload)
        stamp = entry.stamp
        if stamp.offset < 0:
            continue
        if isinstance(entry.event, SignalsShed):
            found.shed_entries += 1
            if (said := list(entry.event.signal_ids)) != (stood := _to_shed(entry, inputs)):
                where = f"journal {shard} position {record.position}"
                found.fault(f"{where}: shed {said[:SHOWN_MAX]} where {stood[:SHOWN_MAX]} stood")
        mark = marks.get((stamp.topic, stamp.topic_id, stamp.partition), -1)
        if stamp.offset <= mark:
            found.journal_repeats += 1
            continue
        marks[stamp.topic, stamp.topic_id, stamp.partition] = stamp.offset
        first = stamp.offset if stamp.first_offset is None else stamp.first_offset
        taken[stamp.topic, stamp.partition].append(range(max(first, mark + 1), stamp.offset + 1))
    for (topic, partition), records in inputs.items():
        wanted = [record.offset for record in records if shard in _addressed(topic, record, shards)]
        covered = [offset for run in taken[topic, partition] for offset in run]
        where = f"journal {shard}: {topic}/{partition}"
        if covered != sorted(covered):
            found.fault(f"{where}: not in the partition's order")
        if missing := sorted(set(wanted) - set(covered)):
            found.fault(f"{where}: inputs lost", missing)
        if more := sorted(set(covered) - set(wanted)):
            found.fault(f"{where}: inputs that are not this shard's", more)


def _to_shed(entry: JournalEntry, inputs: Mapping[tuple[str, int], list[Any]]) -> list[str]:
    """Names of what stands at an entry's offsets; "?": no signal of its source."""
    stamp, source = entry.stamp, getattr(entry.event, "source", "")
    first = stamp.offset if stamp.first_offset is None else stamp.first_offset
    run = inputs.get((stamp.topic, stamp.partition), [])
    begin, end = (bisect_left(run, at, key=_offset) for at in (first, stamp.offset + 1))
    there = [json.loads(one.value) for one in run[begin:end]]
    wanted = ("SignalIssued", source)
    return [one["event_id"] if (one["type"], one.get("source")) == wanted else "?" for one in there]


def _offset(record: Any) -> int:
    return int(record.offset)


def _addressed(topic: str, record: Any, shards: int) -> tuple[int, ...]:
    raw = Raw(topic, "", 0, record.offset, 0, record.value)
    found = route(raw, shards=shards)
    return found.shards if isinstance(found, Routed) else ()


def _check_signals(
    inputs: Mapping[tuple[str, int], list[Any]], acked: Mapping[str, str],
    outputs: Mapping[int, _Outputs], live: Mapping[int, set[str]], shards: int, found: Findings,
) -> None:  # fmt: skip
    """Of every acknowledged signal exactly one: rejected, shed, expired, superseded, or live.

    Being used is no end: a used signal goes on to be superseded, to expire or to live.
    """
    verdicts: dict[str, list[str]] = defaultdict(list)
    used: set[str] = set()
    for shard, read in outputs.items():
        for entry in read.said:
            event = entry["event"]
            if entry["type"] == "RoundClosed":
                used.update(event["signals_used"])
            elif entry["type"] in {"SignalExpired", "SignalRejected"}:
                name = f"{event['source']}/{event['signal_id']}"
                if shard_of(event["source"], shards) != shard:
                    found.fault(f"shard {shard} spoke for {name}, which is not its own")
                default = "time" if entry["type"] == "SignalExpired" else "?"
                kind = "expired" if entry["type"] == "SignalExpired" else "rejected"
                verdicts[name].append(f"{kind}: {event.get('reason', default)}")
    for name, source in acked.items():
        if f"{source}/{name}" in live[shard_of(source, shards)]:
            verdicts[f"{source}/{name}"].append("live")
    produced = {json.loads(r.value)["event_id"] for k, run in inputs.items()
                if k[0] == "signals" for r in run}  # fmt: skip
    names = [f"{source}/{name}" for name, source in acked.items()]
    found.acknowledged = len(names)
    found.used = sum(name in used for name in names)
    if unseen := sorted(set(acked) - produced):
        found.fault("acknowledged by the broker and not in its topic", unseen)
    if silent := [name for name in names if not verdicts[name]]:
        found.fault("acknowledged signals without a verdict", silent)
    if several := [f"{name} {verdicts[name]}" for name in names if len(verdicts[name]) > 1]:
        found.fault("signals with several verdicts", several)
    if both := [
        n for n in names if n in used and verdicts[n] and verdicts[n][0].startswith("rejected")
    ]:
        found.fault("signals rejected and used", both)
    kinds = Counter(verdicts[name][0] for name in names if verdicts[name])
    found.verdicts = dict(sorted(kinds.items()))


async def read_inputs(bootstrap: str, prefix: str) -> dict[tuple[str, int], list[Any]]:
    """Every record of every input partition, by topic without its prefix."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        found: dict[tuple[str, int], list[Any]] = {}
        known = await consumer._client.fetch_all_metadata()
        places = [
            TopicPartition(prefix + topic, partition)
            for topic in INPUT_TOPICS
            for partition in sorted(known.partitions_for_topic(prefix + topic) or ())
        ]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        for place in places:
            found[place.topic[len(prefix) :], place.partition] = []
        left = {place for place in places if ends[place]}
        while left:
            for place, run in (await consumer.getmany(timeout_ms=500)).items():
                found[place.topic[len(prefix) :], place.partition] += run
                if run[-1].offset + 1 >= ends[place]:
                    left.discard(place)
        return found
    finally:
        await consumer.stop()

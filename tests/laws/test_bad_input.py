"""Ten thousand spoiled messages: nothing crashes, each ends somewhere, and the counts add up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from coordinator.core.route import DeadLetter, Raw, RouteCounts, Router, decode_dead_letter, route
from coordinator.log.memory import MemoryLog
from schemas.base import Event
from schemas.books import PortfolioViewUpdated
from schemas.entries import decode_journal
from schemas.registry import INPUT_TOPICS
from schemas.verdicts import InputRejected, InputRejection, RecordQuarantined, SignalRejected
from tests.journals import MS, Input, events_of, lay, outputs, owners, zero_clock
from tests.recorded import recorded

Fields = dict[str, Any]
COUNT = 10_000
SHARDS = 3
HUGE = (1e308, -1e308, 10**400, -(10**30), 2**63, 2**62, 1e-320, 5e-324, -0.0, 0, 10**12)
TEXTS = ("", " ", "x" * 600, "N0\n", "\u202e", "\x00", "a\tb", "🙂", "NaN", "1e5", "-1", "0x1")
STRANGE: tuple[object, ...] = (None, True, [], {}, [[]], {"a": 1}, *HUGE, *TEXTS)


def field(rng: Random, body: Fields) -> bytes:
    """One field of another type or size."""
    name = rng.choice([*body, "unknown"])
    body[name] = rng.choice(STRANGE)
    return json.dumps(body).encode(errors="surrogatepass")


def deeper(rng: Random, body: Fields) -> bytes:
    """A value inside a list or a mandate."""
    holders = [v for v in body.values() if isinstance(v, (list, dict)) and v]
    if holders:
        holder = rng.choice(holders)
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        holder[key] = rng.choice(STRANGE)
    return json.dumps(body).encode()


def valid_but_extreme(rng: Random, body: Fields) -> bytes:
    """Inside what the language allows, and at its very edge."""
    edges: Fields = {
        "strength": rng.choice([0.0, 5e-324, 0.9999999999999999, 1.0]),
        "expected_return": rng.choice([-10.0, 10.0, 5e-324, -0.0]),
        "confidence": rng.choice([0.0, 1.0, 5e-324]),
        "horizon_sessions": rng.choice([5e-324, 1e-300, 10_000.0]),
        "quantity": rng.choice(["0.000000000001", "-9999", "0", "12.345678901234"]),
        "price": rng.choice(["0.000000000001", "100000000", "3.141592653589"]),
        "amount": rng.choice(["-1000000000000", "0.000000000001", "999999999999"]),
        "expires_at": rng.choice([0, 2**62 - 1, body.get("event_time", 0)]),
        "parameters": rng.choice(
            [{"skill_min": 0}, {"event_ids_max": 1}, {"risk_window_sessions": 2}, {"window_ms": 0}]
        ),
    }
    for name in [name for name in edges if name in body or rng.random() < 0.1]:
        if isinstance(body.get(name), list):
            continue
        body[name] = edges[name]
    if "direction" in body:
        body.pop("expected_return", None)
    return json.dumps(body).encode()


def absurd(rng: Random, body: Fields) -> bytes:
    """Allowed one by one, and together beyond what a book can hold."""
    for name, value in (("quantity", "999999999999999"), ("amount", "999999999999999999")):
        if name in body:
            body[name] = value
    return json.dumps(body).encode()


def cut(rng: Random, body: Fields) -> bytes:
    raw = json.dumps(body).encode()
    return raw[: rng.randrange(len(raw))]


def flipped(rng: Random, body: Fields) -> bytes:
    """Bytes that are often no UTF-8."""
    raw = bytearray(json.dumps(body).encode())
    for _ in range(rng.randrange(1, 4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def doubled_key(rng: Random, body: Fields) -> bytes:
    key = rng.choice(list(body))
    other = rng.choice([body[key], *STRANGE])
    return json.dumps(body).encode()[:-1] + f", {json.dumps(key)}: {json.dumps(other)}}}".encode()


def deep(rng: Random, body: Fields) -> bytes:
    depth = rng.choice([50, 300, 100_000])
    return json.dumps(body).encode()[:-1] + b', "deep": ' + b"[" * depth + b"]" * depth + b"}"


def not_finite(rng: Random, body: Fields) -> bytes:
    name = rng.choice(list(body))
    body[name] = rng.choice([float("nan"), float("inf"), [float("nan")]])
    return json.dumps(body).encode()


OTHER: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("type", ("Nothing", "ClockTicked", "EngineSealed", "AllocationDecided", "OrderFilled")),
    ("version", (0, -1, 2, 10**30, "1", None)),
    ("portfolio", ("nobody", "p-close", "")),
    ("instrument", ("UNKNOWN", "N1")),
    ("event_id", ("same", "signals-1-0")),
    ("event_time", (0, 2**62 - 1, "2020-01-01T00:00:00", "2020-01-01T00:00:00Z")),
)


def other_name(rng: Random, body: Fields) -> bytes:
    """A wrong event name, version or owner."""
    name, values = rng.choice(OTHER)
    body[name] = rng.choice(values)
    return json.dumps(body).encode()


def unchanged(rng: Random, body: Fields) -> bytes:
    """The same event again, as another message: a duplicate id."""
    return json.dumps(body).encode()


Spoil = Callable[[Random, Fields], bytes]
WAYS: tuple[Spoil, ...] = (
    *(field, deeper, valid_but_extreme, cut, flipped, doubled_key, not_finite, other_name),
    *(unchanged, deep),
)


def spoiled(seed: int, count: int, ways: tuple[Spoil, ...] = WAYS) -> list[Input]:
    """Messages made from good ones; offsets rise, but some messages come twice or too late."""
    rng, good = Random(seed), recorded(seed)
    at, made = good[-1].at, list[Input]()
    for number in range(count):
        one = rng.choice(good)
        body = json.loads(one.raw.payload)
        if rng.random() < 0.8:  # mostly new messages, so that the rules behind duplicates are met
            body |= {"event_id": f"spoiled {number}", "event_time": at}
        payload = rng.choice(ways)(rng, body)
        topic = one.raw.topic if rng.random() < 0.95 else rng.choice([*INPUT_TOPICS, "journal"])
        at += rng.choice([0, 0, MS, 60_000 * MS])
        offset = 1_000 + (number if rng.random() < 0.97 else rng.randrange(number + 1))
        made.append(Input(Raw(topic, "t", one.raw.partition, offset, at, payload), at))
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_spoiled_messages_all_end_somewhere(seed: int) -> None:
    log = lay(recorded(seed), MemoryLog(clock=zero_clock), shards=SHARDS)
    first = [log.end("journal", shard) for shard in range(SHARDS)]
    messages = spoiled(seed, COUNT // 2)
    counts = Router(log, shards=SHARDS).accept(
        [m.raw for m in messages], journal_times=[m.at for m in messages]
    )
    assert counts.routed + counts.dead == len(messages)
    assert min(counts.routed, counts.dead) > len(messages) // 5
    _check_letters(log, messages, counts)
    for owner in owners(log, shards=SHARDS):
        owner.recover()
        assert owner.engine.checkpoint() == _restarted(log, owner.number)
    seen = _message_endings(log, messages, first)
    assert sum(seen.values()) == len(messages)
    assert seen["dead"] == counts.dead
    assert seen["repeated"] > 20
    assert seen["rejected"] > 200
    assert seen["accepted"] > 200
    assert not [e for shard in range(SHARDS) for e in outputs(log, shard) if _is_fault(e.event)]


def test_books_beyond_what_one_input_may_say_break_nothing() -> None:
    messages = spoiled(3, 1_000, ways=(absurd, unchanged))
    log = lay((*recorded(3), *messages), MemoryLog(clock=zero_clock), shards=1)
    owners(log, shards=1)[0].recover()
    assert events_of(log, RecordQuarantined) == []
    shown = [view for view in events_of(log, PortfolioViewUpdated) for _ in view.holdings]
    assert max(abs(float(view.nav)) for view in shown) > 1e16
    assert _restarted(log, 0, shards=1)


def _is_fault(event: Event) -> bool:
    return isinstance(event, RecordQuarantined)


def _check_letters(log: MemoryLog, messages: list[Input], counts: RouteCounts) -> None:
    """Every dead letter holds what came, where it stood, and a reason."""
    topics = sorted({topic for topic, _ in log.partitions() if topic.endswith(".dlq")})
    letters = [decode_dead_letter(r.payload) for topic in topics for r in log.read(topic, 0)]
    assert len(letters) == counts.dead
    came = Counter(m.raw.payload for m in messages)
    assert not Counter(letter.payload for letter in letters) - came
    assert all(letter.reason and letter.where for letter in letters)


def _restarted(log: MemoryLog, shard: int, shards: int = SHARDS) -> bytes:
    owner = owners(log, shards=shards)[shard]
    owner.recover()
    owner.checkpoint()
    again = owners(log, shards=shards)[shard]
    assert again.recover().records == 0
    return again.engine.checkpoint()


def _endings(log: MemoryLog, shard: int, first: int) -> Iterator[str]:
    """What became of each record of a shard's journal: exactly one of a few endings."""
    answers = Counter(e.position for e in outputs(log, shard) if _is_answer(e.event))
    marks: dict[tuple[str, int], int] = {}
    for record in log.read("journal", shard):
        stamp = decode_journal(record.payload).stamp
        key = (stamp.topic, stamp.partition)
        repeated = 0 <= stamp.offset <= marks.get(key, -1)
        marks[key] = max(marks.get(key, -1), stamp.offset)
        assert answers[record.position] <= (0 if repeated else 1)
        if record.position >= first:
            rejected = bool(answers[record.position])
            yield "repeated" if repeated else "rejected" if rejected else "accepted"


def _is_answer(event: Event) -> bool:
    """Whether the event says that a whole record does not count."""
    if isinstance(event, InputRejected):
        part = event.detail.startswith("left out") and "UNLISTED" in event.detail
        return not part and event.reason is not InputRejection.STALE
    return isinstance(event, SignalRejected)


def _message_endings(log: MemoryLog, messages: list[Input], first: list[int]) -> Counter[str]:
    """One ending for each message: a rejection is said by one shard for all that got it."""
    records = [_endings(log, shard, first[shard]) for shard in range(SHARDS)]
    found: Counter[str] = Counter()
    for message in messages:
        routed = route(message.raw, shards=SHARDS)
        if isinstance(routed, DeadLetter):
            found["dead"] += 1
            continue
        endings = {next(records[shard]) for shard in routed.shards}
        assert endings in ({"repeated"}, {"rejected"}, {"accepted"}, {"rejected", "accepted"})
        found["rejected" if "rejected" in endings else endings.pop()] += 1
    assert [list(rest) for rest in records] == [[]] * SHARDS
    return found

"""The reference reader: the rule, large outputs in parts, and the page that shows it."""

import hashlib
import re
from pathlib import Path

import pytest

from coordinator.log.kafka.chunks import split
from coordinator.log.kafka.headers import output_headers
from coordinator.log.kafka.topics import declared
from tests.live.reader import Reader

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "ops/docs/consumers.md"
FILE = ROOT / "tests/live/reader.py"


def chain(count: int, *, pad: int = 0) -> list[bytes]:
    entries, last = [], "0" * 64
    for seq in range(count):
        entry = f'{{"seq":{seq},"prev":"{last}","event":{{"pad":"{"x" * pad}"}}}}'.encode()
        entries.append(entry)
        last = hashlib.sha256(entry).hexdigest()
    return entries


def test_takes_each_once_whatever_is_repeated() -> None:
    one, two, three = chain(3)
    reader = Reader()
    taken = [reader.take(value) for value in (one, two, one, two, three, two)]
    assert [entry and entry["seq"] for entry in taken] == [0, 1, None, None, 2, None]


def test_goes_on_from_what_was_kept() -> None:
    one, two = chain(2)
    first = Reader()
    first.take(one)
    assert Reader(first.seq, first.last).take(two)["seq"] == 1


def test_stops_at_a_gap() -> None:
    one, _, three = chain(3)
    reader = Reader()
    reader.take(one)
    with pytest.raises(ValueError, match="seq 2 does not follow 0"):
        reader.take(three)


def test_stops_at_what_does_not_follow() -> None:
    one, _ = chain(2)
    reader = Reader()
    reader.take(one)
    with pytest.raises(ValueError, match="does not follow"):
        reader.take(b'{"seq":1,"prev":"' + b"1" * 64 + b'"}')


def in_parts(entry: bytes, which: str) -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    return [
        (part, [] if header is None else [("chunk", header)])
        for part, header in split(entry, largest=100, which=which)
    ]


def test_large_outputs_come_whole() -> None:
    one, two = chain(2, pad=250)
    reader = Reader()
    found = [reader.take(*part) for part in in_parts(one, "a") + in_parts(two, "b")]
    assert [entry["seq"] for entry in found if entry] == [0, 1]
    assert len(found) > 6


def test_a_writer_that_died_half_way_left_nothing() -> None:
    one, two = chain(2, pad=250)
    dead, again = in_parts(one, "dead"), in_parts(one, "again")
    reader = Reader()
    mixed = [dead[0], again[0], dead[1], *again[1:], *in_parts(two, "b")]
    found = [reader.take(*part) for part in mixed]
    assert [entry["seq"] for entry in found if entry] == [0, 1]


def test_parts_without_their_beginning_are_nothing() -> None:
    one, _ = chain(2, pad=250)
    reader = Reader()
    assert [reader.take(*part) for part in in_parts(one, "a")[1:]] == [None] * 3
    assert reader.seq == -1


def page_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_page_shows_this_very_reader() -> None:
    assert FILE.read_text() in page_blocks("python")


def test_the_pages_reader_runs_without_us() -> None:
    code = page_blocks("python")[0]
    names: dict[str, type[Reader]] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    reader = names["Reader"]()
    assert [reader.take(value)["seq"] for value in chain(3)] == [0, 1, 2]
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
    assert imported == {"hashlib", "json", "collections", "typing"}


def test_the_page_names_every_topic_and_header() -> None:
    text = PAGE.read_text()
    entry = b'{"type":"T","version":1,"seq":0,"event":{"decided_at":1,"portfolio":"p"}}'
    for name, _ in output_headers(entry, topic="decisions", shard=0):
        assert f"`{name}`" in text
    for topic in declared(shards=8):
        if not topic.name.endswith(".dlq"):
            assert f"`{topic.name}`" in text

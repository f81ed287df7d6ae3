from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ports import Append
from coordinator.core.shards import shard_of
from coordinator.log.memory import MemoryLog
from projections import rows
from projections.errors import LogRefused
from projections.following import Follower
from projections.rows import Row, SignalRow
from schemas.entries import GENESIS, Stamp, decode_output, encode_journal, encode_output
from tests.journals import law, started
from tests.support.planted_run import signal
from tests.support.projected import Cut, batches, busy_log, copied, everything, never


def _plain(found: list[Row]) -> Counter[str]:
    """Rows by what they say, whichever copy of a shared record they were made from."""
    return Counter(
        repr(row).replace(repr(row.as_of), "") if isinstance(row, SignalRow) else repr(row)
        for row in found
    )


@law(15)
@given(st.integers(1, 400))
def test_batches_of_any_size_give_the_same_rows_and_end_at_the_same_marks(rows_max: int) -> None:
    whole, marks = everything(batches(busy_log()))
    parts, ends = everything(batches(busy_log(), rows_max=rows_max))
    assert Counter(map(repr, parts)) == Counter(map(repr, whole))
    assert ends == marks


def test_a_followed_log_gives_what_the_frames_are_made_of() -> None:
    found, _ = everything(batches(busy_log()))
    assert _plain(found) == _plain(list(rows(busy_log())))


def test_a_signal_gives_one_row_from_its_source_s_home_shard() -> None:
    found = [row for row in everything(batches(busy_log()))[0] if isinstance(row, SignalRow)]
    assert {row.as_of.shard for row in found} == {0, 1}
    assert all(row.as_of.shard == shard_of(row.source, 2) for row in found)


def test_an_output_never_comes_before_its_cause() -> None:
    read = -1
    for batch in batches(busy_log(), rows_max=40):
        journal = batch.after.get(("journal", 0))
        read = read if journal is None else journal.next - 1
        for row in batch.rows:
            if row.as_of.shard == 0 and hasattr(row, "position"):
                assert row.position <= read


def test_reading_on_from_any_marks_gives_the_rest() -> None:
    made = batches(busy_log(), rows_max=100)
    whole, ends = everything(made)
    for count in range(0, len(made), 5):
        first, marks = everything(made[:count])
        rest, last = everything(batches(busy_log(), marks=marks))
        assert Counter(map(repr, first + rest)) == Counter(map(repr, whole))
        assert marks | last == ends


def test_repeated_outputs_are_passed_over_and_not_read_again() -> None:
    log = copied(busy_log())
    repeats = list(log.read("decisions", 0))[-20:]
    log.append([Append("decisions", 0, one.payload, one.journal_time) for one in repeats])
    found, marks = everything(batches(log))
    assert Counter(map(repr, found)) == Counter(map(repr, everything(batches(busy_log()))[0]))
    assert marks["decisions", 0].next == log.end("decisions", 0)


def test_a_missing_output_stops_with_its_place() -> None:
    log = copied(busy_log(), {("decisions", 0): 10})
    later = list(busy_log().read("decisions", 0, 11, 13))
    log.append([Append("decisions", 0, one.payload, one.journal_time) for one in later])
    with pytest.raises(LogRefused, match=r"shard 0 after seq 9 .* an output is missing"):
        batches(log)


def test_a_forged_output_stops_with_its_place() -> None:
    log = copied(busy_log(), {("decisions", 0): 10})
    entry = decode_output(next(iter(busy_log().read("decisions", 0, 10))).payload)
    forged = encode_output(entry.position, entry.ordinal, entry.seq, GENESIS, entry.event)
    log.append([Append("decisions", 0, forged, 0)])
    with pytest.raises(LogRefused, match="does not follow"):
        batches(log)


def test_an_output_whose_cause_the_journal_lacks_stops() -> None:
    log = copied(busy_log(), {("journal", 0): 5})
    with pytest.raises(LogRefused, match="beyond the journal's end"):
        batches(log)


def test_a_journal_truncated_beyond_the_mark_stops_and_names_the_remedy() -> None:
    with pytest.raises(LogRefused, match=r"begins at 3, but 0 is next.*archive"):
        batches(Cut(busy_log(), 3))


def test_a_log_that_tells_all_its_ends_at_once_gives_the_same() -> None:
    assert everything(batches(Cut(busy_log(), 0))) == everything(batches(busy_log()))


def test_positions_that_skip_change_nothing_but_the_places() -> None:
    skipping = MemoryLog(skip=lambda position: position + position % 3)
    for one in (one for part in busy_log().partitions() for one in busy_log().read(*part)):
        if one.topic == "journal":
            skipping.append([Append(one.topic, one.shard, one.payload, one.journal_time)])
    found, _ = everything(batches(skipping))
    assert len([row for row in found if isinstance(row, SignalRow)]) == len(
        [row for row in rows(busy_log()) if isinstance(row, SignalRow)]
    )


def test_an_input_that_a_router_appended_twice_gives_no_second_row() -> None:
    log = MemoryLog()
    entry = _signal_entry(offset=7)
    log.append([Append("journal", 0, _started(), 0), *[Append("journal", 0, entry, 1)] * 3])
    first, marks = everything(batches(log))
    assert len(first) == 1
    log.append([Append("journal", 0, entry, 2), Append("journal", 0, _signal_entry(offset=8), 3)])
    [again] = everything(batches(log, marks=marks))[0]
    assert again.as_of.seq == 5


def test_a_source_whose_name_has_quotes_and_other_letters_finds_its_home() -> None:
    for name in ('say "source":"x"', "quelle Ä", "back\\slash"):
        home = shard_of(name, 4)
        log = MemoryLog()
        for shard in range(4):
            entry = _signal_entry(source=name)
            log.append([Append("journal", shard, _started(4), 0), Append("journal", shard, entry)])
        [row] = everything(batches(log))[0]
        assert isinstance(row, SignalRow)
        assert (row.source, row.as_of.shard) == (name, home)


def test_nothing_beyond_the_stops_is_read() -> None:
    follower = Follower(busy_log(), "fake", stops={("journal", 0): 40, ("decisions", 0): 4})
    follower.find_shards()
    while follower.batch(rows_max=10, until=never).after:
        pass
    assert {part: mark.next for part, mark in follower.marks.items()} == {
        ("journal", 0): 40,
        ("decisions", 0): 4,
    }


def test_time_ends_a_batch_and_the_next_begins_with_another_shard() -> None:
    follower = Follower(busy_log(), "fake")
    follower.find_shards()
    made = [follower.batch(rows_max=10_000, until=lambda: True) for _ in range(2)]
    shards = [{shard for _, shard in one.after} for one in made]
    assert shards == [{0}, {1}]


def test_marks_only_move_on() -> None:
    for earlier, later in pairwise(batches(busy_log(), rows_max=50)):
        for part, mark in later.before.items():
            assert mark.next >= earlier.after.get(part, mark).next


def _started(shards: int = 1) -> bytes:
    return encode_journal(Stamp("journal", "t", 0, -1, 0), started(shards=shards))


def _signal_entry(*, source: str = "alpha", offset: int = 0) -> bytes:
    return encode_journal(Stamp("signals", "t", 0, offset, 0), signal(source, "s", 1, 1))

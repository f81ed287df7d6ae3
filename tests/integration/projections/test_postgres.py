"""The Postgres projection on a real server: one transaction, one writer, nothing older."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from ops.servers_postgres import PostgresServer
from projections.checkpoints import Mark
from projections.errors import RowRefused, TargetAway, TargetBusy, TargetChanged
from projections.following import Batch
from projections.postgres.reading import PostgresView
from projections.postgres.sink import PostgresSink
from projections.projector import Pace, Projector
from projections.rows import AsOf, HoldingRow, IncidentRow, PortfolioViewRow, Row, SignalRow
from projections.sink import digest
from tests.integration.projections.waiting import drain, until
from tests.journals import T0, law
from tests.support.projected import batches, busy_log, copied, everything

pytestmark = pytest.mark.integration

PACE = Pace(rows_max=300, interval=0.01, pause=0.05, pause_max=0.2, beat=0.0, look=0.0)
CHILD = """
import sys, threading
from coordinator.log.open import open_reader
from projections.postgres.sink import PostgresSink
from projections.projector import Pace, Projector
sink = PostgresSink(sys.argv[2], sys.argv[3])
pace = Pace(rows_max=40, interval=0.01, pause=0.05, look=0.0)
Projector(open_reader(sys.argv[1]), sink, pace=pace).run(threading.Event())
"""


@pytest.fixture
def sink(postgres_dsn: str, postgres_schema: str) -> Iterator[PostgresSink]:
    made = PostgresSink(postgres_dsn, postgres_schema)
    yield made
    made.close()
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{postgres_schema}" CASCADE'.encode())


def ask(sink: PostgresSink, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(sink.dsn, autocommit=True) as connection:
        connection.execute(f'SET search_path TO "{sink.schema}"'.encode())
        return connection.execute(statement.encode()).fetchall()


def test_every_row_is_there_once_exact_and_found_by_month(sink: PostgresSink) -> None:
    rows, marks = everything(batches(busy_log()))
    drain(Projector(busy_log(), sink, pace=PACE))
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in row.key)
        kinds.setdefault(row.view, set()).add(key)
    found = digest(sink)
    for view in ("decisions", "trades", "signal_uses", "conflicts", "rounds", "fills", "incidents"):
        assert found[view].rows == len(kinds[view]), view
    assert sink.snapshot().marks == marks
    navs = dict(ask(sink, "SELECT portfolio, nav FROM portfolio_views"))
    newest = {row.portfolio: row for row in rows if isinstance(row, PortfolioViewRow)}
    assert navs == {name: row.nav for name, row in newest.items()}
    parts = ask(sink, "SELECT DISTINCT tableoid::regclass::text FROM decisions")
    assert parts == [("decisions_y2025m10",)]
    exact = "SELECT count(*) FROM decisions WHERE decided_at <> timestamptz 'epoch'"
    exact += " + (decided_at_ns / 1000) * interval '1 microsecond'"
    assert ask(sink, exact) == [(0,)]
    [(as_of, mark_next)] = ask(
        sink, "SELECT as_of, next FROM checkpoints WHERE topic = 'journal' AND shard = 0"
    )
    assert (as_of, mark_next) == (busy_log().end("journal", 0) - 1, busy_log().end("journal", 0))


def test_holdings_are_those_of_the_newest_view(sink: PostgresSink) -> None:
    drain(Projector(busy_log(), sink, pace=PACE))
    rows, _ = everything(batches(busy_log()))
    newest = {row.portfolio: row.as_of for row in rows if isinstance(row, PortfolioViewRow)}
    held = {
        (row.portfolio, row.instrument)
        for row in rows
        if isinstance(row, HoldingRow) and newest[row.portfolio] == row.as_of
    }
    assert set(ask(sink, "SELECT portfolio, instrument FROM holdings")) == held
    assert held


def test_restarting_and_repeating_change_nothing(sink: PostgresSink) -> None:
    drain(Projector(busy_log(), sink, pace=PACE))
    before = sink.snapshot()
    sink.close()
    drain(Projector(busy_log(), sink, pace=PACE))
    assert sink.snapshot() == before
    with pytest.raises(TargetChanged, match="not where it was"):
        sink.commit(batches(busy_log(), rows_max=50)[0])
    sink.open()
    assert sink.snapshot() == before


def test_an_older_row_never_replaces_a_newer_in_any_order(sink: PostgresSink) -> None:
    rows, _ = everything(batches(busy_log()))
    drain(Projector(busy_log(), sink, pace=PACE))
    expected = digest(sink)

    @law(4)
    @given(st.integers(0, 2**32), st.integers(1, 400))
    def shuffled(seed: int, size: int) -> None:
        rng = random.Random(seed)
        mixed: list[Row] = [*rows, *rng.sample(rows, len(rows) // 3)]
        rng.shuffle(mixed)
        with psycopg.connect(sink.dsn, autocommit=True) as connection:
            for view in expected:
                connection.execute(f'DELETE FROM "{sink.schema}"."{view}"'.encode())
        for start in range(0, len(mixed), size * 10):
            sink.upsert(mixed[start : start + size * 10])
        assert digest(sink) == expected

    shuffled()


def test_a_killed_projector_leaves_rows_and_marks_that_agree(
    sink: PostgresSink, tmp_path: Path
) -> None:
    path = tmp_path / "log.sqlite"
    log = SqliteLog(path)
    for part in busy_log().partitions():
        log.append([_append(one) for one in busy_log().read(*part)])
    log.close()
    rng = random.Random(5)
    command = [sys.executable, "-c", CHILD, str(path), sink.dsn, sink.schema]
    view = PostgresView(sink.dsn, sink.schema)
    for _ in range(2):
        _start_and_kill(command, view, after=rng.random() * 0.1)
        _agrees(view)
    until(lambda: _opened(sink))
    drain(Projector(busy_log(), sink, pace=PACE))
    there = sink.snapshot()
    sink.close()
    again = PostgresSink(sink.dsn, f"{sink.schema}_b", exclusive=False)
    drain(Projector(busy_log(), again, pace=PACE))
    assert again.snapshot() == there
    with psycopg.connect(sink.dsn, autocommit=True) as connection:
        again.close()
        connection.execute(f'DROP SCHEMA "{sink.schema}_b" CASCADE'.encode())


def _start_and_kill(command: list[str], view: PostgresView, *, after: float) -> None:
    """Run a projector and end it without a word, some time after its first commit."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    marks = _marks(view)
    try:
        until(lambda: _marks(view) != marks or child.poll() is not None)
        time.sleep(after)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)


def _opened(sink: PostgresSink) -> bool:
    """Whether the killed one's session has gone, and with it its lock."""
    try:
        sink.open()
    except TargetBusy:
        return False
    return True


def _marks(view: PostgresView) -> dict[tuple[str, int], Mark]:
    return dict(view.inspect().marks)


def _agrees(view: PostgresView) -> None:
    """What is there is exactly what the log gives up to the marks that are there."""
    found = view.snapshot()
    keep = {part: mark.next for part, mark in found.marks.items()}
    rows, marks = everything(
        batches(copied(busy_log(), {part: keep.get(part, 0) for part in busy_log().partitions()}))
    )
    assert marks == found.marks
    for name in ("decisions", "signal_uses", "trades", "rounds", "incidents", "fills"):
        keys = {tuple(getattr(row, one) for one in row.key) for row in rows if row.view == name}
        assert found.views[name].rows == len(keys), name


def test_a_second_projector_waits_and_takes_over(sink: PostgresSink) -> None:
    first = Projector(busy_log(), sink, pace=PACE)
    first.step()
    second = PostgresSink(sink.dsn, sink.schema)
    standby = Projector(busy_log(), second, pace=PACE)
    assert standby.step() == 0
    assert standby._state == "standby"
    first.close()
    until(lambda: standby.step() > 0)
    drain(standby)
    assert second.snapshot().marks == everything(batches(busy_log()))[1]
    with pytest.raises(TargetBusy):
        sink.open()
    standby.close()


def test_a_row_that_the_database_refuses_stops_and_nothing_is_skipped(sink: PostgresSink) -> None:
    sink.open()
    ask_ddl = "ALTER TABLE \"{}\".decisions ADD CHECK (portfolio <> 'p-hours')"
    with psycopg.connect(sink.dsn, autocommit=True) as connection:
        connection.execute(ask_ddl.format(sink.schema).encode())
    projector = Projector(busy_log(), sink, pace=PACE)
    with pytest.raises(RowRefused, match="decisions") as refused:
        drain(projector)
    assert refused.value.view == "decisions"
    _agrees(PostgresView(sink.dsn, sink.schema))
    with pytest.raises(RowRefused):
        drain(Projector(busy_log(), sink, pace=PACE))


def test_a_number_beyond_the_column_stops(sink: PostgresSink) -> None:
    sink.open()
    row = IncidentRow(AsOf(0, 1), 2**70, "alert", None, None, None, "", T0)
    with pytest.raises(RowRefused, match="incidents"):
        sink.commit(Batch(rows=[row], first=T0, last=T0))
    sink.open()
    assert digest(sink)["incidents"].rows == 0


def test_far_times_go_to_the_default_partition_and_move_when_their_month_comes(
    sink: PostgresSink,
) -> None:
    sink.open()
    day = 86_400 * 10**9
    near, far = T0, T0 + 300 * day
    rows: list[Row] = [_signal("near", near, 1), _signal("far", far, 2), _signal("old", 5, 3)]
    sink.commit(Batch(rows=rows, first=T0, last=T0))
    places = dict(ask(sink, "SELECT signal_id, tableoid::regclass::text FROM signals"))
    assert places == {
        "near": "signals_y2025m10", "far": "signals_default", "old": "signals_default",
    }  # fmt: skip
    sink.commit(Batch(rows=[_signal("later", far, 4)], first=far, last=far))
    places = dict(ask(sink, "SELECT signal_id, tableoid::regclass::text FROM signals"))
    assert places["far"] == places["later"] == "signals_y2026m08"
    assert places["old"] == "signals_default"


def test_a_reader_that_holds_up_a_new_month_does_not_hold_up_the_rows(sink: PostgresSink) -> None:
    sink.open()
    with psycopg.connect(sink.dsn) as reader:
        reader.execute(f'SELECT * FROM "{sink.schema}".signals'.encode())
        sink.commit(Batch(rows=[_signal("a", T0, 1)], first=T0, last=T0))
    sink.commit(Batch(rows=[_signal("b", T0, 2)], first=T0, last=T0))
    places = dict(ask(sink, "SELECT signal_id, tableoid::regclass::text FROM signals"))
    assert places == dict.fromkeys("ab", "signals_y2025m10")


def test_text_with_a_character_that_postgres_lacks_is_kept_readable(sink: PostgresSink) -> None:
    sink.open()
    row = IncidentRow(AsOf(0, 1), 1, "alert", None, None, None, "a\x00b", T0)
    sink.commit(Batch(rows=[row], first=T0, last=T0))
    assert ask(sink, "SELECT detail FROM incidents") == [("a\u2400b",)]


def test_a_database_that_is_killed_paused_and_restarted_loses_nothing(
    own_server: Callable[[type[PostgresServer]], PostgresServer],
) -> None:
    server = own_server(PostgresServer)
    sink = PostgresSink(server.dsn, "views", commit_seconds=1.0)
    log = MemoryLog()
    parts = sorted(busy_log().partitions(), reverse=True)  # Journals before decisions.
    records = [one for part in parts for one in busy_log().read(*part)]
    projector, stop = Projector(log, sink, pace=PACE), threading.Event()
    thread = threading.Thread(target=projector.run, args=[stop])
    log.append([_append(one) for one in records[:200]])
    thread.start()
    try:
        until(lambda: projector._state == "writing")
        server.kill()
        log.append([_append(one) for one in records[200:400]])
        until(lambda: projector._state == "away")
        server.restart()
        until(lambda: projector._state == "writing")
        server.pause()
        log.append([_append(one) for one in records[400:]])
        until(lambda: projector._state == "away")
        server.resume()
        expected = everything(batches(busy_log()))[1]
        view = PostgresView(server.dsn, "views")
        until(lambda: _snapshot_marks(view) == expected)
    finally:
        server.resume()
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    _agrees(view)


def _snapshot_marks(view: PostgresView) -> object:
    try:
        return view.inspect().marks
    except TargetAway:
        return None


def _signal(name: str, at: int, seq: int) -> SignalRow:
    return SignalRow(AsOf(0, seq), "a", name, "x", "ABC", at, 1, 0.5, None, 0.5, None, None)


def _append(one: Any) -> Append:
    return Append(one.topic, one.shard, one.payload, one.journal_time)


def test_a_beat_that_is_not_answered_ends_in_time(sink: PostgresSink) -> None:
    until(lambda: _opened(sink))
    sink._mine().execute("SET lock_timeout = 0")
    sink.beat_seconds = 0.5
    with psycopg.connect(sink.dsn) as holder:
        holder.execute(f"LOCK TABLE {sink.schema}.projection IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(TargetAway):
            sink.beat()
        assert time.monotonic() - began < 20.0


def test_a_writer_that_froze_loses_its_session_and_writes_nothing_more(sink: PostgresSink) -> None:
    frozen = PostgresSink(sink.dsn, sink.schema)
    frozen.open()
    frozen._mine().execute("SET idle_session_timeout = '200ms'")
    made = batches(busy_log(), rows_max=100)
    until(lambda: _opened(sink))
    sink.commit(made[0])
    with pytest.raises(TargetAway):
        frozen.commit(made[0])
    sink.commit(made[1])
    with pytest.raises(TargetBusy):
        frozen.open()
    frozen.close()

"""The SQLite log when its process is killed, its disk is full, or somebody else holds it.

Real processes, real limits: nothing here is simulated.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from coordinator.core.ports import Append
from coordinator.log.errors import LogClosed, LogFull, LogLocked, LogUnreadable, NotALog
from coordinator.log.open import open_reader
from coordinator.log.segments import SegmentLog, export
from coordinator.log.sqlite import SqliteLog

BATCH = 7


def child(code: str, *arguments: object, stdout: int | None = None) -> subprocess.Popen[bytes]:
    program = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


ENDLESS_WRITER = """
from coordinator.core.ports import Append
from coordinator.log.sqlite import SqliteLog
log = SqliteLog(sys.argv[1])
n = 0
while True:
    batch = [Append("journal", 0, b"%d %d " % (n, k) + b"x" * 3000) for k in range(7)]
    last = log.append(batch)[-1]
    n += 1
    print(last, flush=True)
"""


def killed_after(path: Path, lines: int) -> int:
    """Kill the endless writer after some lines; returns the last position it acknowledged."""
    with child(ENDLESS_WRITER, path) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
    return acknowledged[-1]


@pytest.mark.parametrize("lines", [1, 5, 40, 160])
def test_killed_writer_loses_nothing_acknowledged_and_leaves_whole_batches(
    tmp_path: Path, lines: int
) -> None:
    path = tmp_path / "killed.sqlite"
    acknowledged = killed_after(path, lines)
    with open_reader(path) as reader:
        payloads = [record.payload[:40] for record in reader.read("journal", 0)]
    assert len(payloads) > acknowledged
    assert len(payloads) % BATCH == 0
    wanted = [b"%d %d " % (n // BATCH, n % BATCH) for n in range(len(payloads))]
    assert [payload.rstrip(b"x") for payload in payloads] == wanted
    with SqliteLog(path) as log:
        assert log.append([Append("journal", 0, b"next")]) == (len(payloads),)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["killed.sqlite"]


def test_torn_write_ahead_file_gives_whole_batches_at_every_cut(tmp_path: Path) -> None:
    path = tmp_path / "killed.sqlite"
    killed_after(path, 6)
    tail = tmp_path / "killed.sqlite-wal"
    content, database = tail.read_bytes(), path.read_bytes()
    for number, length in enumerate(range(0, len(content), len(content) // 60)):
        torn = tmp_path / f"torn-{number}.sqlite"
        torn.write_bytes(database)
        torn.with_name(torn.name + "-wal").write_bytes(content[:length])
        try:
            with open_reader(torn) as reader:
                assert len(list(reader.read("journal", 0))) % BATCH == 0
        except NotALog:
            assert length < len(content) // 2


LIMITED_WRITER = """
import resource
from coordinator.core.ports import Append
from coordinator.log.errors import LogFull
from coordinator.log.sqlite import SqliteLog
log = SqliteLog(sys.argv[1], durable=sys.argv[2] == "durable")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        log.append([Append("journal", k % 2, bytes([k]) * 40_000) for k in range(6)])
        kept = log.end("journal", 0) + log.end("journal", 1)
except LogFull as error:
    print("full:", error)
try:
    log.append([Append("journal", 0, b"y" * 900_000)])
except LogFull:
    print("full again")
print("kept", kept, log.end("journal", 0) + log.end("journal", 1), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("next", log.append([Append("journal", 0, b"after")])[0])
log.close()
"""


def test_full_disk_is_named_leaves_whole_batches_and_heals(tmp_path: Path) -> None:
    path = tmp_path / "full.sqlite"
    writer = child(LIMITED_WRITER, path, "durable")
    output = writer.communicate(timeout=60)[0].decode()
    assert writer.returncode == 0, output
    lines = output.splitlines()
    assert lines[0].startswith(f"full: {path} is full")
    position = int(lines[2].split()[1]) // 2
    assert f"the last 6 records, from journal/0 position {position} on" in lines[0]
    assert lines[1] == "full again"
    _, before, after = lines[2].split()
    assert before == after
    assert int(after) > 0
    assert lines[3] == f"next {int(after) // 2}"
    with open_reader(path) as reader:
        records = list(reader.read("journal", 0)) + list(reader.read("journal", 1))
    assert len(records) == int(after) + 1
    assert int(after) % 6 == 0


def test_full_disk_in_bulk_says_how_much_is_gone_and_heals(tmp_path: Path) -> None:
    path = tmp_path / "full.sqlite"
    writer = child(LIMITED_WRITER, path, "bulk")
    output = writer.communicate(timeout=60)[0].decode()
    assert writer.returncode == 0, output
    # Nothing was committed yet, so everything is gone, which the error says; one record came after.
    assert ", from journal/0 position 0 on" in output
    with open_reader(path) as reader:
        assert [len(record.payload) for record in reader.read("journal", 0)] == [900_000, 5]
        assert reader.partitions() == (("journal", 0),)


def test_page_limit_of_sqlite_is_a_full_log_that_can_go_on(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "a.sqlite") as log:
        log.append([Append("journal", 0, b"first")])
        log._connection.execute("PRAGMA max_page_count=40")
        with pytest.raises(LogFull, match="not written: a batch of 90 records"):
            log.append([Append("journal", 0, bytes(4_000))] * 90)
        assert log.end("journal", 0) == 1
        log._connection.execute("PRAGMA max_page_count=1000000")
        log.append([Append("journal", 0, b"second")])
        assert [r.payload for r in log.read("journal", 0)] == [b"first", b"second"]


def test_page_limit_in_bulk_keeps_the_batches_before(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "a.sqlite", durable=False) as log:
        log.append([Append("journal", 0, b"first")])
        log._connection.execute("PRAGMA max_page_count=40")
        with pytest.raises(LogFull) as caught:
            log.append([Append("journal", 0, bytes(4_000))] * 90)
        log._connection.execute("PRAGMA max_page_count=1000000")
        kept = [r.payload for r in log.read("journal", 0)]
        # SQLite decides whether it takes back the batch or everything uncommitted: it must be said.
        assert kept == ([] if "the last 1 records" in str(caught.value) else [b"first"])
        log.append([Append("journal", 0, b"second")])
        assert [r.payload for r in log.read("journal", 0)] == [*kept, b"second"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting needs root")
def test_full_file_system_is_named_and_heals_when_space_is_back(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        ballast = small / "ballast"
        ballast.write_bytes(bytes(700_000))
        with SqliteLog(small / "a.sqlite") as log:
            filling = [Append("journal", 0, bytes(30_000))] * 5
            with pytest.raises(LogFull):
                deque((log.append(filling) for _ in range(100)), maxlen=0)
            kept = log.end("journal", 0)
            assert kept % 5 == 0
            with pytest.raises(LogFull):
                export(log, small / "sealed")
            assert not list((small / "sealed").glob("*.parquet"))
            ballast.unlink()
            assert log.append([Append("journal", 0, b"room")]) == (kept,)
            assert len(list(log.read("journal", 0))) == kept + 1
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_second_writer_is_refused_at_once_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with SqliteLog(path) as log:
        with pytest.raises(LogLocked, match=rf"a\.sqlite is locked: process {os.getpid()}"):
            SqliteLog(path)
        other = child("from coordinator.log.sqlite import SqliteLog; SqliteLog(sys.argv[1])", path)
        assert b"LogLocked" in other.communicate(timeout=30)[0]
        log.append([Append("journal", 0, b"still mine")])
    with SqliteLog(path) as log:
        log.append([Append("journal", 0, b"next")])


def test_writer_killed_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    killed_after(path, 1)
    assert path.with_name("a.sqlite.lock").exists()
    with SqliteLog(path) as log:
        log.append([Append("journal", 0, b"free")])


def test_foreign_program_that_holds_the_file_is_an_error_not_a_hang(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with SqliteLog(path) as log:
        foreign = sqlite3.connect(path, isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogLocked, match="another program"):
            log.append([Append("journal", 0, b"x")])
        foreign.execute("ROLLBACK")
        foreign.close()
        assert log.append([Append("journal", 0, b"x")]) == (0,)


def test_readers_read_while_a_writer_writes_and_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with SqliteLog(path) as log:
        log.append([Append("journal", 0, b"a")] * 2_000)
        with open_reader(path) as reader:
            reading = reader.read("journal", 0)
            next(reading)
            log.append([Append("journal", 0, b"b")])
            assert sum(1 for _ in reading) == 1_999
            assert reader.end("journal", 0) == 2_001
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.sqlite"]


def test_clean_close_leaves_one_file_that_a_reader_leaves_alone(tmp_path: Path) -> None:
    for durable in (True, False):
        path = tmp_path / f"{durable}.sqlite"
        with SqliteLog(path, durable=durable) as log:
            log.append([Append("journal", 0, b"a")])
        content = path.read_bytes()
        with open_reader(path) as reader:
            assert reader.end("journal", 0) == 1
        assert path.read_bytes() == content
    assert sorted(e.name for e in tmp_path.iterdir()) == ["False.sqlite", "True.sqlite"]


def test_reader_cannot_append(tmp_path: Path) -> None:
    SqliteLog(tmp_path / "a.sqlite").close()
    with SqliteLog(tmp_path / "a.sqlite", readonly=True) as log, pytest.raises(LogClosed):
        log.append([Append("journal", 0, b"x")])


def test_what_is_no_log_is_refused_with_a_remedy_and_left_unchanged(tmp_path: Path) -> None:
    empty, text, foreign = tmp_path / "empty", tmp_path / "text", tmp_path / "foreign"
    empty.touch()
    text.write_text("not a log\n" * 50)
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    (tmp_path / "folder").mkdir()
    before = {path: path.read_bytes() for path in (empty, text, foreign)}
    for path in (*before, tmp_path / "missing", tmp_path / "folder"):
        with pytest.raises(NotALog, match=path.name):
            open_reader(path)
        with pytest.raises(NotALog, match=path.name):
            SqliteLog(path, readonly=True)
    for path in (text, foreign, tmp_path / "folder", tmp_path / "no" / "folder" / "x"):
        with pytest.raises(NotALog):
            SqliteLog(path)
    assert before == {path: path.read_bytes() for path in before}
    assert not [entry for entry in tmp_path.iterdir() if entry.name.endswith(".lock")]


def test_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    SqliteLog(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version=2")
    database.close()
    with pytest.raises(NotALog, match="version 2, this build reads 1"):
        open_reader(path)
    with pytest.raises(NotALog, match="version 2, this build reads 1"):
        SqliteLog(path)


def test_empty_file_becomes_a_log_when_written(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch()
    with SqliteLog(tmp_path / "a.sqlite") as log:
        log.append([Append("journal", 0, b"a")])
    with open_reader(tmp_path / "a.sqlite") as reader:
        assert reader.end("journal", 0) == 1


@pytest.mark.parametrize("name", ["with space", "quest?ion", "per%20cent", "ha#sh", "brack[et]*"])
def test_any_path_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with SqliteLog(folder / f"{name}.sqlite") as log:
        log.append([Append("journal", 0, b"a")])
    with open_reader(folder / f"{name}.sqlite") as reader:
        export(reader, folder / "sealed")
    with open_reader(folder / "sealed") as reader:
        assert [record.payload for record in reader.read("journal", 0)] == [b"a"]


def test_interrupted_export_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    with SqliteLog(tmp_path / "a.sqlite") as log:
        log.append([Append("journal", shard, b"a") for shard in range(3)])
        first = export(log, folder)
        sheet = (folder / "heads.json").read_bytes()
        log.append([Append("journal", shard, b"b") for shard in range(3)])
        export(log, folder)
        # As a crash leaves it: segments are there, the sheet is old, half a file lies about.
        (folder / "heads.json").write_bytes(sheet)
        (folder / "half.parquet.partial").write_bytes(b"PAR1")
        with SegmentLog(folder) as reader:
            assert reader.end("journal", 2) == 2
        log.append([Append("journal", 1, b"c")])
        (segment,) = export(log, folder)
        assert (segment.shard, segment.first, segment.last) == (1, 2, 2)
        assert export(log, folder) == ()
    assert len(first) == 3
    assert not list(folder.glob("*.partial"))
    with SegmentLog(folder) as reader:
        assert [r.payload for r in reader.read("journal", 1)] == [b"a", b"b", b"c"]


def test_export_of_another_log_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with SqliteLog(tmp_path / name, clock=lambda: 1) as log:
            log.append([Append("journal", 0, name.encode())])
            if name == "one":
                export(log, tmp_path / "sealed")
            else:
                with pytest.raises(LogUnreadable, match="another log"):
                    export(log, tmp_path / "sealed")

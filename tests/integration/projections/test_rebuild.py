"""Rebuilds on real servers: equal by digest, swapped in one step, and nothing lost by failing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from coordinator.cli.main import main
from coordinator.core.ports import Append
from coordinator.log.memory import MemoryLog
from coordinator.log.sqlite import SqliteLog
from projections.checkpoints import Marks
from projections.errors import TargetBusy
from projections.postgres.reading import PostgresView
from projections.postgres.rebuild import PostgresRebuild
from projections.projector import Pace, Projector
from projections.rebuild import rebuild
from tests.support.projected import batches, busy_log, copied, everything
from tests.support.rebuilt import Breaking, Feeder, Kind, Postgres, Redis

pytestmark = pytest.mark.integration

PACE = Pace(rows_max=300, interval=0.005, pause=0.02, pause_max=0.1, beat=0.0, look=0.0)


@pytest.fixture(params=["postgres", "redis"])
def kind(
    request: pytest.FixtureRequest, postgres_schema: str, redis_prefix: str
) -> Iterator[Postgres | Redis]:
    made: Postgres | Redis
    if request.param == "postgres":
        made = Postgres(request.getfixturevalue("postgres_dsn"), postgres_schema)
    else:
        made = Redis(request.getfixturevalue("redis_url"), redis_prefix)
    yield made
    made.clean()


@pytest.fixture
def postgres(postgres_dsn: str, postgres_schema: str) -> Iterator[Postgres]:
    made = Postgres(postgres_dsn, postgres_schema)
    yield made
    made.clean()


def filled(kind: Kind, log: MemoryLog | None = None) -> None:
    """The live projection, up to date, its writer gone."""
    projector = Projector(log or busy_log(), kind.sink(), pace=PACE)
    while projector.step() or not projector._open:
        pass
    projector.close()


def test_a_rebuild_is_equal_and_takes_the_live_one_s_place(kind: Kind) -> None:
    filled(kind)
    before, build = kind.view().snapshot(), kind.view().inspect().build
    report = rebuild(busy_log(), kind.target())
    assert report.ok
    assert report.swapped
    assert all(one.live == one.built for one in report.views)
    assert kind.view().snapshot() == before
    assert kind.view().inspect().build != build
    assert kind.left() == []


def test_where_there_was_none_the_rebuild_becomes_it(kind: Kind) -> None:
    report = rebuild(busy_log(), kind.target())
    assert (report.ok, report.swapped) == (True, True)
    assert all(one.live is None for one in report.views)
    assert kind.view().snapshot().marks == everything(batches(busy_log()))[1]


def test_a_damaged_live_one_is_found_and_replaced_only_when_accepted(kind: Kind) -> None:
    filled(kind)
    sound = kind.view().snapshot()
    kind.damage()
    damaged = kind.view().snapshot()
    report = rebuild(busy_log(), kind.target())
    assert not report.ok
    assert not report.swapped
    assert any("view decisions" in line for line in report.differences)
    assert kind.view().snapshot() == damaged
    assert kind.left() == []
    assert rebuild(busy_log(), kind.target(), accept=True).swapped
    assert kind.view().snapshot() == sound


def test_a_check_swaps_nothing(kind: Kind) -> None:
    filled(kind)
    build = kind.view().inspect().build
    report = rebuild(busy_log(), kind.target(), check=True)
    assert (report.ok, report.swapped) == (True, False)
    assert kind.view().inspect().build == build
    assert kind.left() == []


def test_a_live_one_that_lags_is_compared_where_it_stands_and_passed(kind: Kind) -> None:
    log = copied(busy_log(), {("decisions", 0): 30, ("decisions", 1): 10})
    filled(kind, log)
    report = rebuild(busy_log(), kind.target())
    assert report.ok
    assert report.swapped
    assert kind.view().snapshot().marks == everything(batches(busy_log()))[1]


def test_a_live_one_of_another_log_is_not_taken_for_equal(kind: Kind) -> None:
    filled(kind)
    other = busy_log(seed=2)
    report = rebuild(other, kind.target())
    assert not report.swapped
    assert any(line.startswith("decisions/0: rebuilt up to") for line in report.differences)


def test_the_live_projector_goes_on_in_what_was_swapped_in(kind: Kind) -> None:
    log = MemoryLog()
    parts = sorted(busy_log().partitions(), reverse=True)
    records = [one for part in parts for one in busy_log().read(*part)]
    log.append([_append(one) for one in records[:300]])
    stop = threading.Event()
    live = Projector(log, kind.sink(), pace=PACE)
    thread = threading.Thread(target=live.run, args=[stop])
    feeder = Feeder(log, [_append(one) for one in records[300:]])
    thread.start()
    feeder.start()
    try:
        until(lambda: live._state == "writing")
        reports = [rebuild(log, kind.target(), accept=False) for _ in range(2)]
        feeder.join(60)
        expected = everything(batches(busy_log()))[1]
        until(lambda: live._open and _marks(kind) == expected)
    finally:
        stop.set()
        thread.join(20)
        feeder.join(20)
    assert [(one.ok, one.swapped) for one in reports] == [(True, True)] * 2, reports
    assert not thread.is_alive()
    assert rebuild(busy_log(), kind.target(), check=True).ok


def _marks(kind: Kind) -> Marks:
    return kind.view().inspect().marks


def test_a_rebuild_that_was_broken_off_leaves_the_live_one_and_can_be_run_again(
    kind: Kind,
) -> None:
    filled(kind)
    before, build = kind.view().snapshot(), kind.view().inspect().build
    for after in (1, 3):
        broken = Breaking(kind.target(), after)
        with pytest.raises(KeyboardInterrupt):
            rebuild(busy_log(), broken)
        assert kind.view().snapshot() == before
        assert kind.view().inspect().build == build
    assert rebuild(busy_log(), kind.target()).swapped
    assert kind.left() == []


def test_of_two_rebuilds_at_once_one_is_refused(kind: Kind) -> None:
    filled(kind)
    first = kind.target()
    first.claim()
    try:
        with pytest.raises(TargetBusy, match="another rebuild"):
            rebuild(busy_log(), kind.target())
    finally:
        first.close()
    assert rebuild(busy_log(), kind.target()).swapped


def test_readers_of_postgres_never_see_a_half_state(postgres: Postgres) -> None:
    filled(postgres)
    expected = len(everything(batches(busy_log()))[1])
    names = [f'"{postgres.schema}".{name}' for name in ("decisions", "rounds", "checkpoints")]
    counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in names)
    statement = f'SELECT {counts}, (SELECT build FROM "{postgres.schema}".projection)'
    seen: set[tuple[Any, ...]] = set()
    failures: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(postgres.dsn) as connection:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
            while not stop.is_set():
                try:
                    with connection.transaction():
                        first = connection.execute(statement.encode()).fetchone()
                        second = connection.execute(statement.encode()).fetchone()
                except psycopg.Error as error:
                    failures.append(error)
                    return
                if first is None or first != second:
                    failures.append(ValueError(f"{first} then {second}"))
                    return
                seen.add(first)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert rebuild(busy_log(), postgres.target()).swapped
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert failures == []
    assert len({build for *_, build in seen}) >= 2
    assert len({(decisions, rounds) for decisions, rounds, *_ in seen}) == 1
    assert {count for *_, count, _ in seen} == {expected}


def test_a_reader_that_does_not_let_go_stops_the_swap_and_is_not_hurt(postgres: Postgres) -> None:
    filled(postgres)
    before = postgres.view().inspect().build
    target = PostgresRebuild(postgres.dsn, postgres.schema, wait_seconds=0.5)
    with psycopg.connect(postgres.dsn) as reader:
        reader.execute(f'SELECT count(*) FROM "{postgres.schema}".trades'.encode())
        with pytest.raises(TargetBusy, match="did not end"):
            rebuild(busy_log(), target)
        reader.execute(f'SELECT count(*) FROM "{postgres.schema}".decisions'.encode())
    assert postgres.view().inspect().build == before
    assert postgres.left() == []


def test_what_was_replaced_is_kept_when_asked(postgres: Postgres) -> None:
    filled(postgres)
    target = PostgresRebuild(postgres.dsn, postgres.schema, keep_old=True)
    assert rebuild(busy_log(), target).swapped
    assert postgres.left() == [target.old]
    assert PostgresView(postgres.dsn, target.old).snapshot() == postgres.view().snapshot()


def test_the_commands_do_it_all(
    kind: Postgres | Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "log.sqlite"
    with SqliteLog(path) as log:
        for part in busy_log().partitions():
            log.append([_append(one) for one in busy_log().read(*part)])
    name = "postgres" if isinstance(kind, Postgres) else "redis"
    if isinstance(kind, Postgres):
        monkeypatch.setenv("COORDINATOR_POSTGRES__DSN", kind.dsn)
        options = ["--schema", kind.schema]
    else:
        monkeypatch.setenv("COORDINATOR_REDIS__URL", kind.url)
        options = ["--redis-prefix", kind.prefix]
    options += ["--log", str(path), "--json"]

    def said(*words: str, code: int = 0) -> Any:
        assert main([*words, *options]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    [empty] = said("projections", "status", name)["projections"]
    assert (empty["version"], empty["writer"]) == (None, False)
    assert empty["lag_records"] > 100
    assert said("rebuild", name, "--dry-run")["records"] == empty["lag_records"]
    assert said("rebuild", name, "--yes")["swapped"]
    [full] = said("projections", "status", name)["projections"]
    assert (full["lag_records"], full["lag_seconds"], full["version"]) == (0, 0.0, full["known"])
    assert full["rows"]["decisions"] > 0
    assert said("projections", "digest", name)["decisions"]["rows"] == full["rows"]["decisions"]
    kind.damage()
    assert not said("rebuild", name, "--check", code=3)["ok"]
    assert main(["rebuild", name, *options]) == 1  # Nobody can be asked.
    assert "--yes" in capsys.readouterr().err


def test_a_target_that_does_not_answer_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.sqlite"
    with SqliteLog(path) as log:
        log.append([Append("journal", 0, b"x")])
    monkeypatch.setenv("COORDINATOR_POSTGRES__DSN", "postgresql://me:hidden@127.0.0.1:1/none")
    monkeypatch.setenv("COORDINATOR_REDIS__URL", "redis://:hidden@127.0.0.1:1/0")
    assert main(["projections", "status", "--log", str(path)]) == 1
    out = capsys.readouterr().out
    assert out.count("refused") == 2
    for name in ("postgres", "redis"):
        assert main(["rebuild", name, "--log", str(path), "--yes"]) == 1
        said = capsys.readouterr()
        assert said.err.startswith(f"error: {name}: ")
        assert "hidden" not in said.err + said.out


def until(met: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            pytest.fail("did not come about in time")
        time.sleep(0.02)


def _append(one: Any) -> Append:
    return Append(one.topic, one.shard, one.payload, one.journal_time)

"""What the commands about projections say where a database's address is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator.cli.main import main
from coordinator.log.sqlite import SqliteLog
from projections.errors import TargetAway
from projections.postgres.reading import PostgresView

COMMANDS = (
    ("projections", "status"),
    ("projections", "status", "--json"),
    ("projections", "digest", "postgres"),
    ("projections", "digest", "postgres", "--json"),
    ("rebuild", "postgres", "--yes"),
    ("rebuild", "postgres", "--yes", "--json"),
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.sqlite"
    SqliteLog(path).close()
    return path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:100%hunter2SECRET@127.0.0.1:1/x",
        "postgresql://u:hunter2SECRET@[127.0.0.1:1/x",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(
    command: Sequence[str], dsn: str, log: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("COORDINATOR_POSTGRES__DSN", dsn)
    assert main([*command, "--log", str(log)]) == 1
    shown = "".join(capsys.readouterr())
    assert "postgres.dsn" in shown
    assert "SECRET" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_a_driver_that_repeats_the_password_is_not_let_through(
    command: Sequence[str], log: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(_self: PostgresView) -> None:
        raise TargetAway("postgres", 'the server does not like "hunter2SECRET"')

    monkeypatch.setattr(PostgresView, "inspect", fail)
    monkeypatch.setattr(PostgresView, "snapshot", fail)
    monkeypatch.setenv("COORDINATOR_POSTGRES__DSN", "postgresql://u:hunter2SECRET@127.0.0.1:1/x")
    assert main([*command, "--log", str(log)]) == 1
    shown = "".join(capsys.readouterr())
    assert "does not like" in shown
    assert "SECRET" not in shown

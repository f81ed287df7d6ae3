"""The servers that everybody else tests on: they answer, and come back with their data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.servers_base import Server
from ops.servers_kafka import KafkaServer, ask_metadata
from ops.servers_postgres import PostgresServer
from ops.servers_process import wait_until
from ops.servers_redis import RedisServer

pytestmark = pytest.mark.integration


def test_a_broker_answers_at_the_shared_address(kafka_servers: str) -> None:
    port = int(kafka_servers.rpartition(":")[2])
    assert ask_metadata(port).ports == [port]


def test_postgres_lets_in_with_the_password_alone(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    without = psycopg.conninfo.make_conninfo(postgres_dsn, password="guess")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(without)


def test_redis_lets_in_with_the_password_alone(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        port = client.get_connection_kwargs()["port"]
    once = Retry(NoBackoff(), 0)
    with redis.Redis(port=port, retry=once) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.mark.parametrize("kind", [KafkaServer, PostgresServer, RedisServer])
def test_a_killed_server_comes_back_on_the_same_port(
    kind: type[Server], own_server: Callable[[type[Any]], Any]
) -> None:
    server: Server = own_server(kind)
    port, first = server.port, server.pid
    server.kill()
    assert not server.running
    server.restart()
    assert server.port == port
    assert server.pid not in {None, first}
    assert kind(server.directory).pid == server.pid, "another launcher finds the same one"


def test_postgres_keeps_what_was_committed_before_it_was_killed(
    own_server: Callable[[type[Any]], Any],
) -> None:
    server: PostgresServer = own_server(PostgresServer)
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.kill()
    server.restart()
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_paused_server_answers_only_after_it_was_resumed(
    own_server: Callable[[type[Any]], Any],
) -> None:
    server: RedisServer = own_server(RedisServer)
    with redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
        assert client.ping()
        server.pause()
        assert server.running
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        assert wait_until(client.ping, bound_s=5)
    server.pause()
    assert server.stop(bound_s=5), "a paused one can be stopped, too"

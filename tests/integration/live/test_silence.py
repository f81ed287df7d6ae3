"""A router whose broker stands still says so, and is ready again when the broker is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.servers_kafka import KafkaServer
from tests.live.system import System, until

pytestmark = pytest.mark.integration


def test_a_router_is_not_ready_while_its_broker_is_frozen(
    own_server: Callable[[type[Any]], Any], kafka_prefix: str, tmp_path: Path
) -> None:
    server = own_server(KafkaServer)
    with System(server.bootstrap, kafka_prefix, tmp_path, shards=1) as system:
        system.topics()
        router, engine = system.start("router"), system.start("engine")
        system.await_ready(router, engine)
        server.pause()
        try:
            until("it says so", lambda: router.ask("/readyz")[0] == 503, within_s=12)
        finally:
            server.resume()
        system.await_ready(router)

"""ops/live asks what it started whether it is ready, and ends when decisions are shown no more."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.live import NEEDED, both, ready

BOUND_S = 20.0


@contextmanager
def door(status: int) -> Iterator[str]:
    """A part that answers so."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(BOUND_S)
        server.server_close()


def started(part: str, door: str) -> str:
    return json.dumps({"event": "part_started", "part": part, "http": door}, separators=(",", ":"))


def test_ready_is_what_the_parts_answer_not_how_often_shards_recovered() -> None:
    eight = '{"event":"shard_phase","phase":"running"}\n' * 8
    with door(200) as well, door(503) as not_yet:
        whole = "\n".join(started(part, well) for part in NEEDED)
        assert not ready("")
        assert not ready(eight)
        assert ready(whole)
        assert not ready(f"{whole}\n{eight}{started('engine', not_yet)}")
        assert not ready(started(NEEDED[0], well))
    assert not ready(whole)


async def ends(_: object = None) -> None:
    """A coroutine that is done."""


async def breaks() -> None:
    raise ValueError("no such field")


async def lasts() -> None:
    await asyncio.Event().wait()


def test_it_ends_when_all_is_told() -> None:
    asyncio.run(asyncio.wait_for(both(ends(), lasts()), BOUND_S))


def test_who_shows_decisions_no_more_ends_it_with_the_reason() -> None:
    with pytest.raises(ValueError, match="no such field"):
        asyncio.run(asyncio.wait_for(both(lasts(), breaks()), BOUND_S))
    with pytest.raises(RuntimeError, match="shown no more"):
        asyncio.run(asyncio.wait_for(both(lasts(), ends()), BOUND_S))
    with pytest.raises(ValueError, match="no such field"):
        asyncio.run(asyncio.wait_for(both(breaks(), lasts()), BOUND_S))

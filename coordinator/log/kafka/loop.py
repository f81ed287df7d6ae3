"""One event loop in a thread: how synchronous code asks an asynchronous client.

Place in the flow: beneath `KafkaLog`. It must never run a rule of ours, only wait for a broker.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["LoopThread"]

Result = TypeVar("Result")
STOP_S = 10.0


class LoopThread:
    """An event loop that runs until `close`; safe to ask from any other thread."""

    def __init__(self, name: str = "kafka-io") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Start it and return at once. Raises RuntimeError after `close`."""
        if self._loop.is_closed():
            work.close()
            message = "the event loop was closed"
            raise RuntimeError(message)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Result], *, timeout_s: float | None = None) -> Result:
        """Wait for it. Raises what it raises, TimeoutError after timeout_s (it is cancelled)."""
        future = self.submit(work)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """End what still runs, and the thread."""
        if self._thread.is_alive():
            self.submit(self._settle())
            self._thread.join(STOP_S)
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=STOP_S / 2) if others else None
        self._loop.stop()

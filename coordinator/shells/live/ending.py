"""Ends that are waited for within bounds, and whose failures are looked at.

Place in the flow: where a part lets go of its connections. A cluster that is away must not hold up
an end, nor the next beginning. It must never raise what went wrong in a close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

__all__ = ["ended"]

GIVE_UP_S = 1.0


async def ended(closing: Coroutine[Any, Any, Any] | asyncio.Task[Any], bound_s: float) -> bool:
    """Wait so long, then cancel; whether it ended by itself, and without a failure."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait({task}, timeout=bound_s)
    late = not task.done()
    if late:
        task.cancel()
        await asyncio.wait({task}, timeout=GIVE_UP_S)
    error = None if not task.done() or task.cancelled() else task.exception()
    if error is not None:
        structlog.get_logger("ending").info(
            "close_failed", error=f"{type(error).__name__}: {error}"
        )
    return not late and error is None

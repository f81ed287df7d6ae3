"""Whether the process lives and is ready, as named checks with reasons.

Place in the flow: shells and projections set checks, HTTP tells them. Must never ask anything
itself: who knows says so, in time, or the check lapses.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from coordinator.settings import Redactor

__all__ = ["CHECKS_MAX", "Health"]

CHECKS_MAX = 2048
"""A worker may own every shard there can be (1024), and has some checks besides."""
REASON_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class _Check:
    ok: bool
    reason: str
    vital: bool
    since: float
    lapses: float | None


class Health:
    """Named checks. Safe to use from any thread.

    expected: checks without which the process is not ready, said to be missing until they are set.
    secrets: what no reason may show. clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        expected: Iterable[str] = (),
        secrets: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected = tuple(expected)
        self._redactor = Redactor(secrets)
        self._clock = clock
        self._checks: dict[str, _Check] = {}
        self._mutex = threading.Lock()

    def set(
        self,
        name: str,
        ok: bool,  # noqa: FBT001 - a check is its name and whether it holds
        reason: str = "",
        *,
        vital: bool = False,
        lapses_s: float | None = None,
    ) -> None:
        """Say how a check stands.

        vital: where it fails, the process is no longer alive and wants to be restarted. lapses_s:
        it fails by itself when it is not set again within that time. Raises ValueError for more
        than CHECKS_MAX names.
        """
        now = self._clock()
        said = self._redactor.text(reason)[:REASON_LENGTH_MAX]
        with self._mutex:
            before = self._checks.get(name)
            if before is None and len(self._checks) >= CHECKS_MAX:
                raise ValueError(f"more than {CHECKS_MAX} health checks; drop() those that ended")
            since = before.since if before is not None and before.ok == ok else now
            lapses = None if lapses_s is None else now + lapses_s
            self._checks[name] = _Check(ok, said, vital, since, lapses)

    def drop(self, name: str) -> None:
        """Forget a check whose subject is gone: a shard that moved away."""
        with self._mutex:
            self._checks.pop(name, None)

    def live(self) -> tuple[bool, dict[str, JsonValue]]:
        """Whether to let the process run, and the vital checks with their reasons."""
        now = self._clock()
        return _told({name: one for name, one in self._all().items() if one.vital}, now)

    def ready(self) -> tuple[bool, dict[str, JsonValue]]:
        """Whether to rely on the process, and every check with its reason."""
        now = self._clock()
        checks = self._all()
        missing = _Check(ok=False, reason="not yet known", vital=False, since=now, lapses=None)
        expected = self._expected if self._expected or checks else ("start",)
        return _told(dict.fromkeys(expected, missing) | checks, now)

    def _all(self) -> dict[str, _Check]:
        with self._mutex:
            return dict(self._checks)


def _told(checks: dict[str, _Check], now: float) -> tuple[bool, dict[str, JsonValue]]:
    told: dict[str, JsonValue] = {}
    all_ok = True
    for name, check in sorted(checks.items()):
        ok, reason = check.ok, check.reason
        if check.lapses is not None and now > check.lapses:
            ok, reason = False, f"not heard of for too long; last said: {reason or 'nothing'}"
        all_ok = all_ok and ok
        told[name] = {"ok": ok, "reason": reason, "for_s": round(max(0.0, now - check.since), 3)}
    return all_ok, {"ok": all_ok, "checks": told}

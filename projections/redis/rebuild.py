"""A build of the Redis projection as another generation, and its swap by one pointer.

Place in the flow: the Redis half of `projections.rebuild`. What was replaced stays for some
minutes, for readers that had just asked which generation to read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from projections.checkpoints import Marks
from projections.errors import ProjectionError, TargetBusy, TargetChanged
from projections.redis.connecting import TARGET, Client, connect, translated
from projections.redis.keys import LAYOUT, Keys
from projections.redis.reading import RedisView, marks_in
from projections.redis.scripts import DROP, RELEASE
from projections.redis.sink import OLD_SECONDS, RedisSink
from projections.sink import Snapshot

__all__ = ["RedisRebuild"]

_LEASE_MS = 120_000
_HOLD_MS = 60_000


@dataclass(frozen=True, slots=True)
class _Live:
    url: str = field(repr=False)
    prefix: str
    generation: str

    def snapshot(self) -> Snapshot:
        return RedisView(self.url, self.prefix).snapshot()

    def marks(self) -> Marks:
        pairs = [text for pair in self._checkpoints().items() for text in pair]
        return marks_in(pairs)

    def obstacle(self) -> str:
        layout = self._checkpoints().get("layout")
        if layout == str(LAYOUT):
            return ""
        return f"the live keys have layout {layout}, this build makes {LAYOUT}"

    def _checkpoints(self) -> dict[str, str]:
        keys = Keys(self.prefix)
        with closing(connect(self.url)) as client, translated():
            found: Any = client.hgetall(keys.within(self.generation, "checkpoints"))
        return dict(found)


@dataclass(slots=True)
class RedisRebuild:
    """A rebuild under one prefix. old_seconds: how long what was replaced stays; < 0: for ever."""

    url: str = field(repr=False)
    prefix: str = "coordinator"
    old_seconds: int = OLD_SECONDS
    name: str = field(default=TARGET, init=False)
    _client: Client | None = field(default=None, init=False, repr=False)
    _sink: RedisSink = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._sink = RedisSink(self.url, self.prefix, rebuilding=True, lease_ms=_LEASE_MS)

    def claim(self) -> None:
        """Take the rebuild's lease, and drop a build that was left."""
        self._client = client = connect(self.url)
        key = self._keys.of("rebuilder")
        with translated():
            if not client.set(key, self._sink.token, nx=True, px=_LEASE_MS):
                raise TargetBusy(TARGET, f"another rebuild of prefix {self.prefix} is under way")
        self.drop()

    def live(self) -> _Live | None:
        """The generation that is read, if there is one."""
        with translated():
            generation: Any = self._mine().get(self._keys.of("live"))
        return None if generation is None else _Live(self.url, self.prefix, generation)

    def build(self) -> RedisSink:
        """An empty generation beside it."""
        self._sink.open()
        return self._sink

    def swap(self, finish: Callable[[Marks], None]) -> None:
        """Turn the pointer, with the live writer kept waiting."""
        client, hold = self._mine(), self._keys.of("hold")
        with translated():
            if not client.set(hold, self._sink.token, nx=True, px=_HOLD_MS):
                raise TargetBusy(TARGET, f"another rebuild of prefix {self.prefix} is swapped in")
        try:
            live = self.live()
            finish({} if live is None else live.marks())
            self._sink.publish(self._keys.of("rebuilding"), self.old_seconds)
        finally:
            self._release(hold)

    def drop(self) -> None:
        """Forget the generation that is being built."""
        keys = [self._keys.of("rebuilder"), self._keys.of("rebuilding")]
        with translated():
            script: Any = self._mine().register_script(DROP)
            script(keys=keys, args=[self._keys.base, self._sink.token])

    def close(self) -> None:
        """Give the lease back."""
        if self._client is not None:
            self._release(self._keys.of("rebuilder"))
            self._sink.close()
            self._client.close()
            self._client = None

    @property
    def _keys(self) -> Keys:
        return Keys(self.prefix)

    def _mine(self) -> Client:
        if self._client is None:
            raise TargetChanged(TARGET, "the rebuild was not claimed")
        return self._client

    def _release(self, key: str) -> None:
        # A server that is away forgets a lease by itself.
        with suppress(ProjectionError), translated():
            script: Any = self._mine().register_script(RELEASE)
            script(keys=[key], args=[self._sink.token])

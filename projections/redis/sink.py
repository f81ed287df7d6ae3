"""The writer of the Redis projection: values and marks of a batch in one script.

Place in the flow: a Sink behind the projector. One writer at a time holds a lease, which the very
script that writes checks: a writer that lost it, or whose generation was replaced or wiped, writes
nothing. A target that lost what it held is filled anew as another generation, and read from only
when it has caught up.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from projections.checkpoints import START, Mark, Marks, mark_text
from projections.errors import ProjectionError, SchemaRefused, TargetBusy, TargetChanged
from projections.following import Batch
from projections.redis.connecting import TARGET, Client, connect, translated
from projections.redis.keys import LAYOUT, Keys
from projections.redis.reading import load_signals, marks_in, snapshot
from projections.redis.scripts import COMMIT, OPEN, PUBLISH, RELEASE
from projections.redis.values import ActiveSignals, Change, latest
from projections.sink import Snapshot

__all__ = ["LEASE_MS", "OLD_SECONDS", "RedisSink"]

LEASE_MS = 15_000
OLD_SECONDS = 300
"""How long a replaced generation stays for readers that had just asked which one to read."""
_REASONS = {
    "writer": "another writer took over, or the lease was lost",
    "generation": "a rebuild was swapped in, or the keys were wiped",
    "lost": "its checkpoints are gone",
    "checkpoint": "a checkpoint is not where it was",
}


@dataclass(slots=True)
class RedisSink:
    """Writes the live generation under a prefix; rebuilding: the one beside it."""

    url: str = field(repr=False)
    prefix: str = "coordinator"
    rebuilding: bool = False
    lease_ms: int = LEASE_MS
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    name: str = field(default=TARGET, init=False)
    generation: str = field(default="", init=False)
    _client: Client | None = field(default=None, init=False, repr=False)
    _read: bool = field(default=False, init=False)
    _active: ActiveSignals = field(default_factory=ActiveSignals, init=False, repr=False)

    @property
    def keys(self) -> Keys:
        """The keys under our prefix."""
        return Keys(self.prefix)

    @property
    def _pointers(self) -> list[str]:
        """Lease, and what points to the generation: first where it is read, then where made."""
        names = ("writer", "live", "building")
        if self.rebuilding:
            names = ("rebuilder", "rebuilding", "rebuilding")
        return [self.keys.of(name) for name in names]

    def open(self) -> Marks:
        """Take the lease; find the generation, or begin one; read its marks and live signals."""
        client = self._connected()
        fresh = uuid.uuid4().hex[:12]
        arguments = [self.keys.base, self.token, self.lease_ms, fresh, LAYOUT]
        try:
            with translated():
                script = client.register_script(OPEN)
                word, *rest = self._call(script, self._pointers, arguments)
                self._refuse_opening(word, rest)
                self.generation, is_read, *pairs = rest
                self._read = is_read == "1" and not self.rebuilding
                self._active = load_signals(client, self.keys, self.generation)
        except TargetBusy:
            raise
        except ProjectionError:
            self._disconnect()
            raise
        return marks_in(pairs)

    def commit(self, batch: Batch) -> None:
        """Write the batch; see Sink."""
        changes = [*latest(batch.rows), *self._active.changes(batch.rows)]
        self._commit(batch.before, batch.after, changes)

    def beat(self) -> None:
        """Renew the lease, and notice a swap or a wipe."""
        self._commit({}, {}, ())

    def caught_up(self) -> None:
        """Let readers have a generation that was filled from the start."""
        if self._read or self.rebuilding or not self.generation:
            return
        self.publish(self.keys.of("building"), OLD_SECONDS)
        self._read = True

    def publish(self, source: str, old_seconds: int) -> None:
        """Make our generation, which `source` points to, the one that is read."""
        keys = [self._pointers[0], self.keys.of("live"), source, self.keys.of("hold")]
        arguments = [self.keys.base, self.token, self.generation, old_seconds]
        with translated():
            script = self._mine().register_script(PUBLISH)
            word = self._call(script, keys, arguments)
        if word != "ok":
            self._refused(word)

    def snapshot(self) -> Snapshot:
        """Marks and digests of our generation, as of one moment."""
        return snapshot(self._mine(), self.keys, self.generation)

    def close(self) -> None:
        """Give the lease back."""
        if self._client is not None:
            with suppress(ProjectionError), translated():
                script = self._client.register_script(RELEASE)
                self._call(script, [self._pointers[0]], [self.token])
        self._disconnect()

    def _commit(
        self,
        before: Mapping[tuple[str, int], Mark],
        after: Mapping[tuple[str, int], Mark],
        changes: Iterable[Change],
    ) -> None:
        arguments: list[Any] = [
            self.keys.base, self.token, self.lease_ms, self.generation, len(after)
        ]  # fmt: skip
        for part, mark in after.items():
            old = before.get(part, START)
            arguments += [f"{part[0]}/{part[1]}", "" if old == START else mark_text(old)]
            arguments.append(mark_text(mark))
        for change in changes:
            shard, seq = change.as_of
            arguments += [change.kind, change.name, change.field, shard, seq, change.value]
        try:
            with translated():
                script = self._mine().register_script(COMMIT)
                word = self._call(script, [*self._pointers, self.keys.of("hold")], arguments)
            if word != "ok":
                self._refused(word)
        except ProjectionError:
            # The mirror of live signals may be ahead of what was written: open loads it anew.
            self._active = ActiveSignals()
            raise

    @staticmethod
    def _call(script: Any, keys: list[str], arguments: list[Any]) -> Any:
        return script(keys=keys, args=arguments)

    def _refused(self, word: str) -> NoReturn:
        if word == "held":
            raise TargetBusy(TARGET, "a rebuild is being swapped in")
        raise TargetChanged(TARGET, _REASONS.get(word, word))

    def _refuse_opening(self, word: str, rest: list[str]) -> None:
        if word == "busy":
            raise TargetBusy(TARGET, f"another projector writes prefix {self.prefix}")
        if word == "newer":
            what = f"the keys of prefix {self.prefix} have layout {rest[0]}"
            remedy = "run the newer build"
            raise SchemaRefused(TARGET, f"{what}, this build knows {LAYOUT}; {remedy}")

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self.url)
        return self._client

    def _mine(self) -> Client:
        if self._client is None:
            raise TargetChanged(TARGET, "it is not open")
        return self._client

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._active = ActiveSignals()
        if client is not None:
            with suppress(ProjectionError), translated():
                client.close()

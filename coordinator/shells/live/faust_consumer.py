"""Faust's consumer with a cheaper way: a message for a whole fetch, no two tasks, no statistics.

Place in the flow: beneath the delivery. Measured: Faust's own loop starts a task for the message
and one for a flag, and waits for the first, which is most of what a delivered record costs; then it
looks up codecs to leave bytes as they are, and counts what we count ourselves. Ours looks at the
flag and awaits the message, and what a fetch holds goes through all that as one.
What is given up is that a full buffer is left at once when the flow stops; an owner knows its
position, so that a message too many does no harm. It must never reach into Faust anywhere else.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from aiokafka.errors import ConsumerStoppedError
from faust.sensors.monitor import Monitor
from faust.serializers.schemas import Schema
from faust.transport.drivers.aiokafka import Consumer, Transport

__all__ = ["AsItIs", "QuickTransport", "QuietMonitor"]

FETCH_S = 1.0
REST_S = 0.004
"""What comes shortly after each other is fetched together."""


class _QuickConsumer(Consumer):
    """Reads as Faust's does: in order, from where it has read, gaps told to the commit.

    What one fetch holds becomes one message: its value is the list of the broker's records, and it
    stands for the last one of the first partition; the others count as done.
    """

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                found, active = await self._wait_next_records(FETCH_S)
                await asyncio.sleep(0)
                if not self.flow_active:
                    await self.perform_seek()
                elif not self.should_stop:
                    await self._pass_on(found or {}, active)
                if found:
                    await asyncio.sleep(REST_S)
        except ConsumerStoppedError:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _pass_on(self, found: Any, active: Any) -> None:
        if self.suspend_flow.is_set():
            return
        records: list[Any] = []
        runs = []
        for tp, fetched in found.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            read = self._read_offset[tp]
            run = fetched if read is None else [one for one in fetched if one.offset >= read]
            if run:
                first = run[0].offset if read is None else min(read + 1, run[0].offset)
                runs.append((tp, first, run[-1]))
                records += run
        if not runs:
            return
        (carrier, _, last), others = runs[0], runs[1:]
        for tp, first, end in others:
            self._note(tp, range(first, end.offset + 1))
        self._note(carrier, range(runs[0][1], last.offset))
        message = self._to_message(carrier, last)
        message.value = records  # type: ignore[assignment] # for `AsItIs` alone
        await self.callback(message)
        for tp, _, end in runs:
            self._read_offset[tp] = end.offset

    def _note(self, tp: Any, offsets: range) -> None:
        """These are done as far as the commit goes, without Faust's tree of intervals."""
        known = self._acked_index[tp]
        fresh = [offset for offset in offsets if offset not in known]
        self._acked[tp].extend(fresh)
        known.update(fresh)


class QuickTransport(Transport):
    """Faust's transport to Kafka with that consumer."""

    Consumer: ClassVar[Any] = _QuickConsumer


class AsItIs(Schema[bytes, bytes]):
    """The broker's records are what they are."""

    def compile(self, app: Any, **_options: Any) -> Any:
        """A function from a message to its event."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - Faust's signature
            return create_event(message.key, message.value, message.headers, message)

        return decode


class QuietMonitor(Monitor):
    """Counts nothing a message: our own metrics do."""

    def on_message_in(self, *_: Any) -> None:
        """Nothing."""

    def on_message_out(self, *_: Any) -> None:
        """Nothing."""

    def on_stream_event_in(self, *_: Any) -> None:
        """Nothing."""

    def on_stream_event_out(self, *_: Any) -> None:
        """Nothing."""

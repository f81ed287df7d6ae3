"""Conflate: of many quotes of one partition, those that a later one replaces are left out.

Place in the flow: at the edge, between reading a message and entering it in the journal. Pure. What
is left out is covered by the offsets of the quote after it; no event is ever made or changed here.
Only plain quotes that follow each other are looked at; a bar, a session's close or anything else
keeps its place. It must never move an event before another of its partition, nor make a price older
or newer than it is, nor lose one that would have been used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from coordinator.core.route import Raw
from schemas.base import Event
from schemas.market import PricesObserved

__all__ = ["Arrived", "conflated"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event and the message it came in; first_offset: set where it stands for several."""

    raw: Raw
    event: Event
    first_offset: int | None = None


@dataclass(frozen=True, slots=True)
class _Quote:
    """A plain quote, and where it came from."""

    arrived: Arrived
    event: PricesObserved

    @property
    def priced(self) -> list[str]:
        """The names it has a price for."""
        pairs = zip(self.event.instruments, self.event.price, strict=True)
        return [name for name, price in pairs if price is not None]


def conflated(arrived: Iterable[Arrived]) -> Iterator[Arrived]:
    """The same events of one partition in order, without quotes that a later one replaces."""
    run: list[_Quote] = []
    ids: set[str] = set()
    for one in arrived:
        quote = _quote(one)
        if run and (quote is None or not _joins(run[-1], quote) or quote.event.event_id in ids):
            yield from _needed(run)
            run, ids = [], set()
        if quote is None:
            yield one
        else:
            run.append(quote)
            ids.add(quote.event.event_id)
    yield from _needed(run)


def _quote(one: Arrived) -> _Quote | None:
    """A plain quote, and not from the future: that one is judged by itself."""
    event = one.event
    if (
        isinstance(event, PricesObserved)
        and event.kind == "quote"
        and event.open is event.high is event.low is event.volume is None
        and event.event_time <= one.raw.appended_at
    ):
        return _Quote(one, event)
    return None


def _joins(last: _Quote, one: _Quote) -> bool:
    """Whether it may join the run: in one, time goes on and places follow each other."""
    return (
        one.event.event_time >= last.event.event_time
        and one.arrived.raw.offset == last.arrived.raw.offset + 1
    )


def _needed(run: Sequence[_Quote]) -> Iterator[Arrived]:
    """Those of a run that leave a trace: something in them has no later price in the run.

    Later by its time, too: of two prices at one moment, the engine must hear both in order.
    """
    kept: list[int] = []
    newest: dict[str, int] = {}
    for index in range(len(run) - 1, -1, -1):
        at, priced = run[index].event.event_time, run[index].priced
        if index == len(run) - 1 or any(newest.get(name, at) <= at for name in priced):
            kept.append(index)
        for name in priced:
            newest.setdefault(name, at)
    first = 0
    for index in reversed(kept):
        one = run[index].arrived
        covers = run[first].arrived.raw.offset
        yield one if first == index else replace(one, first_offset=covers)
        first = index + 1

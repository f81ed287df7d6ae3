"""Conflate: many quotes of one partition become one snapshot with the last value of each.

Place in the flow: at the edge, between reading a message and entering it in the journal. Pure. Only
plain quotes that follow each other are taken together; a bar, a session's close or anything else
keeps its place. It must never move an event before another of its partition, nor lose a price that
would have been used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from coordinator.core.route import Raw
from schemas.base import Event
from schemas.market import SNAPSHOT_MAX, PricesObserved

__all__ = ["Arrived", "conflated"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event and the message it came in; first_offset: set where it stands for several."""

    raw: Raw
    event: Event
    first_offset: int | None = None


def conflated(arrived: Iterable[Arrived]) -> Iterator[Arrived]:
    """The same events of one partition in order, with runs of quotes made one."""
    run: list[Arrived] = []
    for one in arrived:
        if run and not _joins(run[-1], one):
            yield from _as_one(run)
            run = []
        if _is_quote(one):
            run.append(one)
        else:
            yield one
    yield from _as_one(run)


def _is_quote(one: Arrived) -> bool:
    """A plain quote, and not from the future: that one is judged by itself."""
    event = one.event
    return (
        isinstance(event, PricesObserved)
        and event.kind == "quote"
        and event.open is event.high is event.low is event.volume is None
        and event.event_time <= one.raw.appended_at
    )


def _joins(last: Arrived, one: Arrived) -> bool:
    """Whether it may join the run: an older quote must not become a newer one."""
    return (
        _is_quote(one)
        and isinstance(one.event, PricesObserved)
        and isinstance(last.event, PricesObserved)
        and one.event.event_time >= last.event.event_time
    )


def _as_one(run: list[Arrived]) -> Iterator[Arrived]:
    """The run as one event; as it was where one event could not hold all of its names."""
    latest: dict[str, float | None] = {}
    for one in run:
        if isinstance(one.event, PricesObserved):
            for name, price in zip(one.event.instruments, one.event.price, strict=True):
                if price is not None or name not in latest:
                    latest[name] = price
    if len(run) < 2 or len(latest) > SNAPSHOT_MAX:  # noqa: PLR2004 - one is no run
        yield from run
        return
    last = run[-1]
    event = last.event.model_copy(
        update={"instruments": tuple(latest), "price": tuple(latest.values())}
    )
    yield Arrived(last.raw, event, first_offset=run[0].raw.offset)

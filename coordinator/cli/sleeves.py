"""What a decision meant to its strategies, as a part of `coordinator explain`.

Place in the flow: given what the log says of the decision. It must never show a name unescaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from coordinator.cli.console import safe, table

if TYPE_CHECKING:
    from schemas.sleeves import SleeveLine, SleevesBooked

__all__ = ["sleeves_told"]

_STRATEGIES = 8
_COLUMNS = ("size", "wished", "at most", "trades", "crossed", "house", "sent", "credit", "gain")


def sleeves_told(booked: SleevesBooked | None) -> Iterator[RenderableType]:
    """The netting of a decision; nothing where sleeves were off."""
    if booked is None:
        return
    nav = float(booked.nav)
    how = "as solved" if booked.sized_by == "solver" else "fitted to the answer"
    yield Text(
        f"\nNetting: strategies {len(booked.strategies)}, {how}, "
        f"crossing saved {10_000 * booked.saved:z.2f}bp ({booked.saved * nav:,.2f})",
        style="bold",
    )
    rows = table("strategy", *_COLUMNS, right=_COLUMNS)
    largest = sorted(booked.strategies, key=lambda one: (-one.gross, one.strategy))
    for one in largest[:_STRATEGIES]:
        rows.add_row(safe(one.strategy), *_figures(one, nav))
    yield rows
    if len(largest) > _STRATEGIES:
        more = len(largest) - _STRATEGIES
        yield Text(f"... and {more} more (--json has what is recorded)", style="dim")
    yield Text(f"the house holds {_percent(booked.house_weight)} once everything has filled")


def _figures(one: SleeveLine, nav: float) -> tuple[str, ...]:
    """Sizes are volatilities of a session, trades weights; credit and gain are money."""
    return (
        f"{one.size:.3%}",
        f"{one.wished:.3%}",
        "" if one.size_max is None else f"{one.size_max:.3%}",
        *map(_percent, (one.gross, one.crossed, one.housed, one.sent)),
        f"{one.credit * nav:,.2f}",
        f"{one.value_before:+z,.2f}",
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:z.2f}%"

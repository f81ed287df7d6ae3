"""`coordinator portfolio --mandates`: the versions of a portfolio's mandate.

Place in the flow: asks `replay.mandates`, shows the answer. It must never show a name unescaped:
names come from files of other people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from rich.console import RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    clock_text,
    output,
    print_json,
    progress,
    safe,
    table,
)
from coordinator.cli.moments import complain_of_nobody, in_log
from replay.mandates import MandateChange, MandateHistory, mandate_history
from replay.standing import Moment

if TYPE_CHECKING:
    from coordinator.core.ports import LogReader

__all__ = ["show_mandates"]

_ENTRIES = 8
"""Entries of a list that are shown of one change."""
_NAMES = 10


def show_mandates(args: argparse.Namespace) -> int:
    """Show the versions; 1 when there is no portfolio of that name."""
    return in_log(args, lambda reader: _show(reader, args))


def _show(reader: LogReader, args: argparse.Namespace) -> int:
    with progress("reading the journal") as advance:
        told = mandate_history(
            reader,
            args.name,
            args.at or Moment(),
            progress=lambda done, total, _: advance(done, total, ""),
        )
    if told is None:
        complain_of_nobody(reader, args.name)
        return FAILED
    if args.json:
        print_json(told)
        return OK
    for one in _rendered(told):
        output().print(one)
    return OK


def _rendered(told: MandateHistory) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("mandates of ", "bold"), safe(told.portfolio, "bold cyan"),
        f"  up to position {told.position} of the journal",
    )  # fmt: skip
    if told.since:
        yield Text(f"what came before position {told.since} is not in this log")
    rows = table("version", "time", "position", "said by", "what it changed", right=("version",))
    for one in told.versions:
        changes = Text("\n").join(_words(change) for change in one.changes) or Text("nothing")
        rows.add_row(
            str(one.version), clock_text(one.journal_time), str(one.position),
            safe(f"{one.event} {one.event_id}"), changes,
        )  # fmt: skip
    yield rows
    if told.strangers:
        more = len(told.strangers) - _NAMES
        names = ", ".join(told.strangers[:_NAMES]) + (f" and {more} more" if more > 0 else "")
        yield Text.assemble(("nothing of that name is listed: ", "yellow"), safe(names))
    if told.conflicts:
        yield Text.assemble(
            ("cannot all hold, so the soft ones among them give way: ", "yellow"),
            safe(", ".join(told.conflicts)),
        )
    for limits in told.further:
        yield Text.assemble(("nor can: ", "yellow"), safe(", ".join(limits)))


def _words(change: MandateChange) -> Text:
    """A field and its values; of a list, the entries that came and went."""
    before, after = change.before, change.after
    if not isinstance(after, list):
        if change.before is None:
            return safe(f"{change.field} {_short(after)}")
        return safe(f"{change.field} {_short(before)} -> {_short(after)}")
    old = before or []
    moved = [f"+{_short(one)}" for one in after if one not in old]
    moved += [f"-{_short(one)}" for one in old if one not in after]
    beyond = len(moved) - _ENTRIES
    more = f" and {beyond} more" if beyond > 0 else ""
    return safe(f"{change.field} {' '.join(moved[:_ENTRIES])}{more}")


def _short(value: Any) -> str:
    """A value in few words: entries as their parts that are given."""
    if isinstance(value, dict):
        return "(" + " ".join(f"{k} {_short(v)}" for k, v in value.items() if v is not None) + ")"
    if isinstance(value, str):
        return value
    return "none" if value is None else to_json(value).decode()

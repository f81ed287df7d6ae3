"""What all commands share: where text goes, how it is made safe, and how errors end.

Place in the flow: the outermost edge. Data goes to stdout, everything else to stderr. Text from a
log is other people's: it must never reach a terminal with control characters or be read as markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from pydantic_core import to_json
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = [
    "DIFFERENT",
    "FAILED",
    "OK",
    "OTHER_ENGINE",
    "USAGE",
    "Advance",
    "clock_text",
    "complain",
    "counted",
    "output",
    "print_json",
    "printable",
    "progress",
    "quiet_pipe",
    "safe",
    "table",
    "wide_output",
]

OK, FAILED, USAGE, DIFFERENT, OTHER_ENGINE = 0, 1, 2, 3, 4

Advance: TypeAlias = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and a word on where it stands."""


def output() -> Console:
    """The console for a command's data; made anew each time, to follow a redirected stdout.

    Without a terminal nothing is wrapped: a program may read the lines.
    """
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if not sys.stdout.isatty():
        console.width = max(console.width, 100)
    return console


def wide_output(columns: int) -> Console:
    """`output`, at least so wide where no terminal bounds it: names must not fold in a file."""
    screen = output()
    if not screen.is_terminal:
        screen.width = max(screen.width, columns)
    return screen


def printable(text: str) -> str:
    """Text in which every character that could act on a terminal stands escaped."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def safe(text: object, style: str = "") -> Text:
    """Text of other people's for a table or a line: escaped, and never read as markup."""
    return Text(printable(str(text)), style=style)


def table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A plain table; columns named in `right` are set flush right."""
    made = Table(box=None, pad_edge=False, title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def counted(count: int, thing: str) -> str:
    """A count with its noun: 1 trade, 2 trades."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def clock_text(nanoseconds: int) -> str:
    """A UTC time for people, to the millisecond unless there is more to tell."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f"{rest:09d}"
    if fraction.endswith("000000"):
        fraction = fraction[:3]
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}Z"


def complain(message: object, secrets: Iterable[str] = ()) -> None:
    """An error on stderr, in one safe line. secrets: of the settings, which it must not show."""
    text = str(message)
    if secrets:
        from coordinator.settings import Redactor  # noqa: PLC0415 - few commands have secrets

        text = Redactor(secrets).text(text)
    print(f"error: {printable(text)}", file=sys.stderr)


def print_json(value: object) -> None:
    """One value as one line of JSON on stdout; decimals have no exponent, as in events."""
    sys.stdout.write(to_json(_spelled(value), inf_nan_mode="constants").decode() + "\n")


def _spelled(value: object) -> object:
    """The same with its decimals as text: 10000, not 1E+4. Models spell their own."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _spelled(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: _spelled(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(one) for one in value]
    return value


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """A progress bar on stderr while it is a terminal; silence otherwise."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[where]}"),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None, where="")

        def advance(done: int, total: int, where: str) -> None:
            bar.update(task, completed=done, total=total, where=printable(where))

        yield advance


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """A reader that closes the pipe early (`| head`) ends the command quietly."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit; there is nobody to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

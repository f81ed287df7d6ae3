"""`coordinator schema`: write the published schemas, or say where they are out of date.

Place in the flow: the files around `schemas.publication`, which decides. It never replaces a schema
by one that breaks what was promised: that needs a new version of the event.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import schemas
from coordinator.cli.console import DIFFERENT, FAILED, OK, complain
from schemas.page import events_page
from schemas.publication import broken_promises, differences, revised

__all__ = ["add_parser", "run"]

PUBLISHED = Path(schemas.__file__).parent / "published"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `schema` to the commands."""
    parser = commands.add_parser(
        "schema",
        help="JSON Schema of every event and one AsyncAPI document",
        description="Writes the published schemas of all events, or says where they are out of "
        "date.",
    )
    parser.add_argument(
        "--out", type=Path, default=PUBLISHED, metavar="DIR", help="default: schemas/published"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; 3 when out of date")
    what.add_argument("--markdown", action="store_true", help="the events for people, to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write or check the folder; 3 when it is out of date or a promise is broken."""
    if args.markdown:
        sys.stdout.write(events_page())
        return OK
    try:
        published = _read(args.out)
        if broken := broken_promises(published):
            return _tell("a published schema would break; make a new version of the event", broken)
        if args.check:
            stale = differences(published)
            return _tell("out of date; run `coordinator schema`", stale) if stale else OK
        count = _write(args.out, published)
    except OSError as error:
        complain(error)
        return FAILED
    sys.stdout.write(f"{count} files written to {args.out}\n")
    return OK


def _tell(what: str, lines: Sequence[str]) -> int:
    """The lines on stderr, under what they have in common."""
    sys.stderr.write("".join(f"{line}\n" for line in (f"{what}:", *lines)))
    return DIFFERENT


def _read(folder: Path) -> Mapping[str, bytes]:
    """Every file below the folder by its path in there; none when there is no folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _write(folder: Path, published: Mapping[str, bytes]) -> int:
    """Write what changed; returns how many files that were."""
    changed = {
        name: data for name, data in revised(published).items() if published.get(name) != data
    }
    for name, data in changed.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return len(changed)

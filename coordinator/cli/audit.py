"""`coordinator audit lookahead`: shows on a user's own log that no decision used what came later.

Place in the flow: parses, calls `replay.lookahead`, shows what was tried. Exit codes: 0 nothing
found, 3 a decision depends on later data or a rule of the data is broken, 4 another engine wrote
the log.
"""

from __future__ import annotations

import argparse

from coordinator.cli.backtest import stepping
from coordinator.cli.console import (
    DIFFERENT,
    FAILED,
    OK,
    OTHER_ENGINE,
    clock_text,
    complain,
    counted,
    output,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.events import time_of
from coordinator.core.engine import EngineError
from coordinator.log.errors import LogError
from coordinator.log.url import LOG_HELP
from replay.errors import NotVerified, OtherEngine, ReplayError
from replay.lookahead import CUTS, CUTS_MAX, LookaheadReport, audit_lookahead

__all__ = ["add_parser", "run"]

_FINDINGS_SHOWN = 10


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `audit` and its audits to the commands."""
    audits = commands.add_parser(
        "audit", help="examine a log", description="Examines a log that holds decisions."
    ).add_subparsers(title="audits", metavar="AUDIT", required=True)
    parser = audits.add_parser(
        "lookahead",
        help="show that no decision used later data",
        description="Decides the log again, stops at several times, and goes on with another "
        "future: whatever was said up to that time must stay the same, bit for bit.",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument(
        "--cuts", type=_cuts_of, default=CUTS, metavar="N",
        help=f"times tried, 1 to {CUTS_MAX} (default {CUTS})",
    )  # fmt: skip
    parser.add_argument("--at", type=time_of, metavar="TIME", help="one time more to try")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.set_defaults(run=run)


def _cuts_of(text: str) -> int:
    """An argument that is a number of cuts."""
    digits = len(str(CUTS_MAX))
    if not (text.isdecimal() and len(text) <= digits and 1 <= int(text) <= CUTS_MAX):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {CUTS_MAX}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Audit and report."""
    try:
        with progress("auditing") as advance:
            report = audit_lookahead(
                args.log, cuts=args.cuts, at=args.at, progress=stepping(advance)
            )
    except OtherEngine as error:
        complain(error)
        return OTHER_ENGINE
    except NotVerified as error:
        complain(error)
        return DIFFERENT
    except (ReplayError, EngineError, LogError, OSError) as error:
        complain(error)
        return FAILED
    with quiet_pipe():
        if args.json:
            print_json({"ok": report.ok, "cuts": report.cuts, "findings": report.findings})
        else:
            _show(report)
    return OK if report.ok else DIFFERENT


def _show(report: LookaheadReport) -> None:
    columns = ("cut", "shard", "the future", "decisions before", "outputs at the cut", "result")
    rows = table(*columns, right=columns[1:2] + columns[3:5])
    silent = _silent(report)
    for cut in report.cuts:
        if cut.shard in silent:
            continue
        rows.add_row(
            clock_text(cut.at), str(cut.shard), cut.future, f"{cut.decisions:,}",
            f"{cut.outputs:,}", "LOOKED AHEAD" if cut.differences else "identical",
        )  # fmt: skip
    console = output()
    console.print(rows)
    if silent:
        shards = counted(len(silent), "shard")
        console.print(f"{shards} without outputs at these times: nothing to compare")
    for cut in report.cuts:
        for one in cut.differences[:5]:
            text = f"{one.path}: recorded {one.recorded!r}, with another future {one.derived!r}"
            console.print(safe(f"  {clock_text(cut.at)} shard {cut.shard} {text[:500]}"))
    for found in report.findings[:_FINDINGS_SHOWN]:
        place = f"shard {found.shard} position {found.position}"
        console.print(safe(f"  {found.rule}: {place}: {found.what}"))
    if len(report.findings) > _FINDINGS_SHOWN:
        console.print(f"  and {len(report.findings) - _FINDINGS_SHOWN} more (--json has them)")
    if report.ok:
        console.print("no decision used later data; no rule of the data is broken")


def _silent(report: LookaheadReport) -> frozenset[int]:
    """Shards in which no cut found anything that was said, whichever the future."""
    spoke = {cut.shard for cut in report.cuts if cut.decisions or cut.outputs or cut.differences}
    return frozenset(cut.shard for cut in report.cuts) - spoke

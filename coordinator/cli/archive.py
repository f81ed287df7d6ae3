"""`coordinator archive`: seal a log, and take from its topics what nobody needs there.

Place in the flow: parses, calls `coordinator.log.archive` and `truncate`, shows what was done. It
must never delete anything that it did not name first and was not told to delete.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from contextlib import closing
from dataclasses import asdict

from coordinator.cli.asking import agreed
from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    output,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.events import count_of, time_of
from coordinator.core.ports import LogReader
from coordinator.log.archive import DAY_NS, ArchiveReport, SegmentSize, archive
from coordinator.log.errors import LogError
from coordinator.log.live import TruncatableLog
from coordinator.log.open import open_live
from coordinator.log.segments import SegmentLog
from coordinator.log.truncate import Cut, plan_cuts, truncate
from coordinator.log.url import LOG_HELP

__all__ = ["add_parser", "run"]

_DAYS_MIN, _DAYS_MAX = 1e-5, 36_500


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `archive` to the commands."""
    parser = commands.add_parser(
        "archive",
        help="seal a log into Parquet segments, by shard and time",
        description="Seals journal, decisions and dead letters of a log into a folder of Parquet "
        "segments, goes on where the folder ends, and counts a segment only after the log was "
        "read again and said the same. Can be killed at any moment and run again.",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument("--to", required=True, metavar="DIR", help="the folder of segments")
    parser.add_argument(
        "--until", type=time_of, metavar="TIME",
        help="only what the journal held before that time, and what was decided from it",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=count_of, action="append", metavar="N",
        help="only that shard, without dead letters; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=_days_of, default=1.0, metavar="N",
        help="journal time that one segment holds at most (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--truncate", action="store_true",
        help="then delete from the topics what is archived and no recovery needs any more",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and do nothing"
    )
    parser.add_argument("--json", action="store_true", help="what was done as one JSON object")
    parser.set_defaults(run=run)


def _days_of(text: str) -> float:
    """An argument that is a number of days."""
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not _DAYS_MIN <= days <= _DAYS_MAX:
        raise argparse.ArgumentTypeError(f"must be a number of days, at most {_DAYS_MAX}")
    return days


def run(args: argparse.Namespace) -> int:
    """Seal, truncate when asked to, and show both."""
    if args.truncate and not (args.yes or args.dry_run or sys.stdin.isatty()):
        complain("--truncate deletes records and nobody can be asked here; say --yes")
        return USAGE
    try:
        with closing(open_live(args.log)) as reader:
            if args.truncate and not isinstance(reader, TruncatableLog):
                complain("--truncate is for topics: nothing is ever deleted from a file or folder")
                return USAGE
            with progress("archiving") as advance:
                report = archive(
                    reader, args.to, until=args.until, shards=args.shard,
                    size=SegmentSize(time_ns=int(args.days * DAY_NS)), dry_run=args.dry_run,
                    progress=advance,
                )  # fmt: skip
            cuts = _truncated(reader, args) if args.truncate else ()
            refused = cuts is None
    except (LogError, OSError) as error:
        complain(error)
        return FAILED
    with quiet_pipe():
        _show(report, cuts or (), args, refused=refused)
    return FAILED if refused else OK


def _truncated(reader: LogReader, args: argparse.Namespace) -> Collection[Cut] | None:
    """What was deleted, or with a dry run would be at most; None where it was refused."""
    if not isinstance(reader, TruncatableLog):
        return ()
    try:
        sealed = SegmentLog(args.to)
    except LogError:
        if args.dry_run:
            return ()  # nothing is archived yet
        raise
    with sealed:
        cuts = plan_cuts(reader, sealed, shards=args.shard)
        if args.dry_run:
            return cuts
        if not (args.yes or _wanted(cuts)):
            return None
        with progress("truncating") as advance:
            return truncate(reader, sealed, cuts, until=args.until, progress=advance)


def _wanted(cuts: Collection[Cut]) -> bool:
    """Ask on the terminal; what would go stands before the question."""
    going = [cut for cut in cuts if cut.before > cut.begin]
    if not going:
        return True
    for cut in going:
        place = f"{cut.topic}/{cut.shard}"
        print(f"{place}: positions {cut.begin} to {cut.before - 1}", file=sys.stderr)
    return agreed("delete these records from the topics (they stay in the archive)", yes=False)


def _show(
    report: ArchiveReport, cuts: Collection[Cut], args: argparse.Namespace, *, refused: bool
) -> None:
    if args.json:
        print_json(
            {
                "dry_run": args.dry_run,
                "to": args.to,
                "records": report.records,
                "seconds": round(report.seconds, 3),
                "ranges": [asdict(one) for one in report.ranges],
                "truncated": [asdict(cut) for cut in cuts],
                "refused": refused,
            }
        )
        return
    console = output()
    columns = ("partition", "from", "to", "records", "segments", "first time", "last time")
    rows = table(*columns, right=columns[1:5])
    for one in report.ranges:
        if one.first_time is not None and one.last_time is not None:
            rows.add_row(
                safe(f"{one.topic}/{one.shard}"), str(one.start), str(one.stop - 1),
                f"{one.records:,}", str(one.segments), clock_text(one.first_time),
                clock_text(one.last_time),
            )  # fmt: skip
    if report.records:
        console.print(rows)
    for one in report.ranges:
        if one.missing > 0 and one.records:
            console.print(
                safe(f"{one.topic}/{one.shard}: {one.missing} positions from {one.start} on had "
                     "expired before they were archived")
            )  # fmt: skip
    rate = report.records / report.seconds if report.seconds else 0.0
    done = "would be sealed" if args.dry_run else "sealed and verified"
    console.print(f"{report.records:,} records {done} in {report.seconds:.1f} s ({rate:,.0f}/s)")
    if refused:
        console.print("nothing deleted: refused")
    for cut in cuts:
        console.print(safe(_told(cut, dry_run=args.dry_run)))


def _told(cut: Cut, *, dry_run: bool) -> str:
    """What became of one partition's beginning."""
    place = f"{cut.topic}/{cut.shard}"
    if dry_run:
        would = f"positions {cut.begin} to {cut.before - 1} could be deleted now"
        return f"{place}: {would if cut.before > cut.begin else 'nothing could go'} ({cut.reason})"
    if not cut.records:
        return f"{place}: nothing deleted ({cut.reason})"
    return f"{place}: {cut.records:,} records deleted, begins at {cut.before} now ({cut.reason})"

"""`coordinator replay --verify`: decide a log again and compare every output with the recorded one.

Place in the flow: parses, calls `replay.verify`, shows where the first difference is. Exit codes:
0 the same, 3 a difference, or outputs that the log does not hold yet, 4 another engine wrote the
log, 1 the log cannot be read or replayed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from coordinator.cli.backtest import stepping
from coordinator.cli.console import (
    DIFFERENT,
    FAILED,
    OK,
    OTHER_ENGINE,
    complain,
    output,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
)
from coordinator.core.engine import EngineError
from coordinator.log.errors import LogError
from coordinator.log.url import LOG_HELP
from replay.errors import ReplayError
from replay.other_engine import answered_by
from replay.verify import (
    FirstDifference,
    RangeReport,
    Result,
    ShardReport,
    VerifyReport,
    verify,
)

__all__ = ["add_parser", "run"]

_VALUE_WIDTH = 300
_RANGES_SHOWN = 16


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay` to the commands."""
    parser = commands.add_parser(
        "replay",
        help="decide a recorded log again and compare",
        description="Decides a recorded log again and compares every output with the log's, byte "
        "by byte.",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument(
        "--verify", action="store_true", required=True, help="compare every output with the log's"
    )
    parser.add_argument(
        "--from-checkpoint",
        action="store_true",
        help="start at the newest checkpoint of each shard that has one",
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--this-engine", action="store_true", help="compare although another engine wrote the log"
    )
    other.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="VENV",
        help="a virtual environment whose coordinator is the build that decided a part of the log, "
        "to verify that part; may be repeated",
    )
    other.add_argument(
        "--tolerance", action="store_true",
        help="compare decisions by the numeric contract: 0.01 bp of objective, one lot a name",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify and report."""
    try:
        with progress("verifying") as advance:
            report = verify(
                args.log, from_checkpoint=args.from_checkpoint, this_engine=args.this_engine,
                tolerance=args.tolerance, progress=stepping(advance),
            )  # fmt: skip
            for environment in args.engine:
                report = answered_by(
                    report, environment, args.log, from_checkpoint=args.from_checkpoint
                )
    except (ReplayError, EngineError, LogError, OSError) as error:
        complain(error)
        return FAILED
    with quiet_pipe():
        if args.json:
            print_json(
                {
                    "ok": report.ok,
                    "compared": report.compared,
                    "layout": report.layout,
                    "shards": report.shards,
                    "ranges": [_range_tree(one) for one in report.ranges],
                }
            )
        else:
            _show(report)
    for line in _unverified(report):
        complain(line)
    if report.difference is not None:
        return DIFFERENT
    return OTHER_ENGINE if report.unverified else OK


def _range_tree(one: RangeReport) -> dict[str, str | int]:
    """A range for programs; another build's verify reads it too."""
    build, dependencies, fingerprint = one.range.engine or ("", "", "")
    return {
        "shard": one.range.shard,
        "first": one.range.first,
        "last": one.range.last,
        "build": build,
        "dependencies": dependencies,
        "fingerprint": fingerprint,
        "result": one.result.value,
        "by": one.by,
    }


def _unverified(report: VerifyReport) -> Iterator[str]:
    """What nobody compared, why not, and how it could be."""
    found = report.unverified
    for one in found[:_RANGES_SHOWN]:
        place = f"shard {one.range.shard} positions {one.range.first} to {one.range.last}"
        if one.result is Result.NO_STATE:
            yield (
                f"{place}: this engine decided there, but the one before left no checkpoint at "
                f"position {one.range.follows} to start from; compare all with --this-engine"
            )
            continue
        named = ", ".join(f"{part.field} {part.recorded} (here {part.here})" for part in one.parts)
        yield (
            f"{place}: another engine decided there: {named}; run that build with --engine VENV, "
            "or compare anyway with --this-engine"
        )
    if len(found) > _RANGES_SHOWN:
        yield f"and {len(found) - _RANGES_SHOWN} more ranges (--json has them)"


def _show(report: VerifyReport) -> None:
    columns = ("shard", "from", "records", "outputs", "decisions", "seconds", "result")
    rows = table(*columns, right=columns[:-1])
    for one in report.shards:
        rows.add_row(
            str(one.shard), "start" if one.from_position < 0 else str(one.from_position),
            f"{one.records:,}", f"{one.outputs:,}", f"{one.decisions:,}", f"{one.seconds:.2f}",
            _result(report, one),
        )  # fmt: skip
    console = output()
    console.print(rows)
    repeats = sum(one.repeats for one in report.shards)
    if repeats:
        console.print(f"{repeats:,} outputs stand in the log once more; readers pass over them")
    if report.difference is None:
        decisions = sum(one.decisions for one in report.shards)
        by = sorted({one.by for one in report.ranges if one.by})
        console.print(
            safe(
                f"verified: {decisions:,} decisions again, every output by {report.compared}"
                + (f"; the rest by {', '.join(by)}" if by else "")
            )
        )
        return
    lines = _unsaid(report) if report.difference.unsaid else _story(report.difference)
    for line in lines:
        console.print(safe(line))


def _unsaid(report: VerifyReport) -> Iterator[str]:
    """Of every shard that is the same up to there: where its outputs end before its journal."""
    for shard in report.shards:
        found = shard.difference
        if found is not None:
            yield (
                f"outputs not said yet: {found.behind:,} journal records behind the last decision "
                f"(shard {found.shard}, from position {found.position} on)"
            )
    yield "what was said before is the same; verify again once the engine has got there"


def _result(report: VerifyReport, shard: ShardReport) -> str:
    """What came of a shard: also whether all of it was compared."""
    if shard.difference is not None:
        return Result.UNSAID.value if shard.difference.unsaid else "DIFFERENT"
    ranges = [one for one in report.ranges if one.range.shard == shard.shard]
    unverified = sum(one.unverified for one in ranges)
    if not unverified:
        return "identical"
    return "not compared" if unverified == len(ranges) else "identical, in part not compared"


def _story(found: FirstDifference) -> list[str]:
    """The first difference: where, which field, both values."""
    what = {
        "different": "differs from the log's",
        "missing": "is not in the log",
        "extra": "is in the log and does not follow from its inputs",
        "state": "does not hold the state that the journal leads to",
        "shards": "names another number of shards than the log's first journal",
        "partitions": "is not that of the log's own shards",
    }[found.kind]
    if found.kind == "partitions":
        return [f"first difference: the log's {found.event} {what}", *_fields(found)]
    place = f"shard {found.shard}, journal position {found.position}.{found.ordinal}"
    return [f"first difference: {place}, seq {found.seq}: {found.event} {what}", *_fields(found)]


def _fields(found: FirstDifference) -> list[str]:
    lines = []
    for field in found.fields:
        lines += [
            f"  {field.path or 'the whole entry'}",
            f"    recorded {_short(field.recorded)}",
            f"    derived  {_short(field.derived)}",
        ]
    return lines


def _short(value: object) -> str:
    text = repr(value)
    return (
        text if len(text) <= _VALUE_WIDTH else f"{text[:_VALUE_WIDTH]}... ({len(text)} characters)"
    )

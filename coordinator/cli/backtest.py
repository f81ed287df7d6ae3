"""`coordinator backtest`: play a log's inputs into a new log, with decisions and simulated fills.

Place in the flow: parses, calls `replay.backtest`, shows its summary. It has no logic of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    Advance,
    clock_text,
    complain,
    output,
    print_json,
    progress,
    quiet_pipe,
    table,
)
from coordinator.core.engine import EngineError
from coordinator.log.errors import LogError
from replay.backtest import BacktestSummary, backtest
from replay.errors import OutputExists, ReplayError
from replay.report import write_report
from replay.source import Progress, opened
from replay.targets import is_log, is_report, refuse_target

__all__ = ["add_parser", "run", "stepping"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `backtest` to the commands."""
    parser = commands.add_parser(
        "backtest", help="play a log's inputs, with simulated fills, into a new log"
    )
    parser.add_argument("--log", required=True, metavar="LOG", help="SQLite file or segment folder")
    parser.add_argument("--out", required=True, metavar="FILE", help="the SQLite log to write")
    parser.add_argument("--report", metavar="FILE", help="also write an HTML report of the run")
    parser.add_argument("--force", action="store_true", help="replace --out and --report")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play, write the report if asked for, and show what was done."""
    try:
        _refuse_targets(args)
    except OutputExists as error:
        complain(error)
        return USAGE
    try:
        with progress("playing") as advance:
            summary = backtest(args.log, args.out, force=args.force, progress=stepping(advance))
        if args.report is not None:
            with opened(args.out) as reader:
                write_report(reader, Path(args.report), title=f"Backtest of {Path(args.log).name}")
    except (ReplayError, EngineError, LogError, OSError) as error:
        complain(error)
        return FAILED
    with quiet_pipe():
        _show(summary, args)
    return OK


def _refuse_targets(args: argparse.Namespace) -> None:
    """Before hours of work: may both results be written where they are wanted?"""
    log, out = Path(args.log), Path(args.out)
    refuse_target(out, force=args.force, ours=is_log, others=[log], option="--out")
    if args.report is not None:
        report = Path(args.report)
        refuse_target(
            report, force=args.force, ours=is_report, others=[log, out], option="--report"
        )


def stepping(advance: Advance) -> Progress:
    """A replay's progress, shown with the time reached."""
    return lambda done, total, time: advance(done, total, clock_text(time)[:10])


def _show(summary: BacktestSummary, args: argparse.Namespace) -> None:
    if args.json:
        print_json(_tree(summary) | {"out": args.out, "report": args.report})
        return
    rows = table("", "", right=("",))
    rows.show_header = False
    for name, value in _tree(summary).items():
        text = f"{value:,}" if isinstance(value, int) else str(value)
        rows.add_row(name.replace("_", " "), text)
    console = output()
    console.print(rows)
    console.print(f"wrote {args.out}", markup=False)
    if args.report is not None:
        console.print(f"wrote {args.report}", markup=False)
    console.print(f"next: coordinator replay --log {args.out} --verify", markup=False)


def _tree(summary: BacktestSummary) -> dict[str, int | float | str | None]:
    """The summary's stable fields; times are RFC 3339."""
    p50, p99 = summary.decision_ms(0.5), summary.decision_ms(0.99)
    return {
        "shards": summary.shards,
        "first_time": clock_text(summary.first_time),
        "last_time": clock_text(summary.last_time),
        "inputs": summary.inputs,
        "dead_letters": summary.dead_letters,
        "feedback_dropped": summary.feedback_dropped,
        "clock_dropped": summary.clock_dropped,
        "ticks": summary.ticks,
        "fills": summary.fills,
        "outputs": summary.outputs,
        "decisions": summary.decisions,
        "seconds": round(summary.seconds, 3),
        "decision_ms_p50": None if p50 is None else round(p50, 3),
        "decision_ms_p99": None if p99 is None else round(p99, 3),
    }

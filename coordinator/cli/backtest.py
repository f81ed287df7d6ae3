"""`coordinator backtest`: play a log's inputs into a new log, with decisions and simulated fills.

Place in the flow: parses, calls `replay.backtest`, shows its summary. It has no logic of its own.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
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
    safe,
)
from coordinator.cli.results import print_results
from coordinator.core.engine import EngineError
from coordinator.log.errors import LogError
from coordinator.log.url import LOG_HELP, local_paths, name_of
from replay.backtest import BacktestSummary, backtest
from replay.errors import OutputExists, ReplayError
from replay.report import Summary, fold, write_report
from replay.source import Progress, opened
from replay.targets import is_log, is_report, refuse_target

__all__ = ["add_parser", "run", "stepping"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `backtest` to the commands."""
    parser = commands.add_parser(
        "backtest",
        help="play a log's inputs, with simulated fills, into a new log",
        description="Plays the signals, prices and portfolios of a log, decides, and fills each "
        "trade at the first price after its decision. Prints what came of it and leaves a new log "
        "that stands by itself.",
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
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
        with opened(args.out) as reader:
            run = fold(reader, decision_seconds=summary.decision_seconds)
            if args.report is not None:
                title = f"Backtest of {name_of(args.log)}"
                write_report(reader, Path(args.report), title=title, run=run)
    except (ReplayError, EngineError, LogError, OSError) as error:
        complain(error)
        return FAILED
    with quiet_pipe():
        _show(summary, run.summary, args)
    return OK


def _refuse_targets(args: argparse.Namespace) -> None:
    """Before hours of work: both results may be written where they are wanted."""
    read, out = local_paths(args.log), Path(args.out)
    refuse_target(out, force=args.force, ours=is_log, others=read, option="--out")
    if args.report is not None:
        report = Path(args.report)
        refuse_target(
            report, force=args.force, ours=is_report, others=[*read, out], option="--report"
        )


def stepping(advance: Advance) -> Progress:
    """A replay's progress, shown with the time reached."""
    return lambda done, total, time: advance(done, total, clock_text(time)[:10])


def _show(played: BacktestSummary, summary: Summary, args: argparse.Namespace) -> None:
    if args.json:
        places = {"out": args.out, "report": args.report}
        print_json(_tree(played) | places | {"summary": asdict(summary)})
        return
    console = output()
    print_results(console, summary, log=args.out)
    console.print()
    if played.feedback_dropped:
        console.print(
            f"{played.feedback_dropped:,} recorded fills and other answers of a market were left "
            "out: the simulated market fills anew"
        )
    console.print(safe(f"log     {args.out}"))
    if args.report is not None:
        console.print(safe(f"report  {args.report}"))
    console.print(safe(f"next    coordinator replay --log {shlex.quote(args.out)} --verify"))


def _tree(summary: BacktestSummary) -> dict[str, int | float | str | None]:
    """What the player did, for programs: stable fields; times are RFC 3339."""
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

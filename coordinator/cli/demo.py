"""`coordinator demo`: real conflicting signals become decisions, with no server.

Place in the flow: a command; the run itself is `replay.demo`. Progress goes to stderr, the
figures to stdout.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from coordinator.cli.console import OK, clock_text, output, print_json, progress, safe
from coordinator.cli.results import print_results
from replay.demo.play import DemoRun, play

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "demo",
        help="play seven real agents' signals into three portfolios and report",
        description="Plays the shipped recording of seven trading agents on the SSE-50 names into "
        "three portfolios, prints what came of it, and leaves the log and a report in a folder.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(".demo"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo and print its figures. Raises OSError, LogError for a bad folder."""
    with progress("deciding") as advance:
        made = play(args.out, progress=lambda done, total, at: advance(done, total, clock_text(at)))
    if args.json:
        print_json(
            {
                "summary": asdict(made.summary),
                "log": str(made.log),
                "report": str(made.report),
                "decision": made.decision,
            }
        )
        return OK
    console = output()
    print_results(console, made.summary, log=str(made.log))
    _print_next(console, made)
    return OK


def _print_next(console: Console, made: DemoRun) -> None:
    """Where everything lies, and what to try on it."""
    console.print()
    console.print(safe(f"log     {made.log}"))
    console.print(safe(f"report  {made.report}"))
    log = shlex.quote(str(made.log))
    console.print()
    console.print("Try next:", style="bold")
    if made.decision is not None:
        decision = shlex.quote(made.decision)
        console.print(safe(f"  coordinator explain {decision} --log {log}"))
        console.print(safe(f"  coordinator explain {decision} --log {log} --without-sources"))
        console.print(safe(f"  coordinator impact --decision {decision} --log {log}"))
        console.print(safe(f"  coordinator frontier {decision} --log {log}"))
    console.print(safe(f"  coordinator replay --log {log} --verify"))
    console.print(safe(f"  coordinator events --log {log} --type ConflictsDetected --limit 5"))

"""`coordinator rebuild NAME`: a projection is made anew beside the live one and swapped in.

Place in the flow: parses, asks, calls `projections.rebuild`, shows what was compared. Exit codes: 0
swapped (or equal, with --check), 1 failure, 2 settings, 3 the two differ and nothing was swapped.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from dataclasses import asdict

from coordinator.cli.console import (
    DIFFERENT,
    FAILED,
    OK,
    USAGE,
    Advance,
    complain,
    output,
    print_json,
    progress,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.projections import add_targets, open_log, targets_of
from coordinator.log.errors import LogError
from coordinator.settings import SettingsError
from projections.errors import ProjectionError
from projections.rebuild import RebuildReport, rebuild
from projections.running import NAMES, rebuildable, view
from projections.status import ProjectionStatus, status

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `rebuild` to the commands."""
    parser = commands.add_parser(
        "rebuild",
        help="make a projection anew beside the live one, compare, swap",
        description="Fills a new projection from the beginning of the log while the live one goes "
        "on, compares both at the same place view by view, and swaps them in one step. Where they "
        "differ nothing is swapped (exit code 3) unless --accept is given. Interrupted, it leaves "
        "the live one as it is and can be run again.",
    )
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=" or ".join(NAMES))
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done")
    parser.add_argument("--check", action="store_true", help="build and compare, but do not swap")
    parser.add_argument(
        "--accept", action="store_true", help="swap although it differs, or cannot be compared"
    )
    parser.add_argument(
        "--keep-old", action="store_true", help="keep what is replaced; default: it is dropped"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_targets(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuild and report."""
    secrets: tuple[str, ...] = ()
    try:
        settings = targets_of(args)
        secrets = settings.secrets()
        with quiet_pipe(), closing(open_log(args.log)) as reader:
            now = status(args.name, view(settings, args.name), reader)
            if now.error:
                complain(now.error, secrets)
                return FAILED
            if args.dry_run:
                _tell(args, now)
                return OK
            if not (args.check or args.yes or _agreed(args.name, now)):
                complain("not rebuilt; say --yes where nobody can be asked")
                return FAILED
            with progress(f"rebuilding {args.name}") as advance:
                target = rebuildable(settings, args.name, keep_old=args.keep_old)
                report = rebuild(
                    reader, target, check=args.check, accept=args.accept,
                    advance=_with_eta(advance),
                )  # fmt: skip
            return _reported(args, report)
    except SettingsError as error:
        complain(error, secrets)
        return USAGE
    except (ProjectionError, LogError) as error:
        complain(error, secrets)
        return FAILED


def _tell(args: argparse.Namespace, now: ProjectionStatus) -> None:
    records = sum(part.next + (part.lag_records or 0) for part in now.parts)
    if args.json:
        print_json({"name": now.name, "records": records, "live_version": now.version})
        return
    live = "none to replace" if now.version is None else f"version {now.version} to replace"
    output().print(safe(f"{now.name}: {live}; {records:,} positions of the log would be read"))


def _agreed(name: str, now: ProjectionStatus) -> bool:
    if not sys.stdin.isatty():
        return False
    what = f"version {now.version}" if now.version is not None else "nothing"
    question = f"Rebuild {name}, which holds {what} now, and swap it in? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _with_eta(advance: Advance) -> Advance:
    began = time.monotonic()

    def shown(done: int, total: int, where: str) -> None:
        took = time.monotonic() - began
        left = took * (total - done) / done if done else 0.0
        advance(done, total, f"{where}, {left:,.0f} s left" if done < total else where)

    return shown


def _reported(args: argparse.Namespace, report: RebuildReport) -> int:
    if args.json:
        print_json(asdict(report) | {"ok": report.ok})
    else:
        _show(report)
    return OK if report.swapped or report.ok else DIFFERENT


def _show(report: RebuildReport) -> None:
    made = table("view", "rows", "sha256", "against the live one", right=("rows",))
    for one in report.views:
        verdict = "nothing to compare" if one.live is None else "equal" if one.equal else "DIFFERS"
        made.add_row(
            safe(one.view), f"{one.built.rows:,}", safe(one.built.sha256[:16]),
            safe(verdict, "" if one.equal else "bold red"),
        )  # fmt: skip
    console = output()
    console.print(made)
    if report.obstacle:
        console.print(safe(f"not compared: {report.obstacle}"))
    for line in report.differences:
        console.print(safe(line))
    end = "swapped in" if report.swapped else "nothing was swapped"
    pace = report.records / report.seconds if report.seconds else 0.0
    console.print(
        safe(f"{report.records:,} records in {report.seconds:,.1f} s ({pace:,.0f}/s); {end}")
    )

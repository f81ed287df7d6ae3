"""`coordinator import`: a stranger's files become a log that `coordinator backtest` can play.

Place in the flow: settles the command line's words into settings, keeps the log invisible until it
is whole, shows the report. It must never leave a half-written log behind, nor replace a file that
is no log.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.bootstrap import engine_started
from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    counted,
    output,
    print_json,
    progress,
    safe,
    table,
)
from coordinator.importers.bars import Bar
from coordinator.importers.errors import ImportFailed, InputsMissing
from coordinator.importers.importing import ImportFiles, ImportSettings, import_files
from coordinator.importers.report import ImportReport
from coordinator.importers.sessions import SESSION_DEFAULT, Session
from coordinator.log.errors import LogError
from coordinator.log.lock import WriterLock
from coordinator.log.sqlite import SqliteLog
from replay.errors import OutputExists
from replay.targets import is_log, refuse_target, written_beside

__all__ = ["add_parser", "run"]

_SHARDS_MAX = 1_024
_TABLES = {
    "signals": "opinions; they need prices",
    "prices": "bars",
    "instruments": "terms (default: lot 1, tick 0.01)",
    "fills": "executions of a real book",
    "positions": "what a custodian counted",
    "cash": "money in and out",
    "actions": "splits, dividends, spin-offs, redemptions",
    "rates": "exchange rates",
    "outcomes": "what came of signals",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `import` to the commands."""
    parser = commands.add_parser(
        "import",
        help="make a log of your own signals, prices, portfolios and books",
        description="Reads your signals, prices, portfolios, fills, positions, cash, corporate "
        "actions and exchange rates and makes a log of them that `coordinator backtest` can play; "
        "reports what it rejected and what it assumed. Tables are .csv or .parquet.",
    )
    for name, what in _TABLES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    parser.add_argument(
        "--portfolios", type=Path, metavar="FILE",
        help="mandates, .toml (default: those that fills, positions and cash name)",
    )  # fmt: skip
    parser.add_argument("--log", required=True, type=Path, metavar="LOG", help="the log to make")
    parser.add_argument(
        "--session", type=_session, default=SESSION_DEFAULT, metavar="HH:MM-HH:MM@ZONE",
        help="when a trading day opens and closes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--bar", type=_bar, metavar="LENGTH",
        help="daily, hourly, minute or e.g. 5min (default: daily where times are bare dates)",
    )  # fmt: skip
    parser.add_argument(
        "--dates-known-at", choices=("open", "close"),
        help="what a bare date of a signal or a fill means (default: it is refused)",
    )  # fmt: skip
    parser.add_argument(
        "--currency", metavar="CODE", help="of portfolios and instruments that state none"
    )
    parser.add_argument(
        "--shards", type=_shards, metavar="N", help="(default: one a portfolio, at most 8)"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first bad row")
    parser.add_argument("--force", action="store_true", help="replace an existing log")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import, then print the report."""
    tables = {name: getattr(args, name) for name in _TABLES}
    files = ImportFiles(portfolios=args.portfolios, **tables)
    settings = ImportSettings(
        args.session, args.bar, args.dates_known_at, args.currency, args.shards, args.strict
    )
    try:
        report = _write(args.log, files, settings, force=args.force)
    except (OutputExists, InputsMissing) as error:
        complain(error)
        return USAGE
    except (ImportFailed, LogError, OSError) as error:
        complain(error)
        return FAILED
    if args.json:
        print_json({"log": str(args.log), "report": report})
    else:
        _show(report, args.log)
    return OK


def _write(
    path: Path, files: ImportFiles, settings: ImportSettings, *, force: bool
) -> ImportReport:
    """The log is made under a hidden name beside its place and moved there when it is whole."""
    _refuse(path, files, force=force)
    with _locked(path):
        _refuse(path, files, force=force)  # another import may have finished in between
        with (
            written_beside(path) as made,
            SqliteLog(made, durable=False) as log,
            progress("importing") as advance,
        ):
            return import_files(
                files,
                settings,
                log=log,
                started=engine_started,
                progress=lambda done, expected: advance(done, max(done, expected), ""),
            )


def _refuse(path: Path, files: ImportFiles, *, force: bool) -> None:
    refuse_target(path, force=force, ours=is_log, others=files.paths, option="--log")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else writes the log meanwhile. Raises LogLocked."""
    lock = WriterLock(path, path.with_name(path.name + ".lock"))
    try:
        yield
    finally:
        lock.release()


def _show(report: ImportReport, log: Path) -> None:
    screen = output()
    rows = table("file", "rows", "accepted", "rejected", right=("rows", "accepted", "rejected"))
    for file in report.files:
        rows.add_row(
            safe(file.file), *(f"{n:,}" for n in (file.rows, file.accepted, file.rejected))
        )
    screen.print(rows)
    if report.rejects:
        bad = table("rejected", "reason", "rows", "first row numbers", right=("rows",))
        for item in report.rejects:
            first = ", ".join(str(row) for row in item.rows)
            bad.add_row(safe(item.file), safe(item.reason), f"{item.count:,}", first)
        screen.print()
        screen.print(bad)
    events = table("event", "records", right=("records",))
    for name, count in report.events:
        events.add_row(name, f"{count:,}")
    screen.print()
    screen.print(events)
    screen.print()
    for note in report.notes:
        screen.print(safe(f"note: {note}"))
    bar = f"bars {report.bar or 'of unknown length'}"
    bars = bar if "PricesObserved" in dict(report.events) else "no bars"
    screen.print(safe(f"sessions {report.session}, {bars}, {counted(report.shards, 'shard')}"))
    screen.print(safe(f"{clock_text(report.first_at)} to {clock_text(report.last_at)} in {log}"))


def _session(text: str) -> Session:
    try:
        return Session.parse(text)
    except ImportFailed as error:
        raise argparse.ArgumentTypeError(f"{error.what}; {error.remedy}") from error


def _bar(text: str) -> Bar:
    try:
        return Bar.parse(text)
    except ImportFailed as error:
        raise argparse.ArgumentTypeError(f"{error.what}; {error.remedy}") from error


def _shards(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _SHARDS_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_SHARDS_MAX}")
    return int(text)

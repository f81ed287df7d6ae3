"""`coordinator projections status|digest|run`: how projections stand, what they hold, keep them up.

Place in the flow: parses, calls `projections`, shows. A projection is only read here, except by
`run`, which becomes its writer. Exit codes: 0 ok, 1 a projection or the log does not answer or was
refused, 2 settings.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    output,
    print_json,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.core.ports import LogReader
from coordinator.log.errors import LogError
from coordinator.log.open import open_live, open_reader
from coordinator.log.url import LOG_HELP, KafkaPlace, parse_log
from coordinator.settings import Redactor, Settings, SettingsError
from projections.errors import ProjectionError
from projections.running import NAMES, configured, run_projection, view
from projections.sink import digest
from projections.status import ProjectionStatus, status

__all__ = ["add_parser", "add_targets", "open_log", "run", "targets_of"]

_LATE_SECONDS = 60.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `projections` and what can be asked of them to the commands."""
    verbs = commands.add_parser(
        "projections",
        help="how the projections in Postgres and Redis stand; run one",
        description="The projections that the settings name a database for.",
    ).add_subparsers(title="what to do", metavar="VERB", required=True)
    _add(
        verbs, "status", _status, "how far each projection is, and how far behind",
        "For each projection: what was projected of each topic and shard, the lag in records and "
        "seconds, rows, whether a writer is active, the schema's version.",
    )  # fmt: skip
    _add(
        verbs, "digest", _digest, "rows and hash of each view",
        "Equal hashes at the same place of the same log mean equal content.",
    )  # fmt: skip
    parser = _add(
        verbs, "run", _run, "keep one projection up to date until Ctrl-C or SIGTERM",
        "Follows the log and writes one projection; a second one of the same waits as a standby.",
    )  # fmt: skip
    parser.add_argument("--http-port", type=int, metavar="N", help="health and metrics; 0: any")


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a log and the databases."""
    parser.add_argument("--log", default="kafka:", metavar="LOG", help=f"{LOG_HELP} (%(default)s)")
    parser.add_argument("--schema", metavar="NAME", help="of the projection in Postgres")
    parser.add_argument("--redis-prefix", metavar="TEXT", help="of the projection's keys in Redis")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser)


def targets_of(args: argparse.Namespace, **flags: object) -> Settings:
    """The settings of a command with these options. Raises SettingsError."""
    return settings_of(args, postgres__schema=args.schema, redis__prefix=args.redis_prefix, **flags)


def open_log(log: str) -> LogReader:
    """The log to follow; topics without an archive can say where all of them end at once."""
    place = parse_log(log)
    if isinstance(place, KafkaPlace) and place.archive is None:
        return open_live(log)
    return open_reader(log)


def run(args: argparse.Namespace) -> int:
    """Do what was asked, and turn what went wrong into a line and a code."""
    secrets: tuple[str, ...] = ()
    try:
        settings = targets_of(args, http__port=getattr(args, "http_port", None))
        secrets = settings.secrets()
        with quiet_pipe():
            code: int = args.verb(args, settings)
    except SettingsError as error:
        complain(error, secrets)
        return USAGE
    except (ProjectionError, LogError) as error:
        complain(error, secrets)
        return FAILED
    return code


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    verb: Callable[[argparse.Namespace, Settings], int],
    short: str,
    long: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=short, description=long)
    several = name == "status"
    which = " or ".join(NAMES) + ("; default: all that are set" if several else "")
    parser.add_argument(
        "name", choices=NAMES, nargs="?" if several else None, metavar="NAME", help=which
    )
    add_targets(parser)
    parser.set_defaults(run=run, verb=verb)
    return parser


def _status(args: argparse.Namespace, settings: Settings) -> int:
    names = [args.name] if args.name else list(configured(settings))
    if not names:
        complain("no projection has a database: set postgres.dsn or redis.url")
        return USAGE
    with closing(open_log(args.log)) as reader:
        found = [status(name, view(settings, name), reader) for name in names]
    # A driver's words may hold the address that it was given, password and all.
    hide = Redactor(settings.secrets()).text
    found = [replace(one, error=hide(one.error)) for one in found]
    if args.json:
        print_json({"projections": [_plain(one) for one in found]})
    else:
        _show(found)
    return FAILED if any(one.error for one in found) else OK


def _plain(one: ProjectionStatus) -> dict[str, object]:
    return asdict(one) | {"lag_records": one.lag_records, "lag_seconds": one.lag_seconds}


def _show(found: Sequence[ProjectionStatus]) -> None:
    console = output()
    for one in found:
        if one.error:
            console.print(safe(f"{one.name}: {one.error}", style="bold red"))
            continue
        if one.version is None:
            console.print(safe(f"{one.name}: there is none yet", style="bold"))
            continue
        writer = "writer active" if one.writer else "NO WRITER"
        schema = f"schema version {one.version}"
        schema += "" if one.version == one.known else f" (this build: {one.known})"
        lag = f"{one.lag_records or 0:,} records, {one.lag_seconds or 0.0:,.1f} s behind"
        console.print(safe(f"{one.name}: {writer}, {schema}, {lag}", style="bold"))
        rows = ", ".join(
            f"{name} {'many' if count is None else f'{count:,}'}"
            for name, count in one.rows.items()
        )
        console.print(safe(f"rows: {rows}"))
        columns = ("topic", "shard", "as of", "journal time", "behind", "seconds")
        made = table(*columns, right=columns[1:3] + columns[4:])
        for part in one.parts:
            late = part.lag_seconds or 0.0
            style = "red" if late > _LATE_SECONDS else ""
            at = clock_text(part.journal_time) if part.journal_time else "-"
            made.add_row(
                safe(part.topic), str(part.shard), f"{part.as_of:,}", at,
                safe(f"{part.lag_records or 0:,}", style), safe(f"{late:,.1f}", style),
            )  # fmt: skip
        console.print(made)


def _digest(args: argparse.Namespace, settings: Settings) -> int:
    found = digest(view(settings, args.name))
    if args.json:
        print_json({name: one._asdict() for name, one in found.items()})
        return OK
    made = table("view", "rows", "sha256", right=("rows",))
    for name, one in found.items():
        made.add_row(safe(name), f"{one.rows:,}", one.sha256)
    output().print(made)
    return OK


def _run(args: argparse.Namespace, settings: Settings) -> int:
    from coordinator.telemetry.health import Health  # noqa: PLC0415 - only a server pays for it
    from coordinator.telemetry.http import serve_in_thread  # noqa: PLC0415 - as above
    from coordinator.telemetry.logging import configure_logging  # noqa: PLC0415 - as above
    from coordinator.telemetry.metrics import Metrics  # noqa: PLC0415 - as above

    secrets = settings.secrets()
    configure_logging(settings.log, secrets=secrets)
    health, metrics = Health(secrets=secrets), Metrics(secrets=secrets)
    with _stopped_by_signals() as stop, closing(open_log(args.log)) as reader:
        server = serve_in_thread(settings.http, health=health, metrics=metrics)
        try:
            run_projection(args.name, settings, reader, stop, health=health, metrics=metrics)
        finally:
            server.close()
    return OK


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

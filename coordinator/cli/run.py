"""`coordinator run`: a live worker, one part of it, or the local shell without a server.

Place in the flow: starts processes and leaves. Parts: router (inputs to journals), engine (journals
to decisions), views (windowed portfolio views), postgres and redis (projections). It must never
hold a rule of any of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from coordinator.cli.console import FAILED, OK, USAGE, complain
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.settings import Settings, SettingsError

__all__ = ["PARTS", "add_parser", "run"]

PARTS = ("router", "engine", "views", "postgres", "redis")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run` to the commands."""
    parser = commands.add_parser(
        "run",
        help="run the engine: on Kafka, or with --local on one SQLite file",
        description="Starts a worker: router, engine, views, and the projections whose database "
        "is set, each a process of its own, until SIGTERM or Ctrl-C. Several workers share the "
        "shards. --only runs one part in this process. --local needs no server: it reads events "
        "as JSON lines from stdin or a file, decides, and keeps everything in one SQLite log. Each "
        "line is stamped with the time at which it is read, so old signals are stale and refused: "
        "to play the past, use import and backtest.",
    )
    parser.add_argument(
        "--only", choices=PARTS, action="append", metavar="PART", help=f"one of {', '.join(PARTS)}"
    )
    parser.add_argument("--http-port", type=int, metavar="N", help="of the first part; 0: any")
    parser.add_argument(
        "--unseal", action="store_true", help="go on behind a seal of this very build"
    )
    parser.add_argument("--local", action="store_true", help="no server: one process, SQLite")
    parser.add_argument("--log", type=Path, metavar="FILE", help="the SQLite log of --local")
    parser.add_argument(
        "--input", default="-", metavar="FILE", help="events of --local, JSON lines; - is stdin"
    )
    parser.add_argument(
        "--until-end", action="store_true", help="--local ends with its input and open rounds"
    )
    # What the supervisor says to its children: their stdin ends with it.
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Start what was asked for; returns when it has ended."""
    try:
        if args.local:
            return _local(args)
        if args.log is not None:
            complain("--log belongs to --local; a live worker's log is Kafka")
            return USAGE
        settings = settings_of(args, http__port=args.http_port)
        parts = args.only or _parts(settings)
        return _one(settings, parts[0], args) if len(parts) == 1 else _all(settings, parts, args)
    except SettingsError as error:
        complain(error)
        return USAGE
    except ModuleNotFoundError as error:
        if error.name != "faust":
            raise
        complain("faust-streaming is not installed: it has no wheel for this machine")
        return FAILED


def _parts(settings: Settings) -> Sequence[str]:
    """Everything that can run with these settings."""
    return [
        *PARTS[:3],
        *(["postgres"] if settings.postgres.dsn is not None else []),
        *(["redis"] if settings.redis.url is not None else []),
    ]


def _one(settings: Settings, part: str, args: argparse.Namespace) -> int:
    from coordinator.shells.live.lifeline import hold_on  # noqa: PLC0415 - only here it is needed
    from coordinator.shells.live.parts import run_named  # noqa: PLC0415 - as above
    from coordinator.shells.live.supervisor import SEALED  # noqa: PLC0415 - as above

    if args.supervised:
        hold_on(grace_s=_grace_s(settings))
    code = run_named(settings, part, unseal=args.unseal)
    # Only a supervisor needs to tell a seal from a stop: to people both are done.
    return OK if code == SEALED and not args.supervised else code


def _all(settings: Settings, parts: Sequence[str], args: argparse.Namespace) -> int:
    """Each part a child of ours; the first has the HTTP port, the others the next ones."""
    from coordinator.shells.live.supervisor import (  # noqa: PLC0415 - only here it is needed
        Child,
        command,
        ports_taken,
        supervise,
    )
    from coordinator.telemetry.logging import configure_logging  # noqa: PLC0415 - as above

    configure_logging(settings.log, secrets=settings.secrets())
    first, host = settings.http.port, settings.http.host
    ports = [first + index if first else 0 for index in range(len(parts))]
    taken = ports_taken(host, ports)
    if taken:
        complain(
            f"port {', '.join(map(str, taken))} of {host} is in use, by another worker perhaps; "
            f"this one needs {ports[0]} to {ports[-1]}: choose others with --http-port N, 0 for any"
        )
        return FAILED
    children = []
    for part, port in zip(parts, ports, strict=True):
        children.append(Child(part, command(part, [*_passed_on(args), "--http-port", str(port)])))
    return supervise(children, grace_s=_grace_s(settings))


def _grace_s(settings: Settings) -> float:
    """How long a part that was told to end may take; then it is killed."""
    return settings.worker.stop_s + 5


def _passed_on(args: argparse.Namespace) -> list[str]:
    """The options that children need too; secrets reach them by environment and file."""
    words = []
    for name in ("config", "bootstrap", "prefix", "shards"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return [*words, "--unseal"] if args.unseal else words


def _local(args: argparse.Namespace) -> int:
    from coordinator.cli.local import run_local  # noqa: PLC0415 - only here it is needed

    if args.log is None:
        complain("--local needs --log FILE, the SQLite log to keep everything in")
        return USAGE
    return run_local(args)

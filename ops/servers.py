"""`ops/servers`: real Kafka, PostgreSQL and Redis for development, in a folder, on unused ports.

Run by the script ops/servers. The servers stay until `down`; each is told from a stranger's process
by its birth, so `down` ends nothing else. Words go to stderr, settings and facts to stdout.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from ops.servers_base import CannotStart, Server
from ops.servers_kafka import KafkaServer
from ops.servers_postgres import PostgresServer
from ops.servers_process import family
from ops.servers_redis import RedisServer

__all__ = ["KINDS", "environment", "main", "open_servers"]

ROOT = Path(__file__).resolve().parent.parent
KINDS: dict[str, type[Server]] = {
    "kafka": KafkaServer,
    "postgres": PostgresServer,
    "redis": RedisServer,
}
INTERRUPTED = 130
EPILOG = """\
up      starts what does not run yet and prints the engine's settings: export $(ops/servers up)
down    stops what runs; data and ports stay for the next up, unless --wipe
status  what runs, with memory and uptime
env     prints the settings of what runs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code: 0 ok, 1 failure, 2 usage, 130 interrupted."""
    options = parser().parse_args(arguments)
    with suppress(ValueError):  # Not in the main thread: then whoever called us minds the signals.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
    commands = {"up": up, "down": down, "status": status, "env": env}
    try:
        return commands[options.command](options)
    except KeyboardInterrupt:
        say("servers: interrupted")
        return INTERRUPTED
    except OSError as error:
        say(f"servers: {error}")
        return 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="ops/servers",
        description="Real servers for development and tests, on 127.0.0.1 and unused ports.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("command", choices=("up", "down", "status", "env"))
    made.add_argument(
        "--dir", type=Path, default=ROOT / ".servers", metavar="DIR", help="their folder"
    )
    made.add_argument(
        "--only", type=kinds, default=tuple(KINDS), metavar="NAMES", help="of kafka,postgres,redis"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    made.add_argument("--wipe", action="store_true", help="with down: delete their data, too")
    return made


def kinds(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list, in our order."""
    named = {name.strip() for name in text.split(",") if name.strip()}
    if not named or named - KINDS.keys():
        raise argparse.ArgumentTypeError(f"{text!r}: known are {', '.join(KINDS)}")
    return tuple(name for name in KINDS if name in named)


def open_servers(folder: Path, names: Sequence[str] = tuple(KINDS)) -> dict[str, Server]:
    """The servers of a folder by kind, running or not."""
    return {name: KINDS[name](folder / name) for name in names}


def environment(servers: Sequence[Server]) -> dict[str, str]:
    """The engine's settings for those that run."""
    found: dict[str, str] = {}
    for server in servers:
        if server.running:
            found |= server.settings()
    return found


def up(options: argparse.Namespace) -> int:
    """Starts what does not run, all at the same time; an interruption ends what it began."""
    with alone(options.dir):
        servers = open_servers(options.dir, options.only)
        before = [name for name, server in servers.items() if server.running]
        failures = start_all(servers)
        for name, server in servers.items():
            if name not in failures:
                how = "runs already" if name in before else "started"
                say(f"servers: {name:<8} {how}, 127.0.0.1:{server.port}, process {server.pid}")
        for failure in failures.values():
            say(f"servers: {failure}")
        show(options, servers, failures)
    if failures:
        others = [name for name in servers if name not in failures]
        say(f"servers: not running: {', '.join(failures)}; running: {', '.join(others) or 'none'}")
    return 1 if failures else 0


def start_all(servers: dict[str, Server]) -> dict[str, CannotStart]:
    """Starts them side by side. Returns the failures by name."""
    cancel = threading.Event()
    fresh = [server for server in servers.values() if not server.running]
    failures: dict[str, CannotStart] = {}
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        try:
            pending = {
                name: pool.submit(server.start, cancelled=cancel.is_set)
                for name, server in servers.items()
            }
            for name, future in pending.items():
                if failure := _outcome(future):
                    failures[name] = failure
        except BaseException:
            _ignore_interrupts()  # A second Ctrl-C would leave behind what the first one ends.
            cancel.set()
            pool.shutdown(wait=True)
            for server in fresh:
                server.stop(bound_s=5.0)
            raise
    return failures


def _ignore_interrupts() -> None:
    with suppress(ValueError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def _outcome(future: Future[None]) -> CannotStart | None:
    try:
        future.result()
    except CannotStart as failure:
        return failure
    return None


def down(options: argparse.Namespace) -> int:
    """Stops what runs of ours."""
    if not options.dir.is_dir():
        say("servers: none run")
        return 0
    stopped = []
    with alone(options.dir):
        for name, server in open_servers(options.dir, options.only).items():
            if server.running:
                how = "stopped" if server.stop() else "killed, as it did not stop by itself"
                say(f"servers: {name:<8} {how}")
                stopped.append(name)
            if options.wipe:
                server.remove()
    if not stopped:
        say("servers: none run")
    if options.json:
        tell(json.dumps({"stopped": stopped}))
    return 0


def status(options: argparse.Namespace) -> int:
    """Says what runs. Exit code 0 also when nothing does."""
    facts = {
        name: describe(server) for name, server in open_servers(options.dir, options.only).items()
    }
    if options.json:
        tell(json.dumps({"directory": str(options.dir), "servers": facts}, indent=2))
        return 0
    for name, fact in facts.items():
        if fact["running"]:
            tell(
                f"{name:<8} running  127.0.0.1:{fact['port']}  process {fact['pid']}  "
                f"{fact['memory_mib']} MiB  up {fact['uptime_s']} s"
            )
        else:
            tell(f"{name:<8} down")
    return 0


def describe(server: Server) -> dict[str, object]:
    """Facts of one server, without its password. memory_mib: of all its processes together."""
    processes = family(server.process)
    if not processes:
        return {"running": False}
    return {
        "running": True,
        "port": server.port,
        "pid": server.pid,
        "memory_mib": round(sum(map(memory, processes)) / 2**20),
        "uptime_s": round(time.time() - processes[0].create_time()),
        "directory": str(server.directory),
    }


def memory(process: psutil.Process) -> int:
    """Bytes; shared pages are divided among those who share them, where the system tells."""
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def env(options: argparse.Namespace) -> int:
    """Prints the settings of what runs. Exit code 1 when something asked for does not."""
    servers = open_servers(options.dir, options.only)
    show(options, servers, {})
    missing = [name for name, server in servers.items() if not server.running]
    if missing:
        say(f"servers: not running: {', '.join(missing)}; ops/servers up starts them")
    return 1 if missing else 0


def show(
    options: argparse.Namespace, servers: dict[str, Server], failures: dict[str, CannotStart]
) -> None:
    """The settings on stdout, as NAME=value lines or JSON."""
    settings = environment(list(servers.values()))
    if options.json:
        facts = {name: describe(server) for name, server in servers.items()}
        for name, failure in failures.items():
            facts[name] = {"running": False, "reason": failure.reason, "remedy": failure.remedy}
        tell(json.dumps({"environment": settings, "servers": facts}, indent=2))
    else:
        for name, value in settings.items():
            tell(f"{name}={value}")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: two launchers would start everything twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"servers: another ops/servers is at work in {folder}; waiting for its end")
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Words go to stderr: stdout is for settings and facts."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def tell(text: str) -> None:
    """A line of the answer, on stdout."""
    sys.stdout.write(f"{text}\n")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

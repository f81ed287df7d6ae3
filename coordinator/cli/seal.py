"""`coordinator seal`: the last thing a build does, so that the next one begins behind it.

Place in the flow: appends EngineSealed to every shard's journal and waits until each shard's owner
has written its checkpoint there. It must never seal what is sealed, nor say done before the
checkpoints are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.asking import agreed
from coordinator.cli.console import (
    FAILED,
    OK,
    complain,
    counted,
    output,
    print_json,
    progress,
    table,
)
from coordinator.cli.endings import ENDINGS, ended
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.core.checkpoint import checkpoint_position
from coordinator.core.fold import checkpoints
from coordinator.core.ports import Append, LogReader
from coordinator.core.shards import shards_in
from coordinator.log.live import begin_of
from coordinator.log.sqlite import SqliteLog
from coordinator.settings import Settings
from schemas.entries import Stamp, encode_journal, opening
from schemas.journal import EngineSealed, EngineStarted

if TYPE_CHECKING:
    from coordinator.log.kafka.log import KafkaLog

__all__ = ["Sealing", "add_parser", "run", "sealed_at"]

_SEALED, _STARTED = opening(EngineSealed), opening(EngineStarted)
LOOK_EVERY_S = 0.3
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sealing:
    """One shard: where its seal stands (-1: nothing to seal), and whether a checkpoint does too."""

    shard: int
    position: int
    checkpointed: bool
    owner: str | None = None


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `seal` to the commands."""
    parser = commands.add_parser(
        "seal",
        help="drain the running build, so that another one can go on",
        description="Appends EngineSealed to the journal of every shard. The running workers "
        "decide what stands before it, write their checkpoints and end; then another build may "
        "start. Without --log: the journals in Kafka that the settings name.",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="a SQLite log instead of Kafka")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, kept in the journal")
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="SECONDS",
        help=f"for the owners' checkpoints, at most; default {WAIT_S:g}",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what would be sealed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Seal, wait and tell."""
    try:
        if args.log is not None:
            return _seal_file(args)
        return _seal_kafka(args, settings_of(args))
    except ENDINGS as error:
        return ended(error, advice="; it has to seal the log itself")


def sealed_at(reader: LogReader, shard: int) -> int:
    """The position of the seal behind which nobody has started yet; -1 where there is none."""
    newest = max((checkpoint_position(body) for body, _ in checkpoints(reader, shard)), default=0)
    start = max(newest, begin_of(reader, "journal", shard), 0)
    found = -1
    for record in reader.read("journal", shard, start):
        if record.payload.startswith(_STARTED):
            found = -1
        elif found < 0 and record.payload.startswith(_SEALED):
            found = record.position
    return found


def _event(reason: str) -> EngineSealed:
    now = time.time_ns()
    return EngineSealed(event_id=f"seal {now}", event_time=now, reason=reason)


# -- one file --------------------------------------------------------------------------------------


def _seal_file(args: argparse.Namespace) -> int:
    """The local shell seals its own log: it needs no other owner."""
    from coordinator.shells.local import LocalShell  # noqa: PLC0415 - only here it is needed

    if not args.log.is_file():
        complain(f"{args.log}: there is no such log")
        return FAILED
    with closing(SqliteLog(args.log, readonly=args.dry_run)) as log:
        numbers = shards_in(log, "journal")
        places = {number: sealed_at(log, number) for number in numbers}
        if not numbers:
            complain(f"{args.log}: it has no journal to seal")
            return FAILED
        todo = [number for number, place in places.items() if place < 0]
        if todo and not args.dry_run:
            if not agreed(f"seal {counted(len(todo), 'shard')} of {args.log}", yes=args.yes):
                return FAILED
            shell = LocalShell(log, shards=len(numbers), clock=time.time_ns)
            shell.start()
            shell.seal(args.reason)
            places = {number: sealed_at(log, number) for number in numbers}
        done = tuple(
            Sealing(number, place, place >= 0 and _checkpointed(log, number, place))
            for number, place in places.items()
        )
    _tell(done, args)
    return OK


def _checkpointed(reader: LogReader, shard: int, position: int) -> bool:
    """Whether a checkpoint stands at the seal, or behind it."""
    return any(checkpoint_position(b) >= position for b, _ in checkpoints(reader, shard))


# -- Kafka -----------------------------------------------------------------------------------------


def _seal_kafka(args: argparse.Namespace, settings: Settings) -> int:
    from coordinator.log.kafka.log import KafkaLog  # noqa: PLC0415 - only who speaks to Kafka pays for it

    with closing(KafkaLog(settings.kafka)) as log:
        places = _places(log, settings)
        if places is None:
            return FAILED
        todo = [shard for shard, (end, place) in places.items() if end and place < 0]
        seals = {shard: place for shard, (_, place) in places.items() if place >= 0}
        owners = _owners(settings)
        if todo and not args.dry_run:
            if not agreed(
                f"seal {counted(len(todo), 'shard')} at {settings.kafka.bootstrap}", yes=args.yes
            ):
                return FAILED
            entry = encode_journal(Stamp("journal", "", 0, -1, time.time_ns()), _event(args.reason))
            positions = log.append([Append("journal", shard, entry) for shard in todo])
            seals |= dict(zip(todo, positions, strict=True))
        done: frozenset[int] = frozenset()
        if not args.dry_run:
            bound = args.wait if owners else 0.0
            with progress("waiting for checkpoints") as advance:
                done = _awaited(
                    log, seals, bound, told=lambda n: advance(n, len(seals), "")
                )  # fmt: skip
    owners |= _owners(settings)
    found = tuple(
        Sealing(shard, seals.get(shard, -1), shard in done, owners.get(shard))
        for shard in sorted(places)
    )
    _tell(found, args)
    return OK if args.dry_run or done == seals.keys() else _not_all(found)


def _places(log: KafkaLog, settings: Settings) -> dict[int, tuple[int, int]] | None:
    """End of each shard's journal and where it is sealed; None, and said so, for other topics."""
    ends = {shard: end for (topic, shard), end in log.ends().items() if topic == "journal"}
    if sorted(ends) != list(range(settings.worker.shards)):
        complain(
            f"the topic {settings.kafka.prefix}journal has {len(ends)} partitions, not "
            f"{settings.worker.shards}: is this the right cluster and prefix?"
        )
        return None
    return {shard: (end, sealed_at(log, shard) if end else -1) for shard, end in ends.items()}


def _owners(settings: Settings) -> dict[int, str]:
    from coordinator.log.kafka.groups import members_by_partition  # noqa: PLC0415 - as above

    return members_by_partition(settings.kafka, settings.group("engine"), "journal")


def _awaited(
    log: KafkaLog, seals: Mapping[int, int], bound_s: float, *, told: Callable[[int], None]
) -> frozenset[int]:
    """The shards whose checkpoint stands behind their seal, when all do or the time is over."""
    until = time.monotonic() + bound_s
    done: set[int] = set()
    seen: dict[int, int] = {}
    while True:
        ends = log.ends()
        for shard in seals.keys() - done:
            end = ends.get(("checkpoints", shard), 0)
            if seen.get(shard) != end:
                seen[shard] = end
                if _checkpointed(log, shard, seals[shard]):
                    done.add(shard)
        told(len(done))
        if len(done) == len(seals) or time.monotonic() > until:
            return frozenset(done)
        time.sleep(LOOK_EVERY_S)


def _not_all(found: tuple[Sealing, ...]) -> int:
    """Say what is missing, and what to do about it."""
    missing = [one for one in found if one.position >= 0 and not one.checkpointed]
    orphans = [str(one.shard) for one in missing if one.owner is None]
    late = [f"{one.shard} ({one.owner})" for one in missing if one.owner is not None]
    if orphans:
        complain(
            f"sealed, but no owner runs for shard {', '.join(orphans)}: start a worker of the "
            "sealed build once more, it writes the checkpoint that the next build needs and ends"
        )
    if late:
        complain(f"sealed, but no checkpoint yet of shard {', '.join(late)}; ask again")
    return FAILED


def _tell(found: tuple[Sealing, ...], args: argparse.Namespace) -> None:
    if args.json:
        print_json({"dry_run": args.dry_run, "shards": found})
        return
    rows = table("shard", "seal", "checkpoint", "owner", right=("shard",))
    for one in found:
        if one.position >= 0:
            seal = f"position {one.position}"
        else:
            seal = "would be sealed" if args.dry_run else "nothing to seal"
        written = "written" if one.checkpointed else "-"
        rows.add_row(str(one.shard), seal, written, one.owner or "-")
    output().print(rows)

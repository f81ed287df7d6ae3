"""`coordinator topics plan|apply`: the topics as declared, compared with the cluster and made so.

Place in the flow: before anything else runs. It must never change a topic's partitions or delete
one.
"""

from __future__ import annotations

import argparse
import asyncio

from coordinator.cli.console import (
    DIFFERENT,
    FAILED,
    OK,
    USAGE,
    complain,
    output,
    print_json,
    safe,
    table,
)
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.settings import Settings, SettingsError

__all__ = ["add_parser", "run"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coordinator.log.kafka.topics import TopicPlan


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `topics` to the commands."""
    parser = commands.add_parser(
        "topics",
        help="compare Kafka's topics with what is declared, and make them so",
        description="plan shows what the cluster lacks (exit code 3 where it differs); apply "
        "creates missing topics and sets retention, sizes and time stamps. A topic with another "
        "number of partitions is refused.",
    )
    parser.add_argument("action", choices=["plan", "apply"])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan or apply."""
    from aiokafka.errors import KafkaError  # noqa: PLC0415 - only who speaks to Kafka pays for it

    try:
        settings = settings_of(args)
        found, refused = asyncio.run(_planned(settings, apply_it=args.action == "apply"))
    except SettingsError as error:
        complain(error)
        return USAGE
    except (KafkaError, OSError, TimeoutError) as error:
        complain(f"{type(error).__name__}: {error}")
        return FAILED
    if args.json:
        print_json({"topics": found.topics, "differences": found.differences})
    else:
        _show(found, applied=args.action == "apply")
    if refused:
        complain(refused)
        return FAILED
    return DIFFERENT if args.action == "plan" and found.differences else OK


async def _planned(settings: Settings, *, apply_it: bool) -> tuple[TopicPlan, str]:
    """The plan as it was found, and why it was refused, if it was."""
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - as in `run`

    from coordinator.log.kafka.options import client_options  # noqa: PLC0415 - as in `run`
    from coordinator.log.kafka.topics import (  # noqa: PLC0415 - as in `run`
        PartitionsDiffer,
        apply,
        declared,
        plan,
    )

    admin = AIOKafkaAdminClient(**client_options(settings.kafka, "admin"))
    try:
        await admin.start()
        topics = declared(shards=settings.worker.shards, prefix=settings.kafka.prefix)
        found = await plan(admin, topics)
        if apply_it:
            try:
                await apply(admin, found, replication=settings.kafka.replication)
            except PartitionsDiffer as error:
                return found, str(error)
        return found, ""
    finally:
        await admin.close()


def _show(found: TopicPlan, *, applied: bool) -> None:
    console = output()
    made = table("topic", "partitions", "key", "retention", "state", right=("partitions",))
    by_topic: dict[str, list[str]] = {}
    for one in found.differences:
        words = {
            "missing": "created" if applied else "missing",
            "partitions": f"REFUSED: {one.found} partitions",
            "config": f"{one.what}: {one.found or 'default'} -> {one.wanted}",
        }
        by_topic.setdefault(one.topic, []).append(words[one.kind])
    for topic in found.topics:
        kept = topic.config["retention.ms"]
        days = "unlimited" if kept == "-1" else f"{int(kept) // 86_400_000} days"
        state = "; ".join(by_topic.get(topic.name, ["as declared"]))
        made.add_row(safe(topic.name), str(topic.partitions), safe(topic.key), days, safe(state))
    console.print(made)

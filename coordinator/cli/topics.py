"""`coordinator topics plan|apply`: the topics as declared, compared with the cluster and made so.

Place in the flow: before anything else runs. It must never change a topic's partitions or delete
one.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

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
from coordinator.settings import SettingsError

if TYPE_CHECKING:
    from coordinator.log.kafka.topics import TopicPlan

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `topics` to the commands."""
    parser = commands.add_parser(
        "topics",
        help="compare Kafka's topics with what is declared, and make them so",
        description="Plan shows what the cluster lacks (exit code 3 where it differs); apply "
        "creates missing topics and sets retention, sizes and time stamps. A topic with another "
        "number of partitions is refused.",
    )
    parser.add_argument("action", choices=["plan", "apply"])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan or apply."""
    from coordinator.log.kafka.administer import (  # noqa: PLC0415 - only who speaks to Kafka pays
        prepare_topics,
    )

    try:
        settings = settings_of(args)
        found = prepare_topics(settings, change=args.action == "apply")
    except SettingsError as error:
        complain(error)
        return USAGE
    if args.json:
        print_json({"topics": found.topics, "differences": found.differences})
    else:
        _show(found, applied=args.action == "apply")
    if found.refused:
        complain(found.refusal)
        return FAILED
    return DIFFERENT if args.action == "plan" and found.differences else OK


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

"""`coordinator dlq list|show|redrive|purge`: messages that could not become events.

Place in the flow: beside the routers, for operators. Reads the topics `<input>.dlq` of a cluster or
of a SQLite log; a letter is sent again only when it would be taken now, and once, unless told
otherwise. It must never change a letter, nor show its bytes to a terminal unescaped.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from coordinator.cli.asking import agreed
from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    output,
    print_json,
    printable,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.endings import ENDINGS, ended
from coordinator.cli.events import count_of, time_of
from coordinator.cli.letters import FileBox, Found, KafkaBox, LetterBox, again, as_json
from coordinator.cli.live_options import add_settings, settings_of
from coordinator.core.route import DeadLetter
from schemas.registry import INPUT_TOPICS

__all__ = ["add_parser", "run"]

LIMIT = 50
REASONS_SHOWN = 20
_REASON_WIDTH = 90


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dlq` to the commands."""
    parser = commands.add_parser(
        "dlq",
        help="list, show, send again and delete dead letters",
        description="Dead letters are messages of the input topics that are no events, kept as "
        "they came with their origin and the reason. Without --log: those in Kafka.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = _action(actions, "list", "newest last, with counts by reason")
    listing.add_argument("--topic", choices=INPUT_TOPICS, help="of this input topic only")
    listing.add_argument("--since", type=time_of, metavar="TIME", help="buried from then on")
    listing.add_argument(
        "--limit", type=count_of, default=LIMIT, metavar="N", help=f"at most that many; {LIMIT}"
    )
    showing = _action(actions, "show", "one letter: its bytes, its headers, the reason")
    _placed(showing, several=False)
    sending = _action(actions, "redrive", "send letters to their input topic again, each once")
    _placed(sending, several=True)
    sending.add_argument("--all", action="store_true", help="every letter of the topic")
    sending.add_argument(
        "--with", dest="mended", type=Path, metavar="FILE", help="this payload instead, for one"
    )
    sending.add_argument("--again", action="store_true", help="also those that were sent before")
    _careful(sending)
    purging = _action(actions, "purge", "delete the letters below a position")
    purging.add_argument("topic", choices=INPUT_TOPICS, help="input topic")
    purging.add_argument("--before", type=count_of, required=True, metavar="POSITION")
    _careful(purging)
    for one, act in (
        (listing, _list), (showing, _show), (sending, _redrive), (purging, _purge),
    ):  # fmt: skip
        one.set_defaults(run=run, act=act)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument("--log", type=Path, metavar="FILE", help="a SQLite log instead of Kafka")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_settings(parser)
    return parser


def _placed(parser: argparse.ArgumentParser, *, several: bool) -> None:
    parser.add_argument("topic", choices=INPUT_TOPICS, help="input topic")
    nargs = "*" if several else None
    parser.add_argument("position", type=count_of, nargs=nargs, help="as `dlq list` shows it")


def _careful(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    try:
        with quiet_pipe(), closing(_opened(args)) as box:
            code: int = args.act(box, args)
            return code
    except ENDINGS as error:
        return ended(error)


def _opened(args: argparse.Namespace) -> LetterBox:
    if args.log is not None:
        return FileBox(args.log, writing=args.act is _redrive and not args.dry_run)
    return KafkaBox(settings_of(args).kafka)


def _list(box: LetterBox, args: argparse.Namespace) -> int:
    """The newest letters that pass the filters, and how often each reason is given."""
    topics = [args.topic] if args.topic is not None else INPUT_TOPICS
    found = [
        one for topic in topics for one in box.letters(topic)
        if args.since is None or one.journal_time >= args.since
    ]  # fmt: skip
    found.sort(key=lambda one: (one.journal_time, one.letter.topic, one.position))
    reasons = Counter((one.letter.topic, one.letter.reason) for one in found).most_common()
    shown = found[max(0, len(found) - args.limit) :]
    if args.json:
        counts = [{"topic": t, "reason": r, "count": count} for (t, r), count in reasons]
        letters = [as_json(one) for one in shown]
        print_json({"letters": letters, "total": len(found), "reasons": counts})
        return OK
    rows = table(
        "topic", "position", "buried", "came from", "sent again", "reason", right=("position",)
    )  # fmt: skip
    for one in shown:
        letter = one.letter
        rows.add_row(
            letter.topic, str(one.position), clock_text(one.journal_time), safe(letter.where),
            "" if one.sent_at is None else clock_text(one.sent_at),
            safe(letter.reason[:_REASON_WIDTH]),
        )  # fmt: skip
    console = output()
    console.print(rows)
    done = sum(one.sent_at is not None for one in found)
    console.print(f"{len(found):,} dead letters, {len(shown):,} shown, {done:,} sent again")
    for (topic, reason), count in islice(reasons, REASONS_SHOWN):
        console.print(safe(f"{count:>7,}  {topic}: {reason}"))
    return OK


def _show(box: LetterBox, args: argparse.Namespace) -> int:
    """One letter whole."""
    found = next(iter(box.letters(args.topic, args.position, args.position + 1)), None)
    if found is None:
        complain(f"no dead letter of {args.topic} stands at {args.position}")
        return FAILED
    if args.json:
        print_json(as_json(found))
        return OK
    letter = found.letter
    print(f"{letter.topic} {found.position}, buried {clock_text(found.journal_time)}")
    print(printable(f"came from {letter.where}: {letter.reason}"))
    if found.sent_at is not None:
        print(f"sent again {clock_text(found.sent_at)}")
    for name, value in found.headers:
        print(printable(f"  {name}: {value.decode(errors='backslashreplace')}"))
    try:
        print(printable(letter.payload.decode()))
    except UnicodeDecodeError:
        print(f"{len(letter.payload):,} bytes, in hex:")
        for line in _hex(letter.payload):
            print(line)
    return OK


def _hex(payload: bytes) -> list[str]:
    step = 32
    return [
        f"{at:08x}  {payload[at : at + step].hex(' ')}" for at in range(0, len(payload), step)
    ]  # fmt: skip


def _redrive(box: LetterBox, args: argparse.Namespace) -> int:
    """Send what would be taken now, and was not sent before; name what would not."""
    if bool(args.position) == args.all:
        complain("give positions, or --all")
        return USAGE
    if args.mended is not None and len(args.position) != 1:
        complain("--with mends one letter: give its position")
        return USAGE
    found = _chosen(box, args)
    if found is None:
        return FAILED
    mended = args.mended.read_bytes().rstrip(b"\r\n") if args.mended is not None else None
    wanted = [one for one in found if args.again or one.sent_at is None]
    good, refused = _judged(wanted, mended)
    for one, reason in refused[:REASONS_SHOWN]:
        complain(f"{args.topic} {one.position} would be dead again: {reason}")
    sent = bool(good) and not args.dry_run
    if sent:
        if not agreed(f"send {len(good)} letters to {args.topic} again", yes=args.yes):
            return FAILED
        box.send(good)
    positions = [one.position for one in good]
    before = len(found) - len(wanted)
    if args.json:
        counts = {"refused": len(refused), "sent_before": before}
        print_json({"sent": sent, "positions": positions, **counts})
    else:
        word = "sent again" if sent else "would be sent again" if good else "nothing sent"
        print(f"{word}: {len(good):,} letters; {len(refused):,} would be dead again")
        if before:
            print(f"passed over: {before:,} that were sent before; --again sends those, too")
    return FAILED if refused else OK


def _judged(
    found: Sequence[Found], mended: bytes | None
) -> tuple[list[Found], list[tuple[Found, str]]]:
    """What would be taken now, and what would not, with the reason."""
    good: list[Found] = []
    refused: list[tuple[Found, str]] = []
    for one in found:
        outcome = again(one, mended)
        if isinstance(outcome, DeadLetter):
            refused.append((one, outcome.reason))
        else:
            good.append(outcome)
    return good, refused


def _chosen(box: LetterBox, args: argparse.Namespace) -> list[Found] | None:
    """The letters that were named; None, and said so, when one is not there."""
    found = list(box.letters(args.topic))
    if args.all:
        return found
    by_position = {one.position: one for one in found}
    missing = [str(at) for at in args.position if at not in by_position]
    if missing:
        complain(f"no dead letter of {args.topic} stands at {', '.join(missing)}")
        return None
    return [by_position[at] for at in dict.fromkeys(args.position)]


def _purge(box: LetterBox, args: argparse.Namespace) -> int:
    """Delete what lies below a position."""
    count = sum(1 for _ in box.letters(args.topic, 0, args.before))
    if not args.dry_run:
        if not isinstance(box, KafkaBox):
            complain("a SQLite log keeps its dead letters: its records are chained to each other")
            return USAGE
        if not agreed(f"delete {count} dead letters of {args.topic}", yes=args.yes):
            return FAILED
        box.purge(args.topic, args.before)
    if args.json:
        print_json({"deleted": not args.dry_run, "letters": count})
    else:
        print(f"{'would be deleted' if args.dry_run else 'deleted'}: {count:,} letters")
    return OK

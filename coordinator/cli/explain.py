"""`coordinator explain`: one decision and its reasons, on one screen or as JSON.

Place in the flow: asks `coordinator.quality.reasons`, shows the answer. It must never show a name
unescaped: names come from sources and files of other people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    USAGE,
    clock_text,
    complain,
    counted,
    output,
    print_json,
    quiet_pipe,
    safe,
    table,
)
from coordinator.cli.leave_out import run_without
from coordinator.cli.sleeves import sleeves_told
from coordinator.log.errors import LogError
from coordinator.log.open import open_reader
from coordinator.log.url import LOG_HELP
from coordinator.quality.explain import NEGLIGIBLE
from coordinator.quality.reasons import ExplainError, explain_decision
from coordinator.quality.unused import REASONS, either
from replay.errors import ReplayError
from schemas.registry import SchemaError

if TYPE_CHECKING:
    from coordinator.quality.explain import Change, Explanation
    from schemas.decisions import LimitUse

__all__ = ["add_parser", "render", "run"]

_SIGNALS, _CHANGES, _CONFLICTS, _LIMITS, _PUSHERS, _MOVED = 10, 8, 4, 4, 3, 8
_SHOWN = 5e-7
"""What is not rounded to nothing, to a hundredth of a basis point."""
_OPINION = "opinion"
"""Name of the force that is the signals' own."""
_BESIDE = 70
"""Columns that stand beside a signal's id in its table."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `explain` to the commands."""
    parser = commands.add_parser(
        "explain",
        help="why a decision came out as it did",
        description="Tells one decision and its reasons: signals and what became of them, "
        "conflicts, limits, trades.",
    )
    parser.add_argument(
        "decision_id", metavar="DECISION_ID", nargs="?", help='for example "balanced:12"'
    )
    parser.add_argument("--log", required=True, metavar="LOG", help=LOG_HELP)
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")
    parser.add_argument(
        "--without-sources", nargs="*", metavar="SOURCE",
        help="instead: decide again without each of these sources (with space or commas between "
        "them), or without each that was heard, and tell what that changes; needs the build that "
        "decided; give it behind the decision",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the decision; 1 when the log has none of that name, 2 when none is named."""
    if args.decision_id is None:
        hint = (
            ""
            if not args.without_sources
            else " before --without-sources, which takes all behind it"
        )
        complain(f"say which decision{hint}")
        return USAGE
    try:
        if args.without_sources is not None:
            with quiet_pipe():
                return run_without(args)
        with quiet_pipe(), closing(open_reader(args.log)) as reader:
            explanation = explain_decision(reader, args.decision_id)
            if args.json:
                print_json(explanation)
            else:
                render(explanation, output())
    except (ExplainError, LogError, ReplayError, SchemaError) as error:
        complain(error)
        return FAILED
    return OK


def render(told: Explanation, console: Console) -> None:
    """Print the explanation for a person; the longest lists are cut, and say so."""
    longest = max((len(one.signal) for one in told.signals[:_SIGNALS]), default=0)
    if not console.is_terminal:
        console.width = max(console.width, longest + _BESIDE)
    whole = longest + _BESIDE <= console.width
    signals = _signals(told, whole=whole)
    console.print(
        Group(*_head(told), *signals, *_conflicts(told), *_limits(told), *_changes(told)),
        *_balance(told),
        *sleeves_told(told.sleeves),
        *_foot(told),
        sep="\n",
    )


def _head(told: Explanation) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("decision ", "bold"), safe(told.decision_id, "bold cyan"),
        f"  {clock_text(told.decided_at)}  mode ", safe(told.mode), f"  NAV {told.nav:,.2f}",
        f"  horizon {told.horizon_sessions:g} sessions",
        "" if told.trigger is None else f"  trigger {told.trigger}",
        f"  priority {told.priority:.2f}",
        "" if told.mandate_version is None else f"  mandate {told.mandate_version}",
    )  # fmt: skip
    if told.priority_parts:
        parts = (f"{name} {part:.2f}" for name, part in told.priority_parts)
        yield Text.assemble(("priority of ", "dim"), ", ".join(parts))
    for one in told.moved[:_MOVED]:
        since = "" if one.since is None else f" since {clock_text(one.since)}"
        rule = "" if one.rule is None else f": {one.rule}"
        yield Text.assemble(
            ("moved ", "dim"), safe(one.name), f" x{one.multiplier:g}{since}", safe(rule)
        )
    yield from _more(len(told.moved), _MOVED)
    if told.quality is not None:
        parts = (f"{name} {part:.2f}" for name, part in told.quality_parts)
        yield Text.assemble(f"quality {told.quality:.2f} ", ("of ", "dim"), ", ".join(parts))


def _signals(told: Explanation, *, whole: bool) -> Iterator[RenderableType]:
    """whole: the ids fit on a line, so that no other column may make them fold."""
    yield _title(f"Signals used: {len(told.signals)}, dropped: {len(told.signals_dropped)}")
    rows = table(
        "signal", "instrument", "verdict", "score", "skill", "opinion", "part", "priority",
        right=("score", "skill", "opinion", "part", "priority"),
    )  # fmt: skip
    rows.columns[0].no_wrap = whole
    for one in told.signals[:_SIGNALS]:
        rows.add_row(
            safe(one.signal), safe(one.instrument), safe(one.verdict, _COLOURS[one.verdict]),
            f"{one.score:+.2f}", f"{one.skill:+.3f}", _percent(one.own), _bps(one.utility),
            f"{one.priority:.2f}",
        )  # fmt: skip
    yield rows
    yield from _more(len(told.signals), _SIGNALS)
    if told.signals_dropped:
        why = f"dropped ({either(*REASONS)}): "
        yield Text.assemble(why, _listed(told.signals_dropped))
    yield Text(
        f"parts together {_bps(told.contributions)} (prior {_bps(told.prior_utility)}) "
        f"= expected return {_bps(told.after.expected_return)} over the horizon"
    )


def _conflicts(told: Explanation) -> Iterator[RenderableType]:
    yield _title(f"Conflicts: {told.conflicts_found}")
    views = {one.signal: one.view for one in told.signals}
    for one in told.conflicts[:_CONFLICTS]:
        yield Text.assemble(
            (f"{one.kind.value} ", "yellow"), f"severity {one.severity:.2f}  ",
            _listed(one.instruments), ": ", _sides(one.signals, views), " -> ",
            safe(one.resolution),
        )  # fmt: skip
    yield from _more(told.conflicts_found, min(_CONFLICTS, len(told.conflicts)))


def _sides(signals: tuple[str, ...], views: Mapping[str, float]) -> Text:
    """Who expects it to rise and who to fall. views: by signal; one that is not there has none."""
    up = [one for one in signals if views.get(one, 0.0) > 0.0]
    down = [one for one in signals if views.get(one, 0.0) < 0.0]
    rest = [one for one in signals if not views.get(one)]
    named = (("up ", up), ("down ", down), ("", rest))
    return Text("; ").join(Text.assemble(word, _listed(side)) for word, side in named if side)


def _limits(told: Explanation) -> Iterator[RenderableType]:
    at_zero = [one for one in told.binding if _is_at_zero(one)]
    shaping = [one for one in told.binding if not _is_at_zero(one)]
    short = f", and {counted(len(at_zero), 'name')} that may not go below zero" if at_zero else ""
    yield _title(f"Binding limits: {len(shaping)}{short}")
    if shaping:
        right = ("used", "bound", "gain per 1% more")
        rows = table("limit", "of", *right, "kind", right=right)
        shown = [*filter(_matters, shaping)]
        shown += [one for one in shaping if not _matters(one)][:_LIMITS]
        for one in shown:
            rows.add_row(
                safe(one.limit), safe(one.instrument or one.about or ""), _percent(one.used),
                _percent(one.bound), _bps(one.shadow_price / 100), _kind(one),
            )  # fmt: skip
        yield rows
        yield from _more(len(shaping), len(shown))
    watched = [one for one in told.watched if one.used != one.bound]
    if watched:
        room = (
            " ".join(part for part in (one.limit, one.instrument, one.about) if part)
            + f" {_percent(one.used)} (bound {_percent(one.bound)})"
            for one in watched
        )
        yield Text.assemble(("with room: ", "dim"), _listed(tuple(room)))


def _matters(one: LimitUse) -> bool:
    """Whether it gave way, is broken, or forbids a name: such a line is never cut off."""
    return one.given > 0.0 or one.limit == "restricted"


def _is_at_zero(one: LimitUse) -> bool:
    """Whether it only keeps a name that is not held from being sold short."""
    return one.instrument is not None and one.used == one.bound == 0.0 and not _matters(one)


def _kind(one: LimitUse) -> str:
    """Whether it may give way, and by how much it did."""
    kind = "hard" if one.priority is None else f"soft, priority {one.priority}"
    if not one.given:
        return kind
    word = "broken by" if one.priority is None else "gave way by"
    return f"{kind}, {word} {_percent(one.given)}"


def _changes(told: Explanation) -> Iterator[RenderableType]:
    trades = sum(1 for one in told.changes if one.trade is not None)
    yield _title(
        f"Before and after: {counted(trades, 'trade')}, turnover {_percent(told.turnover)}, "
        f"expected cost {_bps(told.cost)}{_costs(told)}"
    )
    rows = table(
        "instrument", "before", "wanted", "after", "trade", "at", "urgency", "opinion",
        right=("before", "wanted", "after", "trade", "at", "urgency", "opinion"),
    )  # fmt: skip
    for one in told.changes[:_CHANGES]:
        rows.add_row(*_change(one))
    yield rows
    yield from _more(len(told.changes), _CHANGES)
    totals = table("portfolio", "gross", "net", "cash", "volatility", "positions",
                   right=("gross", "net", "cash", "volatility", "positions"))  # fmt: skip
    for name, side in (("before", told.before), ("after", told.after)):
        totals.add_row(
            name, _percent(side.gross), _percent(side.net), _percent(side.cash),
            _percent(side.volatility), str(side.positions),
        )  # fmt: skip
    yield totals


def _costs(told: Explanation) -> str:
    """What there is of impact and of holding."""
    impact = f" (impact {_bps(told.cost_impact)})" if told.cost_impact else ""
    return f"{impact}, holding {_bps(told.cost_holding)}" if told.cost_holding else impact


def _balance(told: Explanation) -> Iterator[RenderableType]:
    """Who pushed each change and what held against it, gain per unit of weight bought."""
    known = [one for one in told.changes if one.residual is not None]
    if not known:
        return
    # Where nothing changes, what held everything is what there is to tell.
    known = [one for one in known if _changed(one)] or known
    largest = max(abs(one.residual or 0.0) for one in known)
    yield _title(f"What pulled, for all of NAV bought: adds up to 0 within {largest:.1g}")
    for one in known[:_CHANGES]:
        opinion = sum(pull for name, pull in one.forces if name == _OPINION)
        whose = _voices(one, opinion)
        others = [f"{name} {_bps(pull)}" for name, pull in one.forces if name != _OPINION]
        yield Text.assemble(
            safe(one.instrument, "bold"), f"  opinion {_bps(opinion)}",
            *((" (", Text("; ").join(whose), ")") if whose else ()),
            "; ", _listed(others) if others else "nothing else",
        )  # fmt: skip
    yield from _more(len(known), _CHANGES)


def _voices(one: Change, opinion: float) -> tuple[Text, ...]:
    """Whose opinion it is: of signals on the name itself, and what others make of it.

    Those are opinions on names that move with it, and what is held true without anybody.
    """
    own = [f"{use.signal} {_bps(use.own)}" for use in one.opinions]
    rest = opinion - sum(use.own for use in one.opinions)
    beside = (Text(f"from other names {_bps(rest)}"),) if abs(rest) >= _SHOWN else ()
    return (*((_listed(own, _PUSHERS),) if own else ()), *beside)


def _changed(one: Change) -> bool:
    return one.trade is not None or abs(one.wanted - one.before) > NEGLIGIBLE


def _change(one: Change) -> tuple[RenderableType, ...]:
    trade = "" if one.trade is None else f"{one.trade:+,f}"
    return (
        safe(one.instrument), _percent(one.before), _percent(one.wanted), _percent(one.after),
        trade, f"{one.price:g}", "" if one.urgency is None else f"{one.urgency:.2f}",
        _percent(one.expected_return),
    )  # fmt: skip


def _foot(told: Explanation) -> Iterator[RenderableType]:
    solver, identity, place = told.solver, told.identity, told.place
    yield _title("Solver and proof")
    yield Text.assemble(
        f"rung {solver.rung.value}  ", safe(solver.solver), " ", safe(solver.status),
        f"  {solver.iterations} iterations  objective {_bps(solver.objective)}"
        f"  lots cost {_bps(solver.objective_continuous - solver.objective)}"
        f"  violation {solver.violation:.1g} (before {solver.violation_before:.1g})",
    )  # fmt: skip
    for remark in solver.remarks:
        yield Text.assemble("remark: ", safe(remark))
    yield Text(
        f"shard {place.shard}  journal position {place.position}.{place.ordinal}  seq {place.seq}"
    )
    yield _label("decision", place.content)
    yield _label("entry", place.entry)
    for name in type(identity).model_fields:
        yield _label(name.replace("_", " "), getattr(identity, name))
    yield Text(
        "more: --without-sources here, coordinator impact --decision, coordinator frontier",
        style="dim",
    )


_COLOURS = {"followed": "green", "outvoted": "yellow", "limited": "magenta", "dropped": "dim"}


def _label(name: str, value: str) -> Text:
    return Text.assemble(f"{name:<16}", safe(value))


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _listed(names: Iterable[str], most: int = 6) -> Text:
    every = tuple(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return safe(", ".join(every[:most]) + rest)


def _more(total: int, shown: int) -> Iterator[Text]:
    if total > shown:
        yield Text(f"... and {total - shown} more (--json has what is recorded)", style="dim")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:z.2f}%"


def _bps(fraction: float) -> str:
    return f"{10_000 * fraction:z.2f}bp"

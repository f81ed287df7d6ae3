"""The page that people read of the conflict rules side by side.

Place in the flow: `conflict_rules` has the figures, this lays them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.played import OURS
from tests.bench.rule_figures import ALLOCATED, DIRECT, JUDGED, TABLES, UNTUNED, UNTUNED_TWICE

__all__ = ["page"]

PERCENT = 100.0
HEADS = {
    "net_sharpe": "net Sharpe",
    "gross_sharpe": "gross Sharpe",
    "worth": "worth a year",
    "turnover": "turnover a session",
    "cost": "cost a year",
    "drawdown": "largest drawdown",
}
SHARPES = ("net_sharpe", "gross_sharpe")
WHAT = {ALLOCATED: "size of the opinions", DIRECT: "gross exposure"}
TOLD = """\
{seeds} seeds of {names} names, {sessions} sessions from 2016 on; levels chosen on 2014 and 2015 by
{tuning} other seeds. In a cell: the mean over seeds; ± half the width of its 95 % interval over
seeds; in brackets the middle 95 % of {draws} draws of blocks of {block} sessions. Won, drawn and
lost are of ours, where both intervals of the paired difference say so. What the columns mean,
and what this does not show: [README](../README.md#conflict-rules-side-by-side).
"""
CHANCE = """\
{trials} trials: the best of as many without skill would show a net Sharpe ratio of {most:.2f}.
"""
OWN = "The agents' own books, each trade a session late, at the same fees and spread:"
AGENTS = """\
{sessions} sessions, one history: a Sharpe ratio has a standard error of about {error:.1f} there. In
brackets: blocks of {block} sessions.
"""


def page(figures: Mapping[str, Any]) -> str:
    """Everything, losses included."""
    tables = figures["tables"]
    head = TOLD.format(
        seeds=figures["seeds"], names=figures["names"], tuning=figures["tuning_seeds"],
        sessions=tables["sessions"], draws=tables["draws"], block=tables["block"],
    )  # fmt: skip
    lines = [
        "# Conflict rules side by side, after costs",
        "",
        head,
        *_summary("net_sharpe", tables[ALLOCATED]),
        *_summary("worth", tables[ALLOCATED]),
        *[f"- {case}: {told}" for case, told in figures["cases"].items()],
        "",
    ]
    for table in TABLES:
        lines += _table(table, tables[table])
    return "\n".join([*lines, *_agents(figures["agents"]), ""])


def _summary(name: str, cases: Mapping[str, Any]) -> Iterator[str]:
    """Ours above each rule by one measure."""
    others = [rule for rule in next(iter(cases.values())) if rule != OURS]
    yield from (f"## In short: ours above each rule, {HEADS[name]}", "")
    yield from _head("case", OURS, *(f"above {rule}" for rule in others))
    for case, rules in cases.items():
        cells = [
            f"**{rules[rule]['ours'][name]}** {_cell(name, rules[rule]['ours_above'][name], '+')}"
            for rule in others
        ]
        yield _row(case, _cell(name, rules[OURS][name]), *cells)
    yield ""


def _table(table: str, cases: Mapping[str, Any]) -> list[str]:
    lines = [f"## Weights {table}", ""]
    above = [f"ours above it, {HEADS[name]}" for name in JUDGED]
    adds = [f"allocator adds, {HEADS[name]}" for name in JUDGED] if table == DIRECT else []
    for case, rules in cases.items():
        one = rules[OURS]["deflated"]
        lines += [
            f"### {case}",
            "",
            CHANCE.format(trials=one["trials"], most=one["most_by_chance"]),
            *_head("rule", WHAT[table], *HEADS.values(), "deflated", *above, *adds),
        ]
        for rule, figures in rules.items():
            cells = [_level(figures, rule), *(_cell(name, figures[name]) for name in HEADS)]
            cells += [_deflated(figures["deflated"]), *_judged(figures, "ours_above", "ours")]
            if adds:
                cells += _judged(figures, "allocator_adds", "allocator")
            lines.append(_row(rule, *cells))
        lines.append("")
    return lines


def _deflated(one: Mapping[str, Any]) -> str:
    return f"{one['probability']:.2f} ({one['sure']:.0%} sure)"


def _judged(figures: Mapping[str, Any], gains: str, verdicts: str) -> list[str]:
    """Differences and what they come to; nothing beside itself."""
    if gains not in figures:
        return [""] * len(JUDGED)
    return [
        f"{_cell(name, figures[gains][name], '+')} {figures[verdicts][name]}" for name in JUDGED
    ]


def _level(figures: Mapping[str, Any], rule: str) -> str:
    return "as it ships" if rule in (UNTUNED, UNTUNED_TWICE) else f"{figures['level']:g}"


def _above(figures: Mapping[str, Any]) -> str:
    return _cell("net_sharpe", figures["ours_above"]["net_sharpe"], "+")


def _cell(name: str, one: Mapping[str, Any], sign: str = "") -> str:
    plain = name in SHARPES
    scale, form, unit = (1.0, ".2f", "") if plain else (PERCENT, ".1f", " %")
    low, high = (f"{scale * bound:{sign}{form}}" for bound in one["blocks"])
    half = "" if one["half_width"] is None else f" ± {scale * one['half_width']:{form}}"
    return f"{scale * one['mean']:{sign}{form}}{half} [{low}, {high}]{unit}"


def _head(*cells: str) -> list[str]:
    return [_row(*cells), "|" + " --- |" * len(cells)]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _agents(figures: Mapping[str, Any]) -> list[str]:
    """The recorded agents, who prove nothing."""
    lines = [
        "## The recorded agents: no claim",
        "",
        AGENTS.format(
            sessions=figures["sessions"], error=figures["sharpe_error"], block=figures["block"]
        ),
        *_head("rule", *HEADS.values(), "ours above it"),
    ]
    for rule, one in figures["rules"].items():
        cells = [_cell(name, one[name]) for name in HEADS]
        lines.append(_row(rule, *cells, "" if rule == OURS else _above(one)))
    lines += [
        "",
        "The agents' own books, each trade a session late, at the same fees and spread:",
        "",
    ]
    lines += _head("agent", "Sharpe", "return", "largest drawdown")
    for name, one in figures["agents"].items():
        ratio, gain, fall = one["sharpe"], one["return"], one["drawdown"]
        lines.append(_row(name, f"{ratio:.2f}", f"{gain:.1%}", f"{fall:.1%}"))
    return lines

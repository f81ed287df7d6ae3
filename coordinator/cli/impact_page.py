"""The impact of trades as tables that a person reads on one screen.

Place in the flow: drawn by `coordinator impact` from what was measured. It must never show a name
unescaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest

from rich.console import Console, RenderableType
from rich.text import Text

from coordinator.cli.console import clock_text, counted, safe, table
from coordinator.quality.impact import Analysis, LimitLine, NameLine, Side
from schemas.market import MARKET_FACTOR

__all__ = ["render"]

_NAMES, _SECTORS, _LIMITS, _FACTORS = 10, 12, 12, 8
_ASKED = {
    "trades": "of the trades asked about",
    "engine": "of what would be decided now",
    "decision": "of decision ",
}
_Figure = tuple[str, Callable[[Side], str]]


def render(told: Analysis, position: int, time: int, console: Console) -> None:
    """Print the impact for a person; the longest lists are cut, and say so."""
    console.print(Text(f"position {position} of the journal, {clock_text(time)}"))
    for part in (_head, _figures, _losses, _exposures, _limits, _names, _foot):
        for one in part(told):
            console.print(one)


def _head(told: Analysis) -> Iterator[RenderableType]:
    yield Text.assemble(
        ("impact ", "bold"), _ASKED[told.question], safe(told.decision_id or "", "bold cyan"),
        " on ", safe(told.portfolio, "bold cyan"), f"  {clock_text(told.at)}  mode ",
        safe(told.mode), f"  NAV {told.nav:,.2f} ", safe(told.currency),
        f"  horizon {told.horizon:g} sessions",
    )  # fmt: skip
    trades = sum(1 for one in told.names if one.quantity)
    yield Text(
        f"{counted(trades, 'trade')}  turnover {_percent(told.turnover)}"
        f"  cost {_bps(told.cost + told.impact_cost)}"
        f" ({(told.cost + told.impact_cost) * told.nav:,.2f}) = linear {_bps(told.cost)}"
        f" + impact {_bps(told.impact_cost)} (coefficient {told.coefficient:g})"
        f"  worth after costs and risk {_bps(told.gain)}"
    )


def _figures(told: Analysis) -> Iterator[RenderableType]:
    """Two columns of figures beside each other."""
    over = f"({told.horizon:g} sessions)"
    left: list[_Figure] = [
        (f"expected return {over}", lambda side: _bps(side.expected_return)),
        (f"volatility {over}", lambda side: _percent(side.volatility)),
        ("volatility a year", lambda side: _percent(side.volatility_year)),
        ("gross", lambda side: _percent(side.gross)),
        ("net", lambda side: _percent(side.net)),
        ("cash", lambda side: _percent(side.cash)),
    ]
    right: list[_Figure] = [
        ("positions", lambda side: str(side.positions)),
        ("effective names", lambda side: _number(side.effective_names)),
        ("effective bets", lambda side: _number(side.effective_bets)),
        ("diversification ratio", lambda side: _number(side.diversification_ratio)),
        ("sessions to sell, by value", lambda side: _sessions(side.days_to_sell)),
        ("sessions to sell the slowest", lambda side: _sessions(side.days_to_sell_max)),
    ]
    rows = table("", "before", "after", "  ", "", "before", "after", right=("before", "after"))
    empty: _Figure = ("", lambda _: "")
    for (one, of_one), (other, of_other) in zip_longest(left, right, fillvalue=empty):
        values = (of_one(told.before), of_one(told.after))
        rows.add_row(one, *values, "", other, of_other(told.before), of_other(told.after))
    yield rows


def _losses(told: Analysis) -> Iterator[RenderableType]:
    """Value at risk and shortfall, of a normal distribution and of what was."""
    yield Text(f"\nLosses, normal and as in {told.sessions} past sessions", style="bold")
    columns = ("normal VaR", "shortfall", "past VaR", "past shortfall")
    rows = table("level", "over", *columns, right=columns)
    for before, after in zip(told.before.tails, told.after.tails, strict=True):
        for over, names in (("1 session", _SESSION), (f"{told.horizon:g} sessions", _HORIZON)):
            pairs = ((getattr(before, name), getattr(after, name)) for name in names)
            cells = (f"{_percent(one)} -> {_percent(other)}" for one, other in pairs)
            rows.add_row(f"{before.level:.0%}", over, *cells)
    yield rows
    if any(one.var_past is None for one in told.after.tails):
        yield Text("past ones unknown: too few sessions are known of what is held", style="dim")


_SESSION = ("var", "shortfall", "var_past", "shortfall_past")
_HORIZON = ("var_horizon", "shortfall_horizon", "var_past_horizon", "shortfall_past_horizon")


def _exposures(told: Analysis) -> Iterator[RenderableType]:
    sides = [{one.sector: one for one in side.sectors} for side in (told.before, told.after)]
    names = sorted({*sides[0], *sides[1]}, key=lambda name: (name is None, name or ""))
    if names:
        rows = table("sector", "long", "short", "net", right=("long", "short", "net"))
        for name in names[:_SECTORS]:
            pairs = [(one.long, one.short) if one else (0.0, 0.0)
                     for one in (side.get(name) for side in sides)]  # fmt: skip
            columns = zip(*((long, short, long + short) for long, short in pairs), strict=True)
            cells = (f"{_percent(one)} -> {_percent(other)}" for one, other in columns)
            rows.add_row(safe(name or "unknown"), *cells)
        yield Text()
        yield rows
        yield from _more(len(names), _SECTORS)
    pairs_of = zip(told.before.factors, told.after.factors, strict=True)
    ordered = sorted(pairs_of, key=lambda pair: (pair[0].factor != MARKET_FACTOR, pair[0].factor))
    words = (f"{one.factor} {one.exposure:z.2f} -> {two.exposure:z.2f}" for one, two in ordered)
    rest = f", and {len(ordered) - _FACTORS} more" if len(ordered) > _FACTORS else ""
    yield Text.assemble(("factors: ", "bold"), safe(", ".join([*words][:_FACTORS]) + rest))


def _limits(told: Analysis) -> Iterator[RenderableType]:
    broken = [one for one in told.limits if one.given_after > 0.0]
    mended = len(told.limits) - len(broken)
    words = f"Limits broken after, whichever open orders fill: {len(broken)}"
    words += f", mended: {mended}" if mended else ""
    yield Text(f"\n{words}", style="bold red" if broken else "bold")
    if not told.limits:
        return
    right = ("bound", "before", "after", "broken by")
    rows = table("limit", "of", *right, "kind", right=right)
    for one in sorted(told.limits, key=lambda one: one.given_after <= 0.0)[:_LIMITS]:
        rows.add_row(
            safe(one.limit), safe(one.about or ""), _of_limit(one, one.bound),
            _of_limit(one, one.used_before), _of_limit(one, one.used_after),
            f"{_given(one, one.given_before)} -> {_given(one, one.given_after)}",
            "hard" if one.priority is None else f"soft, priority {one.priority}",
        )  # fmt: skip
    yield rows
    yield from _more(len(told.limits), _LIMITS)


def _of_limit(one: LimitLine, number: float) -> str:
    """Exposures to factors are no fractions of NAV."""
    return f"{number:z.3f}" if one.limit == "factors" else _percent(number)


def _given(one: LimitLine, number: float) -> str:
    """Small breaches are no less breaches."""
    if one.limit == "factors":
        return f"{number:.3g}"
    # Three digits, but never as a power of ten.
    return f"{100 * number:,.0f}%" if abs(number) >= 1.0 else f"{100 * number:.3g}%"


def _names(told: Analysis) -> Iterator[RenderableType]:
    if not told.names:
        yield Text("\nholds nothing and trades nothing")
        return
    right = ("trade", "before", "after", "marginal", "of risk", "risk added", "of volume",
             "sessions", "cost")  # fmt: skip
    rows = table("instrument", *right, right=right)
    for one in told.names[:_NAMES]:
        rows.add_row(*_name(one))
    yield Text()
    yield rows
    yield from _more(len(told.names), _NAMES)


def _name(one: NameLine) -> tuple[RenderableType, ...]:
    traded = bool(one.quantity)
    return (
        safe(one.instrument),
        f"{one.quantity:+,f}" if traded else "",
        _percent(one.weight_before),
        _percent(one.weight_after),
        f"{one.marginal_after:z.4f}",
        f"{one.share_after:z.1%}",
        _bps(one.risk_added) if traded else "",
        "" if one.volume_share is None else f"{one.volume_share:.2%}",
        _sessions(one.days_after),
        _bps(one.cost + one.impact_cost) if traded else "",
    )


def _foot(told: Analysis) -> Iterator[RenderableType]:
    added = told.after.volatility - told.before.volatility
    yield Text(
        f"the trades change the volatility by {_bps(added)} over the horizon; sessions to sell: at"
        f" {told.participation:.0%} of the volume"
    )
    if told.volumes_unknown:
        names = ", ".join(told.volumes_unknown[:_NAMES])
        yield Text.assemble(
            (f"volume unknown of {len(told.volumes_unknown)}: ", "yellow"), safe(names)
        )
    for remark in told.remarks:
        yield Text.assemble(("remark: ", "dim"), safe(remark))


def _more(total: int, shown: int) -> Iterator[Text]:
    if total > shown:
        yield Text(f"... and {total - shown} more (--json shows all)", style="dim")


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:z.2f}%"


def _bps(fraction: float) -> str:
    return f"{10_000 * fraction:z.2f}bp"


def _sessions(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}" if value < 1.0 else f"{value:,.1f}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:z.2f}"

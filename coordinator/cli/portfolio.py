"""`coordinator portfolio`: how a portfolio stands, or stood at any position of its log.

Place in the flow: folds the log up to the moment, measures, shows. It must never show a name
unescaped: names come from files of other people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from pydantic import ValidationError
from rich.console import Console, RenderableType
from rich.text import Text

from coordinator.cli.console import (
    FAILED,
    OK,
    clock_text,
    complain,
    output,
    print_json,
    safe,
    table,
)
from coordinator.cli.mandates import show_mandates
from coordinator.cli.moments import add_moment, portfolio_there, shown
from coordinator.log.open import open_reader
from replay.standing import Standing as Stood

if TYPE_CHECKING:
    from coordinator.quality.standing import Standing
    from replay.scores import LateScores

__all__ = ["add_parser", "render", "run"]

_HOLDINGS = 20


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `portfolio` to the commands."""
    parser = commands.add_parser(
        "portfolio",
        help="how a portfolio stands: positions, cash, gains, exposure, risk",
        description="Shows positions, cash, gains, exposure, risk and liquidity of a portfolio as "
        "the log has it at a moment. Nothing is decided again.",
    )
    parser.add_argument("name", metavar="NAME", help="the portfolio")
    add_moment(parser)
    parser.add_argument(
        "--participation", type=_share, default=0.1, metavar="SHARE",
        help="of a session's volume that is sold at most (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--mandates", action="store_true",
        help="instead: the versions of its mandate, when each came and what it changed",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the portfolio; 1 when there is none of that name."""
    if args.mandates:
        return show_mandates(args)
    return shown(args, args.name, lambda stood: _show(stood, args))


def _show(stood: Stood, args: argparse.Namespace) -> int:
    from coordinator.bootstrap import risk_model  # noqa: PLC0415 - a wrong option must not wait for it
    from coordinator.quality.standing import measure  # noqa: PLC0415 - nor for the numeric libraries

    portfolio = portfolio_there(stood, args)
    if portfolio is None:
        return FAILED
    try:
        told = measure(stood.state, portfolio, risk_model(), participation=args.participation)
    except ValidationError:
        complain(f"{args.name!r} is worth more than an event can hold: its figures are absurd")
        return FAILED
    scored = _scores(stood, args)
    if args.json:
        where = {"position": stood.position, "journal_time": stood.time}
        told_of = {"since": stood.since, "count": stood.rejected_count, "first": stood.rejected}
        print_json({**where, "standing": told, "quality": scored, "rejected": told_of})
        return OK
    where_text = f"position {stood.position} of the journal, {clock_text(stood.time)}"
    output().print(Text(where_text))
    render(told, output())
    if scored is not None:
        output().print(_quality(scored))
    _refused(stood, output())
    return OK


def _scores(stood: Stood, args: argparse.Namespace) -> LateScores | None:
    """Of its late decisions, up to the moment that is shown."""
    from replay.scores import late_scores  # noqa: PLC0415 - as above

    with closing(open_reader(args.log)) as reader:
        return late_scores(reader, stood.state.shard, args.name, position=stood.position)


def _quality(scored: LateScores) -> Text:
    parts = ", ".join(f"{name} {mean:.2f}" for name, mean in scored.parts)
    return Text(f"quality {scored.score:.2f}, mean of {scored.count} late decisions: {parts}")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError("must lie above 0 and at most at 1")
    return share


def render(told: Standing, console: Console) -> None:
    """Print the standing for a person; the longest list is cut, and says so."""
    parts = (
        _head(told), _money(told), _accounts(told), _holdings(told), _strategies(told),
        _risk(told), _model(told),
    )  # fmt: skip
    for part in parts:
        for one in part:
            console.print(one)


def _refused(stood: Stood, console: Console) -> None:
    """Inputs about the portfolio that changed nothing: what somebody misses may stand there."""
    if not stood.rejected:
        return
    first = stood.rejected[0]
    since = f", since position {stood.since}" if stood.since else ""
    console.print(
        Text.assemble(
            (f"rejected inputs about it: {stood.rejected_count}{since}", "red"), "; the first: ",
            safe(f"{first.event} {first.event_id}: {first.reason.value}, {first.detail}"),
        )
    )  # fmt: skip


def _head(told: Standing) -> Iterator[RenderableType]:
    view = told.view
    yield Text.assemble(
        ("portfolio ", "bold"), safe(told.portfolio, "bold cyan"),
        f"  {clock_text(view.decided_at)}  {told.standing}  mode ", safe(told.mode),
        f"  NAV {view.nav:,.2f} ", safe(told.currency),
        f"  rounds {told.rounds}  fills {view.fills}  mandate {view.mandate_version}",
    )  # fmt: skip
    if told.moved:
        moved = ", ".join(f"{name} x{by:g}" for name, by in told.moved)
        yield Text.assemble(("multipliers in force: ", "yellow"), safe(moved))
    if view.unpriced:
        names = ", ".join(view.unpriced)
        yield Text.assemble(("without a price or a rate: ", "red"), safe(names))


def _money(told: Standing) -> Iterator[RenderableType]:
    view, gains = told.view, told.gains
    parts = (("settled", view.settled), ("reserved", view.reserved), ("available", view.available))
    yield Text(f"cash {view.cash:,.2f}  " + "  ".join(f"{n} {a:,.2f}" for n, a in parts))
    yield Text(
        f"gain {gains.gain:+z,.2f} on {gains.invested:,.2f} = realised {gains.realised:+z,.2f}"
        f"  unrealised {gains.unrealised:+z,.2f}  income {gains.income:+z,.2f}"
        f"  charges {-gains.charges:+z,.2f}  corrected {gains.corrected:+z,.2f}"
        f"  currencies {gains.currencies:+z,.2f}"
    )


def _accounts(told: Standing) -> Iterator[RenderableType]:
    if len(told.view.accounts) < 2:  # noqa: PLR2004 - one account is what stands above
        return
    columns = ("cash", "cost", "paid in", "realised", "income", "charges", "exchanged")
    rows = table("account", *columns, right=columns)
    for one in told.view.accounts:
        sums = (one.cash, one.cost, one.paid_in, one.realised, one.income, one.charges)
        rows.add_row(safe(one.currency), *(f"{amount:,.2f}" for amount in (*sums, one.exchanged)))
    yield rows


def _holdings(told: Standing) -> Iterator[RenderableType]:
    if not told.holdings:
        yield Text("holds nothing")
        return
    right = (
        "quantity", "average cost", "price", "value", "weight", "unrealised", "of risk",
        "sessions to sell",
    )  # fmt: skip
    rows = table("instrument", *right, right=right)
    largest = sorted(told.holdings, key=lambda one: (-abs(one.weight), one.instrument))
    for one in largest[:_HOLDINGS]:
        rows.add_row(
            safe(one.instrument), f"{one.quantity:,f}", f"{one.average_cost:,.4f}",
            "none" if one.price is None else f"{one.price:,.4f}", f"{one.value:,.2f}",
            f"{one.weight:z.2%}", "" if one.unrealised is None else f"{one.unrealised:+z,.2f}",
            f"{one.risk_share:z.1%}",
            "" if one.sessions_to_sell is None else f"{one.sessions_to_sell:.2f}",
        )  # fmt: skip
    yield rows
    if len(told.holdings) > _HOLDINGS:
        yield Text(f"and {len(told.holdings) - _HOLDINGS} more (--json shows all)")
    for trade in told.open_trades[:_HOLDINGS]:
        yield Text.assemble("open: ", safe(trade.instrument), f" {trade.quantity:+,f}")


def _strategies(told: Standing) -> Iterator[RenderableType]:
    """The books of strategies, the largest first, and the house's."""
    if not told.strategies:
        return
    right = ("size", "holds", "gross", "net", "gain", "credit", "traded")
    rows = table("strategy", *right, right=right)
    *books, house = told.strategies
    largest = sorted(books, key=lambda one: (-one.gross, one.strategy))[:_HOLDINGS]
    for one in (*largest, house):
        rows.add_row(
            safe(one.strategy), "" if one.size is None else f"{one.size:.3%}", str(one.holdings),
            f"{one.gross:.2%}", f"{one.net:z.2%}", f"{one.gain:+z,.2f}", f"{one.credit:,.2f}",
            f"{one.traded:,.2f}" if one.size is not None else "",
        )  # fmt: skip
    yield rows
    if len(books) > _HOLDINGS:
        yield Text(f"and {len(books) - _HOLDINGS} more strategies (--json shows all)")


def _risk(told: Standing) -> Iterator[RenderableType]:
    risk, view = told.risk, told.view
    yield Text(
        f"gross {view.gross:.2%}  net {view.net:z.2%}  concentration {view.concentration:.3f}"
        f"  turnover so far {told.turnover:.1%} of present NAV  drawdown {view.drawdown:.2%}"
        f" (deepest {view.drawdown_max:.2%})"
    )
    if view.sectors:
        sectors = (
            f"{one.sector or 'unknown'} {one.long:z.1%}"
            + (f" / {one.short:z.1%}" if one.short else "")
            for one in view.sectors
        )
        yield Text.assemble("sectors: ", safe(", ".join(sectors)))
    if told.factors:
        factors = (f"{one.factor} {one.exposure:+z.2f}" for one in told.factors)
        yield Text.assemble("factors: ", safe(", ".join(factors)))
    yield Text(
        f"volatility {risk.volatility:.2%} a session, {risk.volatility_year:.1%} a year"
        f"  95 % value at risk {risk.var:.2%}, shortfall {risk.shortfall:.2%}"
        f"  in {risk.sessions} past sessions {_percent(risk.var_historical)},"
        f" {_percent(risk.shortfall_historical)}"
    )
    speed = told.sessions_to_sell
    yield Text(
        f"beta {'unknown' if risk.beta is None else f'{risk.beta:.2f}'}"
        f"  to sell all at {told.participation:.0%} of the volume: "
        + ("unknown" if speed is None else f"{speed:.2f} sessions")
    )


def _model(told: Standing) -> Iterator[RenderableType]:
    """The risk model behind the figures: its age, its condition and its bias."""
    model = told.model
    if model.condition is not None or model.published is not None:
        factors = "" if model.factors is None else f", {model.factors} factors"
        age = "no return yet" if model.age is None else f"newest return {model.age} sessions old"
        condition = "unknown" if model.condition is None else f"{model.condition:,.0f}"
        yield Text(
            f"risk model {model.model}{factors}: {age}, {model.sessions} sessions in the window"
            f" ({model.observations:.0f} tell as much, {_percent(model.known)} of returns known)"
            f"  shrinkage {model.shrinkage:.1%}  condition {condition}"
        )
    if model.published is not None:
        kept = model.published
        yield Text.assemble(
            "published risk model ", safe(kept.name),
            f": {kept.age:g} sessions old, {'used' if kept.used else 'not used'}"
            f", speaks of {kept.covers} of {len(told.holdings)} held",
        )  # fmt: skip
    if model.bias is not None:
        bias = model.bias
        yield Text(
            f"risk bias {bias.bias:.2f} (realised over forecast volatility; 95 % interval"
            f" {bias.low:.2f} to {bias.high:.2f}, {bias.count} sessions)"
        )
    elif model.forecasts:
        yield Text(f"risk bias unknown: {model.forecasts} sessions are too few")


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"

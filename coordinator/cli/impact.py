"""`coordinator impact`: what trades would make of a portfolio, or a decision did.

Place in the flow: folds the log up to the moment, measures, shows. Nothing is recorded. It must
never show a name unescaped: names come from files of other people.
"""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from coordinator.cli.console import FAILED, OK, USAGE, complain, output, print_json
from coordinator.cli.moments import add_moment, in_log, portfolio_there, shown

if TYPE_CHECKING:
    from coordinator.core.ports import LogReader
    from coordinator.quality.impact import Analysis
    from replay.impact import Order
    from replay.standing import Standing

__all__ = ["add_parser", "run"]

WEIGHT_MAX = 100
"""Times NAV, as a mandate's bounds."""
UNITS_MAX = Decimal("1e15")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `impact` to the commands."""
    parser = commands.add_parser(
        "impact",
        help="what trades would make of a portfolio's risk, exposure and liquidity",
        description="Shows a portfolio before and after trades: the trades that are given, those "
        "of a recorded decision, or without either those that the engine would decide now. Nothing "
        "is recorded.",
    )
    parser.add_argument("name", metavar="PORTFOLIO", nargs="?", help="the portfolio")
    parser.add_argument(
        "--trade", dest="orders", action="append", type=_trade, default=[],
        metavar="INSTRUMENT=AMOUNT",
        help="buy (or with - sell) so many units, or with %% so much of NAV; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--target", dest="orders", action="append", type=_target, metavar="INSTRUMENT=AMOUNT",
        help="hold so many units, or with %% so much of NAV, once all is filled; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--decision", metavar="DECISION_ID",
        help='instead of a portfolio: a recorded decision, for example "balanced:12"',
    )  # fmt: skip
    add_moment(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the impact; 1 when there is none of that name, 2 when too much is asked."""
    if args.decision is not None:
        for given, what in ((args.name, "a portfolio"), (args.orders, "trades"), (args.at, "--at")):
            if given:
                complain(f"--decision says which portfolio, trades and moment: leave out {what}")
                return USAGE
        return _of_decision(args)
    if args.name is None:
        complain("say which portfolio, or which decision with --decision")
        return USAGE
    return shown(args, args.name, lambda stood: _of_portfolio(stood, args))


def _of_portfolio(stood: Standing, args: argparse.Namespace) -> int:
    from replay.impact import asked, would_decide  # noqa: PLC0415 - a wrong option must not wait for the solver

    portfolio = portfolio_there(stood, args)
    if portfolio is None:
        return FAILED
    if args.orders:
        told = asked(stood.state, portfolio, args.orders)
    else:
        told = would_decide(stood.state, portfolio)
    return _show(told, stood.position, stood.time, args)


def _of_decision(args: argparse.Namespace) -> int:
    from coordinator.quality.reasons import ExplainError, explain_decision  # noqa: PLC0415 - nor for this
    from replay.impact import of_decision  # noqa: PLC0415 - nor for the solver

    def ask(reader: LogReader) -> int:
        try:
            explained = explain_decision(reader, args.decision)
        except ExplainError as error:
            complain(error)
            return FAILED
        place = explained.place
        return _show(of_decision(reader, explained), place.position, place.journal_time, args)

    return in_log(args, ask)


def _show(told: Analysis, position: int, time: int, args: argparse.Namespace) -> int:
    from coordinator.cli.impact_page import render  # noqa: PLC0415 - nor for what draws

    if args.json:
        print_json({"position": position, "journal_time": time, "impact": told})
    else:
        render(told, position, time, output())
    return OK


def _trade(text: str) -> Order:
    return _order(text, is_target=False)


def _target(text: str) -> Order:
    return _order(text, is_target=True)


def _order(text: str, *, is_target: bool) -> Order:
    """As somebody types it: A=100 or A=-2.5%; a name may have a = in it."""
    from replay.impact import Order  # noqa: PLC0415 - only who gives trades waits for the solver

    name, _, amount = text.rpartition("=")
    is_weight = amount.endswith("%")
    if not name or not amount:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not INSTRUMENT=AMOUNT, such as A=100 or A=2%"
        )
    try:
        number = Decimal(amount.removesuffix("%").strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise argparse.ArgumentTypeError(f"{amount!r} is no number of units and no percentage")
    most = Decimal(WEIGHT_MAX * 100) if is_weight else UNITS_MAX
    # First by its digits: decimals of any exponent can be written, but not reckoned with.
    if number.is_finite() and (number.adjusted() > most.adjusted() or abs(number) > most):
        raise argparse.ArgumentTypeError(f"{amount!r} lies beyond {most:,f}{'%' * is_weight}")
    if not is_target and not number:
        raise argparse.ArgumentTypeError(f"{text!r} trades nothing")
    return Order(name, number / 100 if is_weight else number, is_weight, is_target)

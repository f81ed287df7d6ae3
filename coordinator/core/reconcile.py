"""Reconcile: a custodian's report held against the books, as they stood when it was counted.

Place in the flow: asked by `intake` whether a report can be judged at all, and by `announce` for
what it makes the engine say; `evolve` then does what the portfolio's policy says. Nothing is
overwritten: every difference is an event. Reads the state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from coordinator.core.accounts import EXACT, ZERO, cut, exact
from coordinator.core.clock import MILLISECOND
from coordinator.core.movements import Movements
from coordinator.core.state import Portfolio, State
from schemas.base import OutputEvent
from schemas.books import PortfolioReconciled, ReconciliationDiffered
from schemas.portfolios import PositionsReported
from schemas.verdicts import AlertRaised, InputRejection

__all__ = ["OPENED", "report_fault", "report_said"]

OPENED = "opened"
"""Policy of the first report of an empty book: there is nothing yet that it could contradict."""
_NAMED_MAX = 10


def report_fault(state: State, event: PositionsReported) -> tuple[InputRejection, str] | None:
    """Why a report cannot be judged, with the figures."""
    names = [line.instrument for line in event.positions]
    unknown = [name for name in names if state.market.listed(name) is None]
    if unknown:
        return InputRejection.UNKNOWN_INSTRUMENT, ", ".join(sorted(unknown)[:_NAMED_MAX])
    said = [balance.currency for balance in event.balances]
    if event.cash is not None:
        said.append(state.portfolios[event.portfolio].currency)
    for one in (names, said):
        if len(set(one)) < len(one):
            return InputRejection.CONTRADICTORY, "something stands there twice"
    if event.as_of > state.clock + state.parameters.clock_skew_ms_max * MILLISECOND:
        return InputRejection.FUTURE, ""
    if event.as_of < _movements(state, event.portfolio).forgotten_at:
        return InputRejection.STALE, "what was booked since is not all remembered"
    return _split_since(state, event) or _opening_fault(state, event)


def _split_since(state: State, event: PositionsReported) -> tuple[InputRejection, str] | None:
    """Units counted before a split say nothing of today's without its terms: count anew."""
    held = state.portfolios[event.portfolio].positions
    for name in sorted(held.keys() | {line.instrument for line in event.positions}):
        if state.market.instruments[name].split_at > event.as_of:
            return InputRejection.STALE, f"{name} was split since it was counted"
    return None


def _opening_fault(state: State, event: PositionsReported) -> tuple[InputRejection, str] | None:
    """What opens a book must be worth something, or what it is worth later would be a gain."""
    portfolio = state.portfolios[event.portfolio]
    if not _is_untouched(portfolio):
        return None
    for line in event.positions:
        if line.quantity and not _price(state, line.instrument, line.price):
            return InputRejection.INCOMPLETE, f"{line.instrument} has no price: give one"
    currencies = {state.market.instruments[line.instrument].currency for line in event.positions}
    for currency in sorted(currencies | {balance.currency for balance in event.balances}):
        if state.market.rate(currency, portfolio.currency) is None:
            own = portfolio.currency
            return InputRejection.INCOMPLETE, f"no exchange rate leads from {currency} to {own}"
    return None


def report_said(state: State, event: PositionsReported) -> list[OutputEvent]:
    """Every difference with what is done about it, and how many there are."""
    portfolio = state.portfolios[event.portfolio]
    policy = OPENED if _is_untouched(portfolio) else portfolio.reports
    units, agreed = _units(state, portfolio, event, policy)
    cash, agreed_cash = _cash(state, portfolio, event, policy)
    said: list[OutputEvent] = [*units, *cash]
    if said and policy == "stop":
        said.append(_alert(state, event, len(said)))
    said.append(
        PortfolioReconciled(
            decided_at=state.clock,
            portfolio=event.portfolio,
            report_id=event.event_id,
            as_of=event.as_of,
            agreed=agreed + agreed_cash,
            differed=len(units) + len(cash),
        )
    )
    return said


def _is_untouched(portfolio: Portfolio) -> bool:
    return not (portfolio.fills or portfolio.positions or portfolio.reported)


def _movements(state: State, portfolio: str) -> Movements:
    return state.movements.get(portfolio) or Movements()


def _units(
    state: State, portfolio: Portfolio, event: PositionsReported, policy: str
) -> tuple[list[ReconciliationDiffered], int]:
    """Differences in units by instrument, and how many instruments agree."""
    folded = _movements(state, portfolio.name).units_at(event.as_of, portfolio.positions)
    lines = {line.instrument: line for line in event.positions}
    found = []
    names = sorted(folded.keys() | lines.keys())
    for name in names:
        line = lines.get(name)
        ours, theirs = folded.get(name, ZERO), ZERO if line is None else line.quantity
        if ours == theirs:
            continue
        price = None if line is None else line.price
        found.append(
            ReconciliationDiffered(
                decided_at=state.clock,
                portfolio=portfolio.name,
                instrument=name,
                folded=ours,
                reported=theirs,
                policy=policy,
                report_id=event.event_id,
                price=_price(state, name, price) if policy in (OPENED, "trust_report") else None,
            )
        )
    return found, len(names) - len(found)


def _price(state: State, instrument: str, told: Decimal | None) -> Decimal:
    """What a difference is booked at: the report's price, the last one, or nothing."""
    last = state.market.price_of(instrument)
    return told or (ZERO if last is None else cut(exact(last)))


def _cash(
    state: State, portfolio: Portfolio, event: PositionsReported, policy: str
) -> tuple[list[ReconciliationDiffered], int]:
    """Differences in money by currency, and how many currencies agree."""
    told = [] if event.cash is None else [(portfolio.currency, event.cash)]
    told += [(balance.currency, balance.amount) for balance in event.balances]
    found = list(_cash_differences(state, portfolio, event, policy, told))
    return found, len(told) - len(found)


def _cash_differences(
    state: State,
    portfolio: Portfolio,
    event: PositionsReported,
    policy: str,
    told: list[tuple[str, Decimal]],
) -> Iterator[ReconciliationDiffered]:
    movements = _movements(state, portfolio.name)
    for currency, theirs in told:
        account = portfolio.accounts.get(currency)
        now = ZERO if account is None else account.cash
        ours = movements.cash_at(event.as_of, currency, now)
        if abs(float(EXACT.subtract(ours, theirs))) > state.parameters.cash_tolerance:
            yield ReconciliationDiffered(
                decided_at=state.clock,
                portfolio=portfolio.name,
                currency=currency,
                folded=cut(ours),
                reported=theirs,
                policy=policy,
                report_id=event.event_id,
            )


def _alert(state: State, event: PositionsReported, differences: int) -> AlertRaised:
    told = f"positions report {event.event_id} differs from the books in {differences} lines:"
    return AlertRaised(
        decided_at=state.clock,
        severity="critical",
        portfolio=event.portfolio,
        message=f"{told} decides nothing until it is resumed",
    )

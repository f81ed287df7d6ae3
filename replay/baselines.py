"""What a run is compared with: agents' own books, the same one session late, the market held.

Place in the flow: made from the same prices as a run's log, shown beside its portfolios in tables
and reports. It never sees the engine or its decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replay.ledger import Curve, Ledger
from replay.pricing import InstrumentTerms, exact, execution_price
from schemas.portfolios import Costs

__all__ = [
    "AGENT",
    "AGENT_LATE",
    "BENCHMARK",
    "Baselines",
    "Execution",
    "Session",
    "buy_and_hold",
    "own_book",
]

AGENT = "agent, as recorded"
AGENT_LATE = "agent, next open"
BENCHMARK = "benchmark"
_BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session's prices by instrument, money. closes: empty where it has not closed yet.

    opened_at, closed_at: ns UTC.
    """

    opened_at: int
    closed_at: int
    opens: Mapping[str, float]
    closes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Execution:
    """A trade at one session's open. session: its index; quantity: bought positive, units."""

    session: int
    instrument: str
    quantity: float


@dataclass(frozen=True, slots=True)
class Baselines:
    """Curves beside the portfolios', and a sentence on how they were made."""

    curves: tuple[Curve, ...]
    note: str


def own_book(
    name: str,
    executions: Iterable[Execution],
    sessions: Sequence[Session],
    *,
    cash: float,
    late: bool,
    costs: Costs,
    terms: InstrumentTerms,
) -> Curve:
    """A book that trades at opens: as given, or with late each trade at the next session's open.

    A trade whose next session is not there is left out. Late cash may go slightly below zero
    where prices rose overnight: it is lent without interest.
    """
    ledger = Ledger(name, AGENT_LATE if late else AGENT, cash, sessions[0].opened_at)
    due: dict[int, list[Execution]] = {}
    for execution in executions:
        due.setdefault(execution.session + late, []).append(execution)
    for index, session in enumerate(sessions):
        for execution in due.get(index, ()):
            mid = session.opens[execution.instrument]
            _trade(ledger, execution.instrument, execution.quantity, mid, costs, terms)
        _close(ledger, session)
    return ledger.curve()


def buy_and_hold(
    name: str,
    weights: Mapping[str, float],
    sessions: Sequence[Session],
    *,
    bought: int,
    cash: float,
    costs: Costs,
    terms: InstrumentTerms,
) -> Curve:
    """All cash into weights, scaled to 1, at one open in any fraction of a unit; no more.

    bought: the session of that open: not before what it is compared with could be filled.
    """
    ledger = Ledger(name, BENCHMARK, cash, sessions[0].opened_at)
    for index, session in enumerate(sessions):
        if index == bought:
            _buy(ledger, weights, session.opens, costs, terms)
        _close(ledger, session)
    return ledger.curve()


def _buy(
    ledger: Ledger,
    weights: Mapping[str, float],
    opens: Mapping[str, float],
    costs: Costs,
    terms: InstrumentTerms,
) -> None:
    cash, total = ledger.cash, sum(weights.values())
    for instrument in sorted(weights):
        price = _price(opens[instrument], 1.0, costs, terms)
        quantity = cash * weights[instrument] / total / (price * (1.0 + costs.fee_bps * _BPS))
        _trade(ledger, instrument, quantity, opens[instrument], costs, terms)


def _trade(
    ledger: Ledger,
    instrument: str,
    quantity: float,
    mid: float,
    costs: Costs,
    terms: InstrumentTerms,
) -> None:
    """Book a trade at what the simulated market would have asked, without its price limits."""
    price = _price(mid, quantity, costs, terms)
    bps = costs.fee_bps + (costs.sell_tax_bps if quantity < 0 else 0.0)
    fee = abs(quantity) * price * bps * _BPS
    ledger.execute(instrument, quantity, price, fee=fee, mid=mid)


def _price(mid: float, quantity: float, costs: Costs, terms: InstrumentTerms) -> float:
    buying = quantity > 0
    return float(execution_price(exact(mid), buying=buying, costs=costs, terms=terms, close=None))


def _close(ledger: Ledger, session: Session) -> None:
    """Mark at the close; at the open where the session has not closed."""
    if session.closes:
        ledger.mark(session.closed_at, session.closes)
    else:
        ledger.mark(session.opened_at, session.opens)

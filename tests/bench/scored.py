"""One seed's decisions, scored by the engine when they were made, and what then came of them.

Place in the flow: `quality` measures what comes out. The journal of `played` goes on: every case
has a portfolio that may go short and a small one that may not, each decides on what its sources
say, and what it decides is filled at the next opens with the costs that its decision counted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from coordinator.core.ports import Floats
from coordinator.core.state import Portfolio
from schemas.base import InputEvent
from schemas.control import CoordinationPaused, CoordinationResumed, Parameters
from schemas.decisions import AllocationDecided, QualityScored
from schemas.entries import decode_output, opening
from schemas.journal import ClockTicked
from schemas.market import PricesObserved
from schemas.orders import OrderFilled
from schemas.portfolios import Mandate, PortfolioOpened
from tests.bench.alphas import HORIZON
from tests.bench.journals import SECOND
from tests.bench.played import EVERY, FIRST, SPEAK, Player, Spoken, at_clock
from tests.bench.residuals import Prices

__all__ = ["Decided", "scored"]

MODES = ("aggressive", "balanced", "conservative")
BPS = 1e-4
_TOLD = opening(AllocationDecided, QualityScored)


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. session: after whose close it was made; realised: net utility, see `realised`.

    parts: of its score, by name, sorted.
    """

    portfolio: str
    session: int
    realised: float
    parts: tuple[float, ...]


def _is_told(output: bytes) -> bool:
    return output.startswith(_TOLD)


class Decider(Player):
    """Portfolios that decide whenever their sources have spoken."""

    def __init__(self, prices: Prices, spoken: Spoken, parameters: Parameters) -> None:
        self.made: dict[str, AllocationDecided] = {}
        self.scores: dict[str, QualityScored] = {}
        super().__init__(prices, spoken, parameters)

    def tell(self, event: InputEvent, at: int) -> None:
        """Into the engine, and what it decided is kept."""
        self.journal.add(event, at)
        for record in self.journal.take():
            for output in filter(_is_told, self.engine.step(record)):
                said = decode_output(output).event
                if isinstance(said, AllocationDecided):
                    self.made[said.portfolio] = said
                elif isinstance(said, QualityScored):
                    self.scores[said.portfolio] = said
        if isinstance(event, PricesObserved) and event.kind == "open":
            opens = {
                name: price or 0.0
                for name, price in zip(event.instruments, event.price, strict=True)
            }
            for portfolio in [*self.engine.state.portfolios.values()]:
                for fill in _fills(portfolio, opens, at + SECOND):
                    self.tell(fill, at + SECOND)

    def opening(self, at: int, parameters: Parameters) -> Iterator[InputEvent]:
        """As in the experiment, with two portfolios of each case in its one's place."""
        number = 0
        for event in super().opening(at, parameters):
            if not isinstance(event, PortfolioOpened):
                yield event
                continue
            heard = event.mandate.sources
            wide = Mandate(
                sources=heard, horizon_sessions=float(HORIZON), position_min=-0.1,
                position_max=0.1, gross_max=2.0,
            )  # fmt: skip
            small = Mandate(
                sources=heard, horizon_sessions=float(HORIZON), position_max=0.1,
                turnover_max=0.2, trade_min=0.005,
            )  # fmt: skip
            for kind, mandate, cash in (("small", small, 100_000), ("wide", wide, 10_000_000)):
                name, mode = f"{event.portfolio} {kind}", MODES[number % len(MODES)]
                number += 1
                yield PortfolioOpened(
                    event_id=name, event_time=at, portfolio=name, currency="USD",
                    cash=Decimal(cash), mandate=mandate, mode=mode,
                )  # fmt: skip

        yield CoordinationPaused(event_id="stop", event_time=at)

    def decide(self, session: int) -> None:
        """The sources speak, and everybody decides: at no other time, whatever prices break."""
        self.speak(session)
        self.made.clear()
        self.scores.clear()
        at = at_clock(self.prices.days[session], SPEAK) + SECOND
        self.tell(CoordinationResumed(event_id=f"go-{session}", event_time=at), at)
        at += SECOND
        self.tell(ClockTicked(event_id=f"tick-{session}", event_time=at), at)
        self.tell(CoordinationPaused(event_id=f"stop-{session}", event_time=at), at)


def _fills(portfolio: Portfolio, opens: dict[str, float], at: int) -> list[OrderFilled]:
    costs = portfolio.costs
    share = (costs.fee_bps + costs.half_spread_bps) * BPS
    return [
        OrderFilled(
            event_id=f"fill-{trade.trade_id}",
            event_time=at,
            portfolio=portfolio.name,
            instrument=trade.instrument,
            trade_id=trade.trade_id,
            quantity=trade.quantity,
            price=Decimal(repr(round(opens[trade.instrument], 4))),
            fee=Decimal(
                repr(round(abs(float(trade.quantity)) * opens[trade.instrument] * share, 2))
            ),
        )
        for trade in portfolio.open_trades.values()
    ]


def realised(decision: AllocationDecided, came: dict[str, float], *, aversion: float) -> float:
    """Net utility that a decision's trades brought beside not trading, fraction of NAV.

    came: return of each name from the next open over the horizon. What the traded weights then
    earned, less the costs of trading, less half the risk aversion times what the trades added to
    the variance that was forecast.
    """
    earned = sum(trade.weight * came[trade.instrument] for trade in decision.trades)
    risk = decision.after.volatility**2 - decision.before.volatility**2
    return earned - decision.cost - aversion / 2.0 * risk


def scored(prices: Prices, spoken: Spoken, *, parameters: Parameters) -> Iterator[Decided]:
    """Every decision of every portfolio whose outcome lies within the prices."""
    player = Decider(prices, spoken, parameters)
    last = len(prices.days) - 1 - HORIZON
    for session in range(last):
        player.session(session)
        if session < FIRST or session % EVERY:
            continue
        player.decide(session)
        came = prices.opens[session + 1 + HORIZON] / prices.opens[session + 1] - 1.0
        yield from _judged(player, session, came)


def _judged(player: Decider, session: int, came: Floats) -> Iterator[Decided]:
    by_name = dict(zip(player.prices.names, came.tolist(), strict=True))
    for name, decision in sorted(player.made.items()):
        aversion = player.engine.state.portfolios[name].risk_aversion
        yield Decided(
            name,
            session,
            realised(decision, by_name, aversion=aversion),
            tuple(part for _, part in player.scores[name].parts),
        )

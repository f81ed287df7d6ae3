"""The simulated market: when it fills, at what price, and what it refuses."""

from __future__ import annotations

from decimal import Decimal

import pytest

from replay.market import SIMULATED, SimulatedMarket
from schemas.books import HoldingChanged
from schemas.decisions import AllocationDecided, TradesExpired
from schemas.entries import JournalEntry, encode_journal
from schemas.mandates import PositionBound, SoftLimit
from schemas.market import (
    CorporateActionAnnounced,
    InstrumentDelisted,
    InstrumentHalted,
    InstrumentListed,
    PricesObserved,
    RatesObserved,
)
from schemas.orders import OrderCancelled, OrderFilled, OrderPartlyFilled
from schemas.portfolios import CashMoved, Costs, Mandate, MandateChanged, PortfolioOpened
from tests.unit.replay.planted import allocation, trade

FREE = Costs(fee_bps=0.0, sell_tax_bps=0.0, half_spread_bps=0.0)
DECIDED = 100


def opened(
    cash: str = "100000", costs: Costs = FREE, mandate: Mandate | None = None, name: str = "p"
) -> PortfolioOpened:
    return PortfolioOpened(
        event_id=f"open-{name}", event_time=0, portfolio=name, currency="EUR",
        cash=Decimal(cash), costs=costs, mandate=mandate or Mandate(),
    )  # fmt: skip


def listed(
    name: str = "A", lot: str = "1", tick: str = "0.01", limit: float | None = None
) -> InstrumentListed:
    return InstrumentListed(
        event_id=f"list-{name}", event_time=0, instrument=name, lot=Decimal(lot),
        tick=Decimal(tick), currency="EUR", price_limit=limit,
    )  # fmt: skip


def prices(kind: str, at: int, close: bool = False, **price: float | None) -> PricesObserved:
    return PricesObserved(
        event_id=f"{kind}-{at}", event_time=at, kind=kind,  # type: ignore[arg-type] # a literal, by name
        instruments=tuple(price), price=tuple(price.values()), session_close=close,
    )  # fmt: skip


def decided(*trades: tuple[str, str], at: int = DECIDED, portfolio: str = "p") -> AllocationDecided:
    made = [
        trade(instrument, quantity, trade_id=f"{portfolio}:{at}:{instrument}")
        for instrument, quantity in trades
    ]
    return allocation(portfolio, decided_at=at, trades=tuple(made))


def market(*events: object, at: int = 0) -> SimulatedMarket:
    made = SimulatedMarket()
    for event in events or (opened(), listed("A"), listed("B")):
        made.see(event, at)  # type: ignore[arg-type] # planted events only
    return made


def said(answers: list[JournalEntry]) -> list[str]:
    out = []
    for answer in answers:
        event = answer.event
        if isinstance(event, OrderFilled | OrderPartlyFilled):
            out.append(
                f"{type(event).__name__} {event.instrument} {event.quantity:f}@{event.price:f}"
            )
        else:
            assert isinstance(event, OrderCancelled)
            out.append(f"{type(event).__name__} {event.instrument} {event.reason}")
    return out


def test_what_is_decided_at_the_close_is_filled_at_the_next_open_and_once() -> None:
    sim = market()
    sim.hear(decided(("A", "10")))
    assert sim.see(prices("bar", DECIDED, A=10.0, close=True), DECIDED) == []
    assert said(sim.see(prices("open", 120, A=11.0), 120)) == ["OrderFilled A 10@11"]
    assert sim.see(prices("open", 130, A=12.0), 130) == []


def test_a_price_as_old_as_the_decision_fills_nothing() -> None:
    sim = market()
    sim.hear(decided(("A", "10")))
    assert sim.see(prices("open", DECIDED, A=9.0), DECIDED) == []
    assert said(sim.see(prices("open", DECIDED + 1, A=9.0), DECIDED + 1)) == ["OrderFilled A 10@9"]


@pytest.mark.parametrize("kind", ["open", "bar", "quote"])
def test_what_is_decided_during_a_session_is_filled_at_its_next_price(kind: str) -> None:
    sim = market()
    sim.see(prices("open", 50, A=8.0, B=5.0), 50)
    sim.hear(decided(("A", "10"), ("B", "10")))
    assert said(sim.see(prices(kind, 110, A=9.0), 110)) == ["OrderFilled A 10@9"]


def test_prices_are_half_a_spread_worse_and_rounded_to_the_tick_against_us() -> None:
    costs = Costs(fee_bps=10.0, sell_tax_bps=5.0, half_spread_bps=3.0)
    sim = market(opened(costs=costs), listed("A", tick="0.05"))
    sim.hear(decided(("A", "100")))
    (bought,) = sim.see(prices("open", 110, A=10.0), 110)
    assert isinstance(bought.event, OrderFilled)
    assert (bought.event.price, bought.event.fee) == (Decimal("10.05"), Decimal("1.005"))
    sim.hear(decided(("A", "-100"), at=120))
    (sold,) = sim.see(prices("open", 130, A=10.0), 130)
    assert isinstance(sold.event, OrderFilled)
    # 9.997 falls to the tick below; fee and tax together are 15 bps of 995.
    assert (sold.event.price, sold.event.fee) == (Decimal("9.95"), Decimal("1.4925"))


def test_no_buy_at_the_upper_limit_and_no_sale_at_the_lower() -> None:
    sim = market(opened(), listed("A", limit=0.1), listed("B", limit=0.1))
    sim.hear(decided(("B", "10"), at=1))
    sim.see(prices("open", 5, B=10.0), 5)
    sim.see(prices("bar", 90, A=10.0, B=10.0, close=True), 90)
    sim.hear(decided(("A", "10"), ("B", "-10")))
    assert sim.see(prices("open", 110, A=11.0, B=9.0), 110) == []
    assert said(sim.see(prices("open", 120, A=10.99, B=9.01), 120)) == [
        "OrderFilled B -10@9.01",
        "OrderFilled A 10@10.99",
    ]


def test_the_spread_never_carries_a_price_beyond_the_limit() -> None:
    sim = market(opened(costs=Costs(half_spread_bps=50.0, fee_bps=0.0)), listed("A", limit=0.1))
    sim.see(prices("bar", 90, A=10.0, close=True), 90)
    sim.hear(decided(("A", "10")))
    assert said(sim.see(prices("open", 110, A=10.99), 110)) == ["OrderFilled A 10@11"]


def test_what_is_halted_or_without_a_price_waits() -> None:
    sim = market()
    sim.hear(decided(("A", "10"), ("B", "10")))
    halt = InstrumentHalted(event_id="h", event_time=105, instrument="A")
    sim.see(halt, 105)
    assert sim.see(prices("open", 110, A=9.0, B=None), 110) == []
    sim.see(halt.model_copy(update={"event_id": "r", "halted": False}), 115)
    assert len(sim.see(prices("open", 120, A=9.0, B=9.0), 120)) == 2


def test_expired_trades_are_not_filled() -> None:
    sim = market()
    sim.hear(decided(("A", "10")))
    sim.hear(
        TradesExpired(
            decided_at=105, portfolio="p", decision_id="p:1", trade_ids=("p:100:A", "unknown")
        )
    )
    assert sim.see(prices("open", 110, A=9.0), 110) == []


def test_a_buy_that_cash_does_not_cover_is_cut_to_whole_lots() -> None:
    sim = market(
        opened(cash="1050", costs=Costs(fee_bps=10.0, half_spread_bps=0.0)), listed("A", "10")
    )
    sim.hear(decided(("A", "200")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == [
        "OrderPartlyFilled A 100@10",
        "OrderCancelled A cash does not cover the rest",
    ]


def test_a_buy_that_cash_covers_exactly_is_filled_whole() -> None:
    sim = market(
        opened(cash="1001", costs=Costs(fee_bps=10.0, half_spread_bps=0.0)), listed("A", "10")
    )
    sim.hear(decided(("A", "100")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == ["OrderFilled A 100@10"]


def test_a_buy_that_cash_covers_no_lot_of_is_cancelled() -> None:
    sim = market(opened(cash="50"), listed("A", "10"))
    sim.hear(decided(("A", "20")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == [
        "OrderCancelled A cash does not cover the rest"
    ]


def test_a_mandate_that_may_borrow_buys_beyond_its_cash() -> None:
    mandate = Mandate(cash_floor=-1.0, gross_max=2.0)
    sim = market(opened(cash="50", mandate=mandate), listed("A"))
    sim.hear(allocation("p", decided_at=100, nav="1000", trades=(trade("A", "20", trade_id="x"),)))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == ["OrderFilled A 20@10"]


def test_a_soft_cash_floor_may_give_way_in_the_market_too() -> None:
    mandate = Mandate(gross_max=2.0, soft=(SoftLimit(limit="cash_floor", priority=1),))
    sim = market(opened(cash="50", mandate=mandate), listed("A"))
    sim.hear(allocation("p", decided_at=100, nav="1000", trades=(trade("A", "20", trade_id="x"),)))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == ["OrderFilled A 20@10"]


def test_sales_pay_for_the_purchases_of_the_same_moment() -> None:
    sim = market(opened(cash="100"), listed("A"), listed("B"))
    sim.hear(decided(("B", "10"), at=10))
    sim.see(prices("open", 20, B=10.0), 20)
    sim.hear(decided(("A", "10"), ("B", "-10")))
    assert said(sim.see(prices("open", 110, A=10.0, B=10.0), 110)) == [
        "OrderFilled B -10@10",
        "OrderFilled A 10@10",
    ]


def test_a_long_only_portfolio_never_sells_more_than_it_holds() -> None:
    sim = market()
    sim.hear(decided(("A", "5"), at=10))
    sim.see(prices("open", 20, A=10.0), 20)
    sim.hear(decided(("A", "-8"), ("B", "-1")))
    assert said(sim.see(prices("open", 110, A=10.0, B=1.0), 110)) == [
        "OrderPartlyFilled A -5@10",
        "OrderCancelled A more than is held",
        "OrderCancelled B more than is held",
    ]


def test_a_mandate_with_shorts_sells_what_it_does_not_hold() -> None:
    sim = market(opened(), listed("A"))
    sim.see(
        MandateChanged(
            event_id="m", event_time=1, portfolio="p", mandate=Mandate(position_min=-0.5)
        ), 1,
    )  # fmt: skip
    sim.hear(decided(("A", "-8")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == ["OrderFilled A -8@10"]


@pytest.mark.parametrize(
    "mandate",
    [
        Mandate(positions=(PositionBound(instrument="A", min=-0.5),)),
        Mandate(soft=(SoftLimit(limit="position_min", priority=1),)),
        Mandate(
            positions=(PositionBound(instrument="A", min=0.0),),
            soft=(SoftLimit(limit="positions", priority=1),),
        ),
    ],
)
def test_shorts_may_be_allowed_in_one_name_or_by_a_limit_that_gives_way(mandate: Mandate) -> None:
    sim = market(opened(mandate=mandate), listed("A"))
    sim.hear(decided(("A", "-8")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == ["OrderFilled A -8@10"]
    assert not Mandate(positions=(PositionBound(instrument="A", min=-0.5),)).may_short("B")


def test_trades_in_a_delisted_instrument_are_cancelled() -> None:
    sim = market()
    sim.hear(decided(("A", "5"), ("B", "5")))
    gone = InstrumentDelisted(event_id="d", event_time=105, instrument="A")
    assert said(sim.see(gone, 105)) == ["OrderCancelled A delisted"]


def test_money_moved_can_be_spent() -> None:
    sim = market(opened(cash="0"), listed("A"))
    moved = CashMoved(event_id="c", event_time=1, portfolio="p", amount=Decimal(50), currency="EUR")
    sim.see(moved, 1)
    sim.hear(decided(("A", "10")))
    assert said(sim.see(prices("open", 110, A=10.0), 110))[0] == "OrderPartlyFilled A 5@10"


def test_a_late_snapshot_of_prices_from_before_the_decision_fills_nothing() -> None:
    sim = market()
    sim.hear(decided(("A", "10")))
    assert sim.see(prices("open", 99, A=9.0), 110) == []


def test_late_prices_do_not_take_the_place_of_newer_ones() -> None:
    sim = market(opened(), listed("A", limit=0.1), listed("B"))
    sim.see(prices("bar", 50, close=True, A=10.0, B=1.0), 50)
    sim.see(prices("quote", 40, A=5.0), 60)
    sim.see(prices("bar", 70, close=True, B=1.0), 70)
    sim.see(prices("bar", 45, close=True, A=5.0), 80)
    sim.hear(decided(("A", "10")))
    [answer] = sim.see(prices("quote", 110, A=10.5), 110)
    assert isinstance(answer.event, OrderFilled)


def test_a_portfolios_fills_are_the_same_bytes_whoever_shares_its_shard() -> None:
    def run(*names: str) -> list[bytes]:
        sim = market(*(opened(name=name) for name in names), listed("A"))
        for name in names:
            sim.hear(decided(("A", "10"), portfolio=name))
        answers = sim.see(prices("open", 110, A=9.0), 110)
        return [
            encode_journal(one.stamp, one.event)
            for one in answers
            if one.event.portfolio == "p"  # type: ignore[attr-defined] # order events only
        ]

    alone = run("p")
    assert alone == run("a", "p", "z")
    assert SIMULATED.encode() in alone[0]
    assert len(alone) == 1


def test_offsets_of_a_portfolio_rise_without_gaps() -> None:
    sim = market()
    sim.hear(decided(("A", "5"), ("B", "5")))
    answers = sim.see(prices("open", 110, A=1.0, B=1.0), 110)
    assert [one.stamp.offset for one in answers] == [0, 1]
    assert len({one.stamp.partition for one in answers}) == 1
    assert len({one.event.event_id for one in answers}) == 2  # type: ignore[attr-defined] # inputs


def rate(name: str, value: float) -> RatesObserved:
    return RatesObserved(event_id=f"{name}-{value}", event_time=0, name=name, rate=value)


def test_another_currency_is_paid_for_at_the_last_rate_and_only_as_far_as_money_goes() -> None:
    abroad = listed("A").model_copy(update={"currency": "USD"})
    sim = market(opened("1000"), abroad, rate("USD/EUR", 2.0))
    sim.hear(decided(("A", "60")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == [
        "OrderPartlyFilled A 50@10",
        "OrderCancelled A cash does not cover the rest",
    ]
    sim.see(rate("USD/EUR", 1.0), 120)  # the debt of 500 USD has halved
    sim.hear(decided(("A", "60"), at=120))
    assert said(sim.see(prices("open", 130, A=10.0), 130))[0] == "OrderPartlyFilled A 50@10"


def test_without_a_rate_nothing_is_bought_abroad() -> None:
    abroad = listed("A").model_copy(update={"currency": "USD"})
    sim = market(opened("1000"), abroad)
    sim.hear(decided(("A", "60")))
    assert said(sim.see(prices("open", 110, A=10.0), 110)) == [
        "OrderCancelled A cash does not cover the rest"
    ]


def changed(kind: str, before: str, after: str, cash: str = "0") -> HoldingChanged:
    return HoldingChanged(
        decided_at=115, portfolio="p", action_id="a", instrument="A", kind=kind,  # type: ignore[arg-type] # a literal, by name
        quantity_before=Decimal(before), quantity=Decimal(after), cash=Decimal(cash),
        currency="EUR",
    )  # fmt: skip


def test_after_a_split_as_much_can_be_sold_as_it_made() -> None:
    sim = market()
    sim.hear(decided(("A", "10")))
    sim.see(prices("open", 110, A=10.0), 110)
    sim.hear(changed("split", "10", "30"))
    sim.hear(decided(("A", "-40"), at=120))
    assert said(sim.see(prices("open", 130, A=4.0), 130)) == [
        "OrderPartlyFilled A -30@4",
        "OrderCancelled A more than is held",
    ]


def test_a_price_limit_is_of_the_close_in_new_units() -> None:
    sim = market(opened(), listed("A", limit=0.1))
    sim.see(prices("bar", 50, A=30.0, close=True), 50)
    split = CorporateActionAnnounced(
        event_id="s", event_time=60, instrument="A", kind="split", effective_at=70,
        ratio=Decimal(3),
    )  # fmt: skip
    sim.see(split, 60)
    sim.hear(decided(("A", "10")))
    assert said(sim.see(prices("open", 110, A=10.5), 110)) == ["OrderFilled A 10@10.5"]

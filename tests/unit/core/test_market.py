"""The market: last prices, windows of returns and volumes, ages; late names and other windows."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.market import Market
from schemas.control import Parameters
from schemas.market import InstrumentListed, PricesObserved
from tests.journals import T0

Prices = dict[str, float | None]


def listed(name: str, **fields: object) -> InstrumentListed:
    terms = {"event_id": name, "event_time": T0, "instrument": name, "lot": "1", "tick": "0"}
    return InstrumentListed.model_validate({**terms, "currency": "USD", **fields})


def seen(prices: Prices, *, close: bool = True, volume: float | None = None) -> PricesObserved:
    return PricesObserved(
        event_id="1",
        event_time=T0,
        kind="bar" if close else "quote",
        instruments=tuple(prices),
        price=tuple(prices.values()),
        volume=None if volume is None else tuple(volume for _ in prices),
        session_close=close,
    )


def market(*names: str, window: int = 4, volume_window: int = 3) -> Market:
    made = Market(window=window, volume_window=volume_window)
    for name in names:
        made.list(listed(name))
    return made


def window(made: Market, *names: str) -> list[list[float]]:
    found: list[list[float]] = made.window(made.columns(names)).round(12).tolist()
    return found


def test_returns_are_from_close_to_close_and_quotes_between_do_not_count() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0}))
    made.observe(seen({"A": 99.0}, close=False))
    assert made.price_of("A") == 99.0
    made.observe(seen({"A": 11.0}))
    assert np.isnan(window(made, "A")[0][0])
    assert window(made, "A")[1:] == [[0.1]]


def test_the_window_keeps_the_newest_sessions_oldest_first() -> None:
    made = market("A", window=3)
    for close in (10.0, 11.0, 11.0, 22.0, 11.0):
        made.observe(seen({"A": close}))
    assert window(made, "A") == [[0.0], [1.0], [-0.5]]


def test_a_session_without_a_price_is_unknown_and_the_next_return_spans_it() -> None:
    made = market("A", "B")
    made.observe(seen({"A": 10.0, "B": 5.0}))
    made.observe(seen({"A": None, "B": 6.0}))
    made.observe(seen({"A": 12.0, "B": 6.0}))
    assert np.isnan(window(made, "A")[1][0])
    assert window(made, "A")[2] == [0.2]
    assert window(made, "B")[1:] == [[0.2], [0.0]]


def test_a_name_listed_later_gets_a_column_of_unknowns() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0}))
    made.list(listed("B"))
    made.observe(seen({"A": 11.0, "B": 3.0}))
    assert made.price_of("B") == 3.0
    assert np.isnan(made.window(made.columns(("A", "B")))[:, 1]).all()


def test_unlisted_names_are_left_out_until_they_are_listed() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0, "X": 1.0}))
    assert (made.unknown(("A", "X")), made.price_of("X")) == (("X",), None)
    made.list(listed("X"))
    made.observe(seen({"A": 10.0, "X": 2.0}))
    assert (made.unknown(("A", "X")), made.price_of("X")) == ((), 2.0)


@pytest.mark.parametrize("sizes", [(2, 1), (3, 2), (9, 9)])
def test_another_window_keeps_the_newest_rows_that_fit(sizes: tuple[int, int]) -> None:
    made = market("A", window=5, volume_window=4)
    for n, close in enumerate((10.0, 11.0, 11.0, 22.0, 11.0, 12.1)):
        made.observe(seen({"A": close}, volume=float(n)))
    before = window(made, "A")
    volumes = sorted(made.volumes[~np.isnan(made.volumes)].tolist())
    made.resize(window=sizes[0], volume_window=sizes[1])
    assert window(made, "A") == before[-sizes[0] :]
    assert sorted(made.volumes[~np.isnan(made.volumes)].tolist()) == volumes[-sizes[1] :]
    made.observe(seen({"A": 24.2}))
    assert window(made, "A") == [*before, [1.0]][-sizes[0] :]


def test_a_name_trades_with_a_fresh_price_unless_halted_or_delisted() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0}))
    instrument = made.instruments["A"]

    def fresh(now: float) -> bool:
        return made.tradable(instrument, session_now=now, age_max=2.0)

    assert (fresh(1.0), fresh(3.0), fresh(4.0)) == (True, True, False)
    instrument.halted = True
    assert not fresh(1.0)
    made.list(listed("A", lot="100"))
    assert made.instruments["A"].halted
    assert made.instruments["A"].lot == 100
    assert market("B").tradable(market("B").instruments["B"], session_now=0.0, age_max=2.0) is False


def test_volatility_starts_at_the_prior_and_moves_to_what_was_seen() -> None:
    made, parameters = market("A", window=50), Parameters(risk_weight_prior=1.0)
    assert made.volatility(parameters)[0] == parameters.risk_volatility_prior
    price = 100.0
    for n in range(41):
        price *= 1.05 if n % 2 else 1 / 1.05
        made.observe(seen({"A": price}))
    assert made.volatility(parameters)[0] == pytest.approx(0.049, abs=2e-3)

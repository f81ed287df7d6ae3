"""The market: last prices, windows of returns; late prices, late names, other windows."""

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


def seen(prices: Prices, at: int = T0, *, close: bool = True) -> PricesObserved:
    return PricesObserved(
        event_id="1",
        event_time=at,
        kind="bar" if close else "quote",
        instruments=tuple(prices),
        price=tuple(prices.values()),
        session_close=close,
    )


def market(*names: str, window: int = 4) -> Market:
    made = Market(window=window)
    for name in names:
        made.list(listed(name))
    return made


def window(made: Market, *names: str) -> list[list[float]]:
    found: list[list[float]] = made.window(made.columns(names)).round(12).tolist()
    return found


def test_returns_are_from_close_to_close_and_quotes_between_do_not_count() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0}, T0))
    assert not made.observe(seen({"A": 99.0}, T0 + 1, close=False))
    assert made.price_of("A") == 99.0
    assert made.observe(seen({"A": 11.0}, T0 + 2))
    assert np.isnan(window(made, "A")[0][0])
    assert window(made, "A")[1:] == [[0.1]]


def test_the_window_keeps_the_newest_sessions_oldest_first() -> None:
    made = market("A", window=3)
    for n, close in enumerate((10.0, 11.0, 11.0, 22.0, 11.0)):
        made.observe(seen({"A": close}, T0 + n))
    assert window(made, "A") == [[0.0], [1.0], [-0.5]]


def test_the_return_over_a_gap_is_of_no_session_and_so_unknown() -> None:
    made = market("A", "B")
    made.observe(seen({"A": 10.0, "B": 5.0}, T0))
    made.observe(seen({"A": None, "B": 6.0}, T0 + 1))
    made.observe(seen({"A": 12.0, "B": 6.0}, T0 + 2))
    made.observe(seen({"A": 15.0}, T0 + 3))
    assert np.isnan(window(made, "A")[:3]).all()
    assert window(made, "A")[3] == [0.25]
    assert window(made, "B")[1:3] == [[0.2], [0.0]]
    assert np.isnan(window(made, "B")[3][0])


def test_a_close_books_what_was_priced_earlier_in_its_session() -> None:
    made = market("A", "B")
    made.observe(seen({"A": 10.0, "B": 5.0}, T0))
    made.observe(seen({"B": 6.0}, T0 + 1, close=False))
    made.observe(seen({"A": 11.0}, T0 + 2))
    assert window(made, "A", "B")[1] == [0.1, 0.2]


def test_a_price_older_than_the_known_one_is_left_out_and_named() -> None:
    made = market("A", "B")
    made.observe(seen({"A": 10.0}, T0 + 5, close=False))
    late = seen({"A": 9.0, "B": 5.0, "X": 1.0}, T0 + 4, close=False)
    assert made.older(late) == ("A",)
    made.observe(late)
    assert (made.price_of("A"), made.price_of("B")) == (10.0, 5.0)
    same = seen({"A": 11.0}, T0 + 5, close=False)
    assert made.older(same) == ()
    made.observe(same)
    assert made.price_of("A") == 11.0


@pytest.mark.parametrize("later", [0, -1])
def test_a_close_no_later_than_the_last_closes_nothing(later: int) -> None:
    made = market("A")
    assert made.observe(seen({"A": 10.0}, T0))
    assert not made.observe(seen({"A": 10.5}, T0 + later))
    assert (made.session, made.closed_at) == (1, T0)


def test_a_close_that_comes_in_parts_is_one_close_of_all_its_names() -> None:
    whole, parts = market("A", "B"), market("A", "B")
    for n, (a, b) in enumerate([(10.0, 5.0), (11.0, 6.0), (12.1, 6.0)]):
        whole.observe(seen({"A": a, "B": b}, T0 + n))
        closed = [
            parts.observe(seen({name: price}, T0 + n)) for name, price in (("A", a), ("B", b))
        ]
        assert closed == [True, False]
        usual = whole.volatility(Parameters()).tolist()
        assert parts.volatility(Parameters()).tolist() == usual
    assert window(parts, "A", "B")[1:] == window(whole, "A", "B")[1:] == [[0.1, 0.2], [0.1, 0.0]]


def test_a_name_listed_later_gets_a_column_of_unknowns() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0}, T0))
    made.list(listed("B"))
    made.observe(seen({"A": 11.0, "B": 3.0}, T0 + 1))
    assert made.price_of("B") == 3.0
    assert np.isnan(made.window(made.columns(("A", "B")))[:, 1]).all()


def test_unlisted_names_are_left_out_until_they_are_listed() -> None:
    made = market("A")
    made.observe(seen({"A": 10.0, "X": 1.0}))
    assert (made.unknown(("A", "X")), made.price_of("X")) == (("X",), None)
    made.list(listed("X"))
    made.observe(seen({"A": 10.0, "X": 2.0}))
    assert (made.unknown(("A", "X")), made.price_of("X")) == ((), 2.0)


@pytest.mark.parametrize("size", [2, 3, 9])
def test_another_window_keeps_the_newest_rows_that_fit(size: int) -> None:
    made = market("A", window=5)
    for n, close in enumerate((10.0, 11.0, 11.0, 22.0, 11.0, 12.1)):
        made.observe(seen({"A": close}, T0 + n))
    before = window(made, "A")
    made.resize(window=size, volume_window=20)
    assert window(made, "A") == before[-size:]
    made.observe(seen({"A": 24.2}, T0 + 9))
    assert window(made, "A") == [*before, [1.0]][-size:]


def test_room_for_more_names_changes_no_bit() -> None:
    grown, tight = market("A", window=60), market("A", window=60)
    arrays = ("price", "price_time", "price_session", "close", "close_session", "returns")
    for name in (*arrays, "volume", "volumes", "_held"):
        setattr(tight, name, getattr(tight, name)[..., :1])
    for n in range(60):
        for made in (grown, tight):
            made.observe(seen({"A": 10.0 + (n * 7 % 13) / 7}, T0 + n))
    assert tight.volatility(Parameters())[0] == grown.volatility(Parameters())[0]
    for n in range(200):
        grown.list(listed(f"N{n}"))
    assert window(grown, "A", "N199")[5][0] == window(tight, "A")[5][0]
    assert grown.price_of("N199") is None


def test_a_name_listed_anew_has_new_terms_and_stays_halted() -> None:
    made = market("A")
    made.instruments["A"].halted = True
    made.list(listed("A", lot="100"))
    assert made.instruments["A"].halted
    assert made.instruments["A"].lot == 100


def test_volatility_starts_at_the_prior_and_moves_to_what_was_seen() -> None:
    made, parameters = market("A", window=50), Parameters(risk_weight_prior=1.0)
    assert made.volatility(parameters)[0] == parameters.risk_volatility_prior
    price = 100.0
    for n in range(41):
        price *= 1.05 if n % 2 else 1 / 1.05
        made.observe(seen({"A": price}, T0 + n))
    assert made.volatility(parameters)[0] == pytest.approx(0.049, abs=2e-3)

"""Exchange rates: names, ways from one currency to another, and returns seen from home."""

from __future__ import annotations

import numpy as np
import pytest

from coordinator.core.market import Market
from coordinator.core.rates import Rates, currencies
from tests.unit.core.test_market import listed, seen


def test_only_two_different_currencies_are_an_exchange_rate() -> None:
    assert currencies("EUR/USD") == ("EUR", "USD")
    for name in ("SOFR", "EUR/EUR", "EU/USD", "EUR/USD/JPY", "EUR /USD", "/USD"):
        assert currencies(name) is None


def test_a_way_leads_directly_turned_round_or_by_one_currency_between() -> None:
    rates, prices = Rates(), np.array([1.25, 160.0, 0.8])
    rates.add("EUR/USD", 0)
    rates.add("EUR/JPY", 1)
    assert rates.between("USD", "USD", prices) == 1.0
    assert rates.between("EUR", "USD", prices) == 1.25
    assert rates.between("USD", "EUR", prices) == 0.8
    assert rates.between("USD", "JPY", prices) == 160.0 / 1.25
    assert rates.between("CHF", "USD", prices) is None
    rates.add("USD/CHF", 2)
    assert rates.between("CHF", "USD", prices) == 1.25


def test_returns_are_seen_from_home() -> None:
    made = Market(window=5)
    made.list(listed("A"))
    made.instruments["A"].currency = "EUR"
    for n, (price, rate) in enumerate(((10.0, 1.0), (11.0, 1.1), (11.0, None), (11.0, 1.21))):
        if rate is not None:
            made.observe_rate("EUR/USD", rate, 10 * n + 1)
        made.observe(seen({"A": price}, 10 * n + 2))
    found = made.returns_in("USD", ("A",))[:, 0]
    assert found[1:] == pytest.approx([0.21, 0.0, 0.0])  # the gap has no return of its own
    assert made.returns_in("EUR", ("A",))[1:, 0] == pytest.approx([0.1, 0.0, 0.0])


def test_a_rate_can_be_listed_and_held_like_any_instrument() -> None:
    made = Market(window=5)
    made.observe_rate("BTC/USD", 100.0, 1)
    assert made.listed("BTC/USD") is None
    made.list(listed("BTC/USD"))
    assert made.listed("BTC/USD") is not None
    assert (made.rate("BTC", "USD"), made.price_of("BTC/USD")) == (100.0, 100.0)

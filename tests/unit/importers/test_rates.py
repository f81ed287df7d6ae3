from __future__ import annotations

import pytest

from coordinator.core.rates import currencies
from coordinator.importers.rates import RATE_COLUMNS, Rates, read_rates
from schemas.market import RatesObserved
from tests.unit.importers.support import NEW_YORK, at, reasons, text_table, told

GOOD = {"time": "2025-01-06T20:00:00Z", "name": "EUR/USD", "rate": "1.0321"}


def read(*rows: dict[str, str]) -> Rates:
    return read_rates(text_table(RATE_COLUMNS, *rows), session=NEW_YORK)


def observed(found: Rates) -> list[RatesObserved]:
    return told(found.messages())


def test_a_row_becomes_a_rate() -> None:
    found = read(GOOD)
    (rate,) = observed(found)
    assert (rate.name, rate.rate, rate.event_time) == ("EUR/USD", 1.0321, at(GOOD["time"]))
    assert [item.known_at for item in found.messages()] == [at(GOOD["time"])]


def test_every_rate_has_an_id_of_its_own_and_they_come_in_order_of_time_and_name() -> None:
    later = GOOD | {"time": "2025-01-07T20:00:00Z"}
    rates = observed(read(later, GOOD | {"name": "GBP/USD"}, GOOD))
    assert [rate.name for rate in rates] == ["EUR/USD", "GBP/USD", "EUR/USD"]
    assert len({rate.event_id for rate in rates}) == 3


def test_a_bare_date_is_that_sessions_close() -> None:
    (rate,) = observed(read(GOOD | {"time": "2025-01-06"}))
    assert rate.event_time == at("2025-01-06T21:00:00Z")


@pytest.mark.parametrize("name", ["EUR/USD", "usdt/EUR", "A1B2C3D4/USD"])
def test_the_engine_knows_every_name_that_is_taken(name: str) -> None:
    (rate,) = observed(read(GOOD | {"name": name}))
    assert currencies(rate.name) == tuple(name.split("/"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": ""}, "time is missing"),
        ({"name": ""}, "name is missing"),
        ({"name": "EURUSD"}, "name is not two currencies such as EUR/USD"),
        ({"name": "EU/USD"}, "name is not two currencies such as EUR/USD"),
        ({"name": "EUR/USD/JPY"}, "name is not two currencies such as EUR/USD"),
        ({"name": "EUR/U$D"}, "name is not two currencies such as EUR/USD"),
        ({"name": "EUR/EUR"}, "name is one currency twice"),
        ({"rate": ""}, "rate is missing"),
        ({"rate": "x"}, "rate is not a number"),
        ({"rate": "1e400"}, "rate is not a finite number"),
        ({"rate": "0"}, "rate is not between 1e-9 and 1e9"),
        ({"rate": "-1"}, "rate is not between 1e-9 and 1e9"),
        ({"rate": "1e10"}, "rate is not between 1e-9 and 1e9"),
        ({"rate": "1.04"}, "time and name stood in an earlier row"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_the_rest_goes_on(
    changes: dict[str, str], reason: str
) -> None:
    found = read(GOOD, GOOD | changes)
    assert reasons(found.rejects.frame) == [reason]
    assert found.rejects.topic == "market"
    assert len(observed(found)) == 1

from __future__ import annotations

from decimal import Decimal

import pytest

from coordinator.core.route import PAYLOAD_MAX
from coordinator.importers.owners import Owners
from coordinator.importers.positions import (
    LINES_MAX,
    POSITION_COLUMNS,
    Positions,
    read_positions,
)
from schemas.portfolios import PositionReport, PositionsReported
from tests.unit.importers.support import ANY_OWNER, NEW_YORK, at, reasons, text_table, told

CLOSE = "2025-01-06T21:00:00Z"
GOOD = {"time": CLOSE, "portfolio": "p", "instrument": "AAA", "quantity": "100"}
TORN = "another row of its report is refused: what a report leaves out is not held"


def read(*rows: dict[str, str], owners: Owners = ANY_OWNER) -> Positions:
    return read_positions(text_table(POSITION_COLUMNS, *rows), session=NEW_YORK, owners=owners)


def reported(found: Positions) -> list[PositionsReported]:
    return told(found.messages())


def test_rows_of_one_portfolio_and_time_are_one_report() -> None:
    found = read(
        GOOD | {"instrument": "BBB", "quantity": "-2.50", "price": "10.10"},
        GOOD | {"portfolio": "q"},
        GOOD | {"time": "2025-01-07T21:00:00Z"},
        GOOD,
    )
    (first, other, later) = reported(found)
    assert first == PositionsReported(
        event_id=f"report-{at(CLOSE)}", event_time=at(CLOSE), portfolio="p", as_of=at(CLOSE),
        positions=(
            PositionReport(instrument="AAA", quantity=Decimal(100)),
            PositionReport(instrument="BBB", quantity=Decimal("-2.5"), price=Decimal("10.1")),
        ),
    )  # fmt: skip
    assert (other.portfolio, other.as_of) == ("q", at(CLOSE))
    assert (later.portfolio, later.as_of) == ("p", at("2025-01-07T21:00:00Z"))
    assert found.reports == 3
    assert [item.known_at for item in found.messages()] == [one.as_of for one in reported(found)]


def test_a_report_does_not_depend_on_the_order_of_its_rows() -> None:
    other = GOOD | {"instrument": "BBB"}
    assert reported(read(GOOD, other)) == reported(read(other, GOOD))


def test_a_bare_date_is_that_sessions_close() -> None:
    assert reported(read(GOOD | {"time": "2025-01-06"})) == reported(read(GOOD))


def test_an_instrument_twice_in_one_report_is_a_rejected_row() -> None:
    found = read(GOOD, GOOD | {"quantity": "7"}, GOOD | {"portfolio": "q"})
    assert reasons(found.rejects.frame) == [
        "portfolio, time and instrument stood in an earlier row"
    ]
    assert [len(one.positions) for one in reported(found)] == [1, 1]
    assert reported(found)[0].positions[0].quantity == 100


def test_a_report_with_a_row_that_cannot_be_used_is_refused_whole() -> None:
    found = read(GOOD, GOOD | {"instrument": "BBB", "quantity": "x"}, GOOD | {"portfolio": "q"})
    assert reasons(found.rejects.frame) == [
        TORN, "quantity is no exact decimal such as 1234.50, of at most 12 places",
    ]  # fmt: skip
    assert [one.portfolio for one in reported(found)] == ["q"]
    assert found.unplaced == 0


def test_rejected_rows_of_no_known_report_are_counted() -> None:
    assert read(GOOD, GOOD | {"time": "x"}, GOOD | {"portfolio": ""}).unplaced == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": ""}, "time is missing"),
        ({"portfolio": ""}, "portfolio is missing"),
        ({"instrument": ""}, "instrument is missing"),
        ({"quantity": ""}, "quantity is missing"),
        ({"quantity": "ten"}, "quantity is no exact decimal"),
        ({"quantity": "9999999999999999"}, "quantity is not between -1e15 and 1e15"),
        ({"price": "0"}, "price is not between 1e-12 and 1e12"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_and_other_reports_go_on(
    changes: dict[str, str], reason: str
) -> None:
    found = read(GOOD | {"time": "2025-01-07T21:00:00Z"} | changes, GOOD)
    (said,) = reasons(found.rejects.frame)
    assert said.startswith(reason)
    assert found.rejects.topic == "portfolios"
    assert len(reported(found)) == 1


def test_a_portfolio_that_the_file_does_not_have_is_refused() -> None:
    found = read(GOOD, GOOD | {"portfolio": "q"}, owners=Owners({"p": "USD"}, "USD"))
    assert reasons(found.rejects.frame) == ["portfolio is not in the portfolios' file"]
    assert len(reported(found)) == 1


def test_the_largest_report_of_the_language_passes_and_a_larger_one_is_refused() -> None:
    rows = [GOOD | {"instrument": f"I{n}"} for n in range(LINES_MAX)]
    (report,) = reported(read(*rows))
    assert len(report.positions) == LINES_MAX
    found = read(*rows, GOOD, GOOD | {"portfolio": "q"})
    assert set(reasons(found.rejects.frame)) == {"its report has more than 10,000 lines"}
    assert (len(found.rejects), [one.portfolio for one in reported(found)]) == (10_001, ["q"])


def test_a_report_larger_than_a_message_is_refused() -> None:
    rows = [GOOD | {"instrument": f"{n:>04}" + '"' * 124} for n in range(6_000)]
    found = read(*rows)
    assert set(reasons(found.rejects.frame)) == {"its report has more than 1,047,576 bytes"}
    (item,) = read(*rows[:3_000]).messages()
    assert len(item.payload) < PAYLOAD_MAX

from __future__ import annotations

from pathlib import Path

from schemas.signals import SignalIssued
from tests.unit.importers.support import (
    BOOK,
    SIGNALS,
    import_all,
    in_dollars,
    journal,
    write_book,
    write_files,
)

FILLS = "time,portfolio,instrument,quantity,price\n2025-01-06T15:00:00Z,one,AAA,1,10\n"


def test_names_that_differ_little_are_told_and_stay_two(tmp_path: Path) -> None:
    rows = "2025-01-06T20:00:00Z,{},AAA,buy,0.5\n"
    signals = SIGNALS + "".join(rows.format(name) for name in ("Momo", "momo", "mo-mo", "other"))
    report, log = import_all(write_files(tmp_path, signals=signals))
    (told,) = [note for note in report.notes if "similar names" in note]
    assert told == "similar names, taken for different sources: Momo / mo-mo / momo"
    sources = {event.source for _, event in journal(log) if isinstance(event, SignalIssued)}
    assert {"Momo", "momo"} <= sources


def test_space_around_a_name_in_a_table_is_not_part_of_it(tmp_path: Path) -> None:
    signals = SIGNALS + "2025-01-06T20:00:01Z, s , AAA ,buy,0.5\n"
    report, log = import_all(write_files(tmp_path, signals=signals))
    issued = [event for _, event in journal(log) if isinstance(event, SignalIssued)]
    assert {(event.source, event.instrument) for event in issued} == {("s", "AAA")}
    assert not any("similar" in note for note in report.notes)


def test_a_note_holds_little_of_what_a_hostile_header_says(tmp_path: Path) -> None:
    signals = SIGNALS.replace("strength", "strength," + "h" * 5_000).replace("0.5", "0.5,x")
    report, _ = import_all(write_files(tmp_path, signals=signals))
    assert max(len(note) for note in report.notes) < 300


def test_large_shares_are_noted(tmp_path: Path) -> None:
    portfolios = BOOK + "[portfolio.mandate]\ngross_max = 2\n"
    report, _ = import_all(write_files(tmp_path, portfolios=portfolios))
    assert "one: gross_max = 2 is 200% of its value" in report.notes


def test_budgets_that_bind_nothing_are_noted(tmp_path: Path) -> None:
    budgets = BOOK + '[parameters]\nsleeves = "budgets"\n[[parameters.modes]]\nmode = "balanced"\n'
    budgets += "risk_aversion = 8.0\n"
    for number, (text, idle) in enumerate(
        (
            (budgets, True),
            (budgets + "house_max = 0.1\n", False),
            (budgets + "house_weight = 2.0\n", False),
            (budgets.replace("budgets", "books"), False),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        report, _ = import_all(write_files(folder, portfolios=text))
        told = [note for note in report.notes if "house_max" in note]
        assert bool(told) is idle
        assert all(note.endswith(": one") for note in told)


def test_a_foreign_currency_is_told_only_where_no_rate_leads_to_a_portfolios(
    tmp_path: Path,
) -> None:
    fills = FILLS + "".join(f"2025-01-06T15:00:00Z,one,{name},1,10\n" for name in ("BBB", "CCC"))
    terms = "instrument,currency\nAAA,EUR\nBBB,JPY\nCCC,USD\n"
    rates = "time,name,rate\n2025-01-07,EUR/CHF,0.9\n2025-01-07,USD/CHF,0.9\n"
    foreign = "in a currency of no portfolio and with no rate to one, so none can hold them:"
    for given, told in ((None, "AAA (EUR), BBB (JPY)"), (rates, "BBB (JPY)")):
        files = write_book(tmp_path, fills=fills, instruments=terms, rates=given)
        report, _ = import_all(files, in_dollars())
        assert [note for note in report.notes if "no rate" in note] == [f"{foreign} {told}"]


def test_names_of_portfolios_that_differ_little_are_told(tmp_path: Path) -> None:
    fills = FILLS + "2025-01-06T15:00:00Z,One,AAA,1,10\n"
    report, _ = import_all(write_book(tmp_path, fills=fills), in_dollars())
    assert "similar names, taken for different portfolios: One / one" in report.notes


def test_what_is_held_without_prices_and_filled_before_its_listing_is_told(
    tmp_path: Path,
) -> None:
    terms = "instrument,valid_from\nAAA,2025-01-07\n"
    report, _ = import_all(write_book(tmp_path, fills=FILLS, instruments=terms), in_dollars())
    assert "with fills or positions but without prices: AAA" in report.notes
    assert (
        "1 fills come before their instrument is listed, the engine rejects them as"
        " unknown_instrument: AAA"
    ) in report.notes


def test_names_in_every_list_of_a_mandate_that_nothing_has_are_told(tmp_path: Path) -> None:
    mandate = """[portfolio.mandate]
universe = ["AAA", "ABA"]
restricted = ["AAB"]
[[portfolio.mandate.positions]]
instrument = "AAC"
max = 0.05
[[portfolio.mandate.sectors]]
sector = "Enegry"
max = 0.3
[[portfolio.mandate.sectors]]
sector = "Tech"
max = 0.3
[[portfolio.mandate.factors]]
factor = "valeu"
max = 1
[[portfolio.mandate.factors]]
factor = "market"
max = 1
[[portfolio.mandate.factors]]
factor = "size"
max = 1
[[portfolio.mandate.must_hold]]
instrument = "AAA"
min = 0.01
[[portfolio.mandate.lots]]
instrument = "AAD"
multiple = 10
"""
    terms = "instrument,sector,factors\nAAA,Tech,size=1\n"
    report, _ = import_all(write_files(tmp_path, portfolios=BOOK + mandate, instruments=terms))
    (told,) = [note for note in report.notes if "no row does" in note]
    assert told == (
        "one: its mandate names, but no row does: ABA, restricted AAB, positions AAC, lots AAD,"
        " sectors Enegry, factors valeu"
    )


def test_names_of_a_benchmark_and_of_costs_that_no_row_has_are_told(tmp_path: Path) -> None:
    terms = """[portfolio.mandate]
benchmark = [{ instrument = "AAA", weight = 0.5 }, { instrument = "AAE", weight = 0.3 }]
[portfolio.costs]
carry = [{ instrument = "AAF", bps_year = 3.0 }, { instrument = "AAA", bps_year = 3.0 }]
borrow = [{ instrument = "AAG", bps_year = 3.0 }, { instrument = "AAF", bps_year = 3.0 }]
"""
    report, _ = import_all(write_files(tmp_path, portfolios=BOOK + terms))
    assert [note for note in report.notes if "no row does" in note] == [
        "one: its mandate names, but no row does: benchmark AAE",
        "one: its costs name, but no row does: AAF, AAG",
    ]

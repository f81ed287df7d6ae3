from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from coordinator.importers.errors import ImportFailed
from coordinator.importers.importing import ImportFrames, ImportSettings, import_frames
from coordinator.importers.inputs import TABLES
from coordinator.log.memory import MemoryLog
from tests.unit.importers.support import BOOK, dead_letters, started

MOMENT = datetime(2025, 1, 6, 21, tzinfo=UTC)
NAMES = ["A", "B", "C"]
GOOD = {
    "signals": pl.DataFrame(
        {"event_time": [MOMENT] * 3, "source": "s", "instrument": NAMES, "direction": [1, 0, -1]}
    ),
    "prices": pl.DataFrame({"time": [MOMENT] * 3, "instrument": NAMES, "close": [1.0, 2.0, 3.0]}),
    "instruments": pl.DataFrame({"instrument": NAMES}),
    "fills": pl.DataFrame(
        {"time": [MOMENT] * 3, "portfolio": "one", "instrument": NAMES, "quantity": 1, "price": 2}
    ),
    "positions": pl.DataFrame(
        {"time": [MOMENT] * 3, "portfolio": "one", "instrument": NAMES, "quantity": 1}
    ),
    "cash": pl.DataFrame({"time": [MOMENT] * 3, "portfolio": "one", "amount": [1, 2, 3]}),
    "actions": pl.DataFrame(
        {"time": [MOMENT] * 3, "instrument": NAMES, "kind": "split", "ratio": [1.5, 2.0, 3.0]}
    ),
    "rates": pl.DataFrame(
        {"time": [MOMENT] * 3, "name": ["EUR/USD", "GBP/USD", "JPY/USD"], "rate": [1.0, 2.0, 3.0]}
    ),
}
ODD = {
    "category": pl.Series(["A", "B", None], dtype=pl.Categorical),
    "enum": pl.Series(["A", "B", None], dtype=pl.Enum(["A", "B"])),
    "text": pl.Series(["A", "", "x\x00"]),
    "integer": pl.Series([1, -2, None]),
    "small integer": pl.Series([1, 0, -1], dtype=pl.Int8),
    "huge integer": pl.Series([1, 2, 3], dtype=pl.Int128),
    "unsigned": pl.Series([2**64 - 1, 5, None], dtype=pl.UInt64),
    "float": pl.Series([1.0, float("inf"), float("nan")]),
    "decimal": pl.Series([Decimal("1.5"), Decimal(-2), None]),
    "boolean": pl.Series([True, False, None]),
    "date": pl.Series([date(2025, 1, 6), date(1, 1, 1), None]),
    "zoned": pl.Series([MOMENT, MOMENT, None]),
    "far": pl.Series(
        [datetime(9999, 1, 1, tzinfo=UTC)] * 3, dtype=pl.Datetime("ms", "UTC")
    ),
    "naive": pl.Series([datetime(2025, 1, 6)] * 3),
    "duration": pl.Series([timedelta(1)] * 3),
    "clock": pl.Series([time(1)] * 3),
    "list": pl.Series([[1], [], None]),
    "struct": pl.Series([{"a": 1}] * 3),
    "binary": pl.Series([b"\xff", b"a", None]),
    "null": pl.Series([None] * 3),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("table", GOOD)
def test_a_column_of_any_type_is_judged_row_by_row_or_refused_by_name(
    tmp_path: Path, table: str, odd: str
) -> None:
    book = tmp_path / "book.toml"
    book.write_text(BOOK)
    for column in TABLES[table].known:
        frames = GOOD | {table: GOOD[table].with_columns(ODD[odd].alias(column))}
        given = ImportFrames(portfolios=book, **frames)
        log = MemoryLog(clock=lambda: 0)
        try:
            report = import_frames(given, ImportSettings.default(), log=log, started=started)
        except ImportFailed as refusal:
            told = str(refusal)
            if column not in told or not told.startswith(table):
                pytest.fail(told)
            continue
        topics = ("signals", "market", "orders", "portfolios")
        buried = sum(len(dead_letters(log, topic)) for topic in topics)
        assert sum(count.rejected for count in report.files) == buried
        assert [count.accepted + count.rejected for count in report.files] == [3] * len(GOOD)

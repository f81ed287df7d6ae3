"""A stranger's large backtest through the three commands: 505 names, 1,259 days, a decision a week.

The signal file is made here: every fifth session three sources judge each name by its own past
alone (momentum over 60 sessions, reversal over 5, and distance from the 20-session mean), so that
they contradict each other. What it earns is not the point; how long it takes is.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl

from coordinator.log.open import open_reader
from tests.bench.record import finish, options

EVERY, MOMENTUM, REVERSAL, MEAN = 5, 60, 5, 20
PORTFOLIOS = """
[[portfolio]]
id = "weekly"
cash = "100000000"
currency = "USD"
mode = "balanced"

[portfolio.mandate]
position_max = 0.02
gross_max = 1.0
turnover_max = 0.3

[portfolio.schedule]
kind = "session_close"
every = 5
"""


def write_files(data: Path, folder: Path) -> None:
    """prices.parquet, signals.parquet and portfolios.toml, in the formats of the import command."""
    prices = (
        pl.read_parquet(data / "sp500_ohlcv_daily.parquet")
        .with_columns(
            pl.col("date").dt.date().cast(pl.String).alias("time"),
            pl.col("symbol").cast(pl.String).alias("instrument"),
        )
        .sort("instrument", "time")
    )
    columns = ["time", "instrument", "open", "high", "low", "close", "volume"]
    prices.select(columns).write_parquet(folder / "prices.parquet")
    _signals(prices).write_parquet(folder / "signals.parquet")
    (folder / "portfolios.toml").write_text(PORTFOLIOS, encoding="utf-8")


def _signals(prices: pl.DataFrame) -> pl.DataFrame:
    close = pl.col("close").cast(pl.Float64)
    judged = prices.with_columns(
        momentum=(close / close.shift(MOMENTUM) - 1).over("instrument"),
        reversal=(1 - close / close.shift(REVERSAL)).over("instrument"),
        mean=(close.rolling_mean(MEAN) / close - 1).over("instrument"),
    )
    weeks = prices.select("time").unique().sort("time").gather_every(EVERY)
    return (
        judged.join(weeks, on="time", how="semi")
        .unpivot(
            ["momentum", "reversal", "mean"],
            index=["time", "instrument"],
            variable_name="source",
        )
        .drop_nulls("value")
        .select(
            pl.col("time").alias("event_time"),
            "source",
            "instrument",
            (pl.col("value") * 0.05).clip(-0.2, 0.2).alias("expected_return"),
            pl.lit(5.0).alias("horizon_days"),
        )
        .sort("event_time", "source", "instrument")
    )


def timed(command: list[str]) -> dict[str, Any]:
    """Run one command; its seconds and peak memory."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = _wait(process)
    seconds = time.perf_counter() - before
    if status != 0:
        message = f"{' '.join(command)} ended with {status}"
        raise RuntimeError(message)
    return {"seconds": round(seconds, 1), "peak_mib": round(usage.ru_maxrss / 1024)}


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, int, resource.struct_rusage]:
    pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return pid, process.returncode, usage


def measure(data: Path) -> dict[str, Any]:
    """Import, backtest with a report, verify."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(data, folder)
        coordinator = [sys.executable, "-m", "coordinator.cli.main"]
        inputs, run = folder / "inputs.sqlite", folder / "run.sqlite"
        report = folder / "report.html"
        figures: dict[str, Any] = {
            "import": timed(
                [
                    *coordinator, "import", "--signals", str(folder / "signals.parquet"),
                    "--prices", str(folder / "prices.parquet"),
                    "--portfolios", str(folder / "portfolios.toml"),
                    "--dates-known-at", "close", "--log", str(inputs),
                ]
            ),
            "backtest": timed(
                [
                    *coordinator, "backtest", "--log", str(inputs), "--out", str(run),
                    "--report", str(report),
                ]
            ),
            "verify": timed([*coordinator, "replay", "--log", str(run), "--verify"]),
        }  # fmt: skip
        return figures | _counts(run, report, figures["backtest"]["seconds"])


def _counts(run: Path, report: Path, seconds: float) -> dict[str, Any]:
    with open_reader(run) as reader:
        ends = {
            topic: sum(reader.end(t, s) for t, s in reader.partitions() if t == topic)
            for topic in ("journal", "decisions")
        }
    return {
        "journal_records": ends["journal"],
        "outputs": ends["decisions"],
        "backtest_records_per_s": round(ends["journal"] / seconds),
        "run_log_mib": round(run.stat().st_size / 2**20, 1),
        "report_kib": round(report.stat().st_size / 1024),
    }


if __name__ == "__main__":
    parser = options(__doc__ or "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the prices")
    arguments = parser.parse_args()
    finish("sp500", measure(arguments.data), record=arguments.record)

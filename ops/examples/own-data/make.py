"""Writes the example files beside this script: the same bytes every time, from a fixed seed.

Synthetic: no real company, price or opinion. Three sources look at six names and disagree: one
follows the trend, one bets against it, one says what return it expects. Run it to make them again.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
FIRST = date(2025, 1, 6)
HOLIDAYS = {date(2025, 1, 9), date(2025, 1, 20), date(2025, 2, 17)}
SUMMER_TIME = date(2025, 3, 9)
SESSIONS = 60
NAMES = {
    "ALDER": ("energy", 42.0),
    "BIRCH": ("energy", 88.0),
    "CEDAR": ("health", 15.5),
    "DOGWOOD": ("health", 133.0),
    "ELM": ("technology", 61.0),
    "FIR": ("technology", 210.0),
}
WARM_UP = 10
MONDAY, WEDNESDAY = 0, 2


def main() -> None:
    """Write prices.csv, signals.csv and instruments.csv."""
    chance = random.Random(20250106)  # noqa: S311 - an example wants the same numbers, not secret ones
    days = sessions()
    bars = {name: path(chance, start, len(days)) for name, (_, start) in NAMES.items()}
    rows = [(day.isoformat(), name, *bars[name][i]) for i, day in enumerate(days) for name in NAMES]
    write("prices.csv", ("time", "instrument", "open", "high", "low", "close", "volume"), rows)
    closes = {name: [float(bar[3]) for bar in bars[name]] for name in NAMES}
    opinions = (
        row
        for i in range(WARM_UP, len(days))
        for row in day_opinions(chance, closes, i, day=days[i])
    )
    header = (
        "event_time", "source", "instrument", "direction", "strength", "expected_return",
        "confidence", "horizon_days",
    )  # fmt: skip
    write("signals.csv", header, opinions)
    listed = [(name, sector, 1, "0.01", "USD") for name, (sector, _) in NAMES.items()]
    write("instruments.csv", ("instrument", "sector", "lot", "tick", "currency"), listed)


def sessions() -> list[date]:
    """The first weekdays that are no holidays."""
    days: list[date] = []
    day = FIRST
    while len(days) < SESSIONS:
        if day.weekday() < 5 and day not in HOLIDAYS:  # noqa: PLR2004 - Saturday
            days.append(day)
        day += timedelta(days=1)
    return days


def path(chance: random.Random, start: float, n: int) -> list[tuple[str, ...]]:
    """Open, high, low, close and volume of n sessions: a walk whose drift turns now and then."""
    bars = []
    last, drift = start, chance.gauss(0, 0.002)
    for i in range(n):
        if i % 15 == 0:
            drift = chance.gauss(0, 0.003)
        opened = last * math.exp(chance.gauss(0, 0.004))
        closed = opened * math.exp(drift + chance.gauss(0, 0.011))
        high = max(opened, closed) * (1 + abs(chance.gauss(0, 0.003)))
        low = min(opened, closed) * (1 - abs(chance.gauss(0, 0.003)))
        volume = 1000 * chance.randrange(200, 900)
        bars.append((*(f"{x:.2f}" for x in (opened, high, low, closed)), str(volume)))
        last = closed
    return bars


def day_opinions(
    chance: random.Random, closes: dict[str, list[float]], i: int, *, day: date
) -> Iterable[tuple[object, ...]]:
    """What the sources say shortly before the close of session i, from closes before it."""
    zone = "-04:00" if day >= SUMMER_TIME else "-05:00"
    for name, history in closes.items():
        week = history[i - 1] / history[i - 6] - 1
        fortnight = history[i - 1] / history[i - WARM_UP] - 1
        if day.weekday() == MONDAY:
            side = "buy" if fortnight > 0 else "sell"
            said = (
                side,
                f"{min(1, abs(fortnight) * 12):.2f}",
                "",
                f"{0.5 + 0.3 * chance.random():.2f}",
                10,
            )
            yield f"{day}T15:45:00{zone}", "trend", name, *said
        if day.weekday() == WEDNESDAY:
            side = "sell" if week > 0 else "buy"
            said = (
                side,
                f"{min(1, abs(week) * 20):.2f}",
                "",
                f"{0.4 + 0.3 * chance.random():.2f}",
                3,
            )
            yield f"{day}T15:50:00{zone}", "contrarian", name, *said
        if i % 10 == 0:
            expected = f"{chance.gauss(0.005, 0.02):.4f}"
            yield f"{day}T15:40:00{zone}", "analysts", name, "", "", expected, "0.60", 20


def write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One CSV file beside this script."""
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(header)
        sheet.writerows(rows)


if __name__ == "__main__":
    main()

from __future__ import annotations

import re

from replay.baselines import BENCHMARK
from replay.ledger import Ledger
from replay.report.charts import conflicts_over_time, equity
from replay.report.summary import Run, fold
from tests.support.planted_run import DAY, START, planted_run

LOG = planted_run()


def values(run: Run, name: str) -> list[str]:
    """What the wide chart tells of one curve on hover, moment by moment."""
    wide = str(equity(run).picture).split("</svg>", maxsplit=1)[0]
    return re.findall(rf"^{name} (.*?)$", wide.replace("</title>", "\n"), re.MULTILINE)


def test_every_curve_starts_at_nothing_gained() -> None:
    run = fold(LOG)
    late = Ledger("late", BENCHMARK, 100.0, START + DAY)
    late.execute("ABC", 1, 100.0, fee=0.0, mid=None)
    late.mark(START + DAY + DAY // 2, {"ABC": 150.0})
    both = Run(run.summary, run.curves, (late.curve(),), run.tally)
    assert values(both, "main")[:2] == ["0%", "0%"]
    assert values(both, "late")[0] == "0%"
    assert values(both, "late")[-1] == "50%"


def test_axis_of_conflicts_counts_in_whole_numbers() -> None:
    picture = str(conflicts_over_time(fold(LOG)).picture)
    ticks = re.findall(r'text-anchor="end">(\d+)</text>', picture.split("</svg>", maxsplit=1)[0])
    assert ticks == ["0", "1", "2"]

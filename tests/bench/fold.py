"""How fast the engine folds inputs when nothing is decided, beside decoding them alone.

Medians of several runs over fresh engines; every run folds the same journals.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from typing import Any

from coordinator.bootstrap import build_engine
from coordinator.core.engine import Engine
from coordinator.core.ports import Record
from schemas.entries import decode_journal
from tests.bench import journals
from tests.bench.record import finish, options

INSTRUMENTS, SOURCES, RUNS = 500, 100, 7
COUNTS = {"signals": 50_000, "fills": 50_000, "snapshots": 500}


def make() -> tuple[list[Record], dict[str, list[Record]]]:
    """The journal's beginning, and one stretch of it per kind of event."""
    journal, rng = journals.Journal(), random.Random(7)
    journals.opened(journal, instruments=INSTRUMENTS, sources=SOURCES, portfolios=1)
    beginning = journal.take()
    stretches = {}
    for kind, count in COUNTS.items():
        for i in range(count):
            at = journals.START + journals.DAY + i
            if kind == "signals":
                event: Any = journals.signal(rng, i, at, instruments=INSTRUMENTS, sources=SOURCES)
            elif kind == "fills":
                event = journals.fill(rng, i, at, instruments=INSTRUMENTS)
            else:
                event = journals.snapshot(rng, i + 1, at, INSTRUMENTS)
            journal.add(event, at)
        stretches[kind] = journal.take()
    return beginning, stretches


def started(beginning: list[Record]) -> Engine:
    """A fresh engine at the end of the journal's beginning."""
    engine = build_engine(shard=0, shards=1)
    for record in beginning:
        engine.step(record)
    return engine


def seconds_to_fold(beginning: list[Record], stretch: list[Record]) -> float:
    """Fold one stretch on a fresh engine."""
    engine = started(beginning)
    gc.collect()
    before = time.perf_counter()
    for record in stretch:
        engine.step(record)
    return time.perf_counter() - before


def seconds_to_decode(stretch: list[Record]) -> float:
    """The limit: nothing but reading the same bytes."""
    gc.collect()
    before = time.perf_counter()
    for record in stretch:
        decode_journal(record.payload)
    return time.perf_counter() - before


def measure() -> dict[str, Any]:
    """Medians per kind of event."""
    beginning, stretches = make()
    figures = {}
    for kind, stretch in stretches.items():
        folds = [seconds_to_fold(beginning, stretch) for _ in range(RUNS)]
        decodes = [seconds_to_decode(stretch) for _ in range(RUNS)]
        fold, decode = statistics.median(folds), statistics.median(decodes)
        figures[kind] = {
            "events": len(stretch),
            "bytes_per_event": sum(len(r.payload) for r in stretch) // len(stretch),
            "fold_events_per_s": round(len(stretch) / fold),
            "fold_events_per_s_best": round(len(stretch) / min(folds)),
            "decode_events_per_s": round(len(stretch) / decode),
            "fold_over_decode": round(fold / decode, 2),
        }
    return figures


if __name__ == "__main__":
    arguments = options(__doc__ or "").parse_args()
    finish("fold", measure(), record=arguments.record)

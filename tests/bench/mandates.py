"""How long a mandate is looked at when it arrives, and how few limits are named.

`python -m tests.bench.mandates [--record]`: 500 instruments of 11 sectors with exposures to 20
factors, and a mandate with 66 limits over them: one that holds, one that two of its limits forbid,
one that a factor, gross exposure and the universe forbid, and a plain one. Processor time, so that
a busy machine says the same.
"""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import Any

from coordinator.core.mandates import contradiction
from coordinator.core.market import Market
from schemas.mandates import FactorBound, Mandate, SectorBound
from schemas.market import FactorExposure, InstrumentListed
from tests.bench.record import finish, options, quantile

INSTRUMENTS, SECTORS, FACTORS, ROUNDS = 500, 11, 20, 30
NAMES = tuple(f"N{i:04d}" for i in range(INSTRUMENTS))


def market() -> Market:
    rng, made = random.Random(1), Market(window=2)
    for i, name in enumerate(NAMES):
        told = (FactorExposure(factor=factor(k), exposure=rng.gauss(0, 1)) for k in range(FACTORS))
        made.list(
            InstrumentListed(
                event_id=name, event_time=0, instrument=name, sector=sector(i % SECTORS),
                lot=Decimal(1), tick=Decimal(0), currency="USD", factors=tuple(told),
            )
        )  # fmt: skip
    return made


def sector(number: int) -> str:
    return f"sector {number:02d}"


def factor(number: int) -> str:
    return f"factor {number:02d}"


def mandate(**changes: Any) -> Mandate:
    """Of 66 limits that hold together."""
    bounds: dict[str, Any] = {
        "universe": NAMES, "position_max": 0.01, "position_min": -0.01,
        "sectors": tuple(SectorBound(sector=sector(i), min=-0.05, max=0.1) for i in range(SECTORS)),
        "factors": tuple(FactorBound(factor=factor(k), min=-0.1, max=0.1) for k in range(FACTORS)),
        "net_min": 0.3, "net_max": 0.6,
    }  # fmt: skip
    return Mandate(**(bounds | changes))


def measure() -> dict[str, Any]:
    listed = market()
    steep = (FactorBound(factor=factor(0), min=0.9), *mandate().factors[1:])
    cases = {
        "66 limits that hold": mandate(),
        "net_min above gross_max": mandate(gross_max=0.2),
        "a factor out of reach": mandate(factors=steep, gross_max=0.3, net_min=-0.1),
        "a plain mandate": Mandate(),
    }
    figures = {}
    for name, case in cases.items():
        named = contradiction(case, listed)  # the first one imports the solver
        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            contradiction(case, listed)
            times.append(1e3 * (time.process_time() - began))
        figures[name] = {
            "p50_ms": round(quantile(times, 0.5), 2),
            "p99_ms": round(quantile(times, 0.99), 2),
            "named": named,
        }
    return figures


if __name__ == "__main__":
    arguments = options(__doc__ or "").parse_args()
    finish("mandates", measure(), record=arguments.record)

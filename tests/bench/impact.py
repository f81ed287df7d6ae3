"""What telling its impact costs a decision, in time and bytes.

`python -m tests.bench.impact [--record]`: one source speaks of every instrument, each of one of 11
sectors with exposures to 5 factors and 60 sessions of returns. Processor time, so that a busy
machine says nearly the same. Beside it what `coordinator impact` computes when it is asked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from coordinator.bootstrap import allocator, risk_model
from coordinator.core.allocate import Situation, situation
from coordinator.core.decide import close_round
from coordinator.core.impact_lines import impacts
from coordinator.core.state import State
from coordinator.quality.impact import Trades, analyse
from schemas.canonical import canonical_bytes
from schemas.decisions import AllocationDecided
from tests.bench.record import finish, options, quantile
from tests.journals import DAY, HOUR, T0, Inputs, state_after

SIZES, SECTORS, FACTORS, SESSIONS, ROUNDS = (20, 100, 500), 11, 5, 60, 200
ASKED = 10


def world(size: int) -> State:
    """A portfolio that holds nothing yet, and a view of every instrument."""
    make, rng = Inputs(), random.Random(1)
    names = [f"N{i:03d}" for i in range(size)]
    told = [{"factor": f"f{k}", "exposure": rng.gauss(0.0, 1.0)} for k in range(FACTORS)]
    inputs = [make.listed(n, sector=f"s{i % SECTORS}", factors=told) for i, n in enumerate(names)]
    inputs += [make.registered("s"), make.opened("p", cash="10000000")]
    prices = dict.fromkeys(names, 100.0)
    for n in range(SESSIONS):
        prices = {k: round(p * (1.0 + rng.gauss(0.0, 0.01)), 4) for k, p in prices.items()}
        inputs.append(make.close(prices, T0 + n * DAY + HOUR))
    at = T0 + SESSIONS * DAY
    inputs += [make.signal("s", n, at, strength=rng.uniform(0.1, 0.9)) for n in names]
    return state_after(inputs, end=at + 1, follows=True)


def timed(do: Callable[[], object], rounds: int) -> dict[str, float]:
    """Milliseconds of the processor."""
    do()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        do()
        times.append(1e3 * (time.process_time() - began))
    return {"p50_ms": round(quantile(times, 0.5), 3), "p99_ms": round(quantile(times, 0.99), 3)}


def of_size(size: int) -> dict[str, Any]:
    state, model, solver = world(size), risk_model(), allocator()
    portfolio = state.portfolios["p"]
    found = situation(state, portfolio, model)
    if not isinstance(found, Situation):
        message = "a portfolio with cash has a situation"
        raise TypeError(message)
    answer = solver.allocate(found.problem)
    events = close_round(state, portfolio, allocator=solver, risk_model=model)
    (decision,) = (one for one in events if isinstance(one, AllocationDecided))
    without = decision.model_copy(update={"impact_before": None, "impact_after": None})
    trades = Trades(found.problem.start, answer.trades, [Decimal(0)] * size)
    whole = len(canonical_bytes(decision))
    return {
        "impact": timed(lambda: impacts(state, portfolio, found, answer), ROUNDS),
        "round": timed(
            lambda: close_round(state, portfolio, allocator=solver, risk_model=model), ROUNDS
        ),
        "bytes": whole,
        "bytes_of_impact": whole - len(canonical_bytes(without)),
        "asked": timed(
            lambda: analyse(state, portfolio, found, trades, question="engine", limits=()), ASKED
        ),
    }


if __name__ == "__main__":
    arguments = options(__doc__ or "").parse_args()
    finish("impact", {str(n): of_size(n) for n in SIZES}, record=arguments.record)

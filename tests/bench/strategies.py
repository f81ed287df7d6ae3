"""What books of strategies add to a decision.

`python -m tests.bench.strategies [--record]`: processor milliseconds, median of sixty rounds, of
what is done beside the decision itself where sleeves are "books": making the sleeves, fitting
sizes, netting and telling it, booking it. Strategies that each speak of every name, trades that are
filled or gone by the next round.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from coordinator.bootstrap import risk_model
from coordinator.core.allocate import situation
from coordinator.core.booked import sized, sleeves_booked
from coordinator.core.decide import close_round
from coordinator.core.evolve import evolve_output
from coordinator.core.sleeves import sleeves_of
from coordinator.core.state import Round, State, View
from coordinator.core.tilt import NEUTRAL
from coordinator.solver import CvxAllocator, SolverSettings, pin_threads
from schemas.control import Parameters
from schemas.decisions import AllocationDecided
from schemas.portfolios import Mandate
from schemas.sleeves import SleevesBooked
from tests.bench.record import finish, options, quantile
from tests.journals import DAY, SECOND, T0, Inputs
from tests.unit.core.planted import state_of, view

ROUNDS, SKIPPED = 64, 4
CASES = ((2, 20), (10, 20), (2, 100), (10, 100))
"""Strategies and names."""


def world(strategies: int, names: list[str], rng: np.random.Generator) -> State:
    """A portfolio that may go short, after five sessions."""
    make = Inputs()
    inputs = [make.listed(name, lot="0") for name in names]
    inputs += [make.registered(f"s{k}") for k in range(strategies)]
    inputs.append(make.opened("p"))
    for day in range(5):
        closes = rng.uniform(5.0, 50.0, len(names)).tolist()
        inputs.append(make.close(dict(zip(names, closes, strict=True)), T0 + day * DAY))
    state = state_of(*inputs)
    state.parameters = Parameters(sleeves="books", learning=False)
    terms = {"position_min": -0.1, "position_max": 0.1, "gross_max": 2.0}
    state.portfolios["p"].mandate = Mandate.model_validate(terms)
    return state


def speak(state: State, strategies: int, names: list[str], rng: np.random.Generator) -> None:
    """Every strategy says something of every name."""
    said: list[View] = [
        view(
            signal_id=f"{k}-{name}-{state.clock}", source=f"s{k}", strategy="x", instrument=name,
            direction=int(rng.choice([-1, 1])), strength=float(rng.uniform(0.1, 0.9)),
        )
        for k in range(strategies)
        for name in names
    ]  # fmt: skip
    state.views.update({one.key: one for one in said})


@contextmanager
def timed(found: dict[str, list[float]], what: str) -> Iterator[None]:
    """Processor milliseconds of the block."""
    began = time.process_time()
    yield
    found.setdefault(what, []).append((time.process_time() - began) * 1000.0)


def measured(strategies: int, count: int) -> dict[str, float]:
    """Medians by part; bytes: of the event."""
    rng = np.random.default_rng(1)
    names = [f"N{i:03}" for i in range(count)]
    state, allocator = world(strategies, names, rng), CvxAllocator(SolverSettings())
    risk, portfolio = risk_model(), state.portfolios["p"]
    parts: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        portfolio.open_trades.clear()
        speak(state, strategies, names, rng)
        state.clock = T0 + 5 * DAY + number * SECOND
        portfolio.round = Round("signals", state.clock)
        with timed(parts, "decision, all of it"):
            said = close_round(state, portfolio, allocator=allocator, risk_model=risk)
        found = situation(state, portfolio, risk)
        decided = next(one for one in said if isinstance(one, AllocationDecided))
        if found is None:
            continue
        answer = allocator.allocate(found.problem)
        with timed(parts, "sleeves"):
            sleeves_of(
                state, portfolio, found.problem, found.combination,
                horizon=found.horizon, tilt=NEUTRAL,
            )  # fmt: skip
        with timed(parts, "sizes"):
            sizes = sized(found, answer)
        with timed(parts, "netting"):
            sleeves_booked(state, portfolio, found, sizes, decided)
        for event in said:
            booking = isinstance(event, SleevesBooked)
            with timed(parts, "booking" if booking else "the rest"):
                evolve_output(state, event)
            if booking:
                parts.setdefault("bytes", []).append(float(len(event.model_dump_json())))
    medians = {what: quantile(values[SKIPPED:], 0.5) for what, values in parts.items()}
    whole = sum(medians[what] for what in ("sleeves", "sizes", "netting", "booking"))
    return medians | {"added": whole}


def main() -> int:
    """Print a line for each case."""
    args = options(__doc__ or "").parse_args()
    pin_threads()
    figures = {}
    for strategies, count in CASES:
        found = measured(strategies, count)
        figures[f"{strategies} strategies, {count} names"] = found
        print(f"{strategies:3d} strategies {count:4d} names: {found['added']:.2f} ms added")
    finish("strategies", figures, record=args.record)
    return 0


if __name__ == "__main__":
    sys.exit(main())

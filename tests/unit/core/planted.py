"""Small states for the tests of the core's parts, made through the engine's own evolve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from coordinator.core.board import Board, lay_out
from coordinator.core.evolve import evolve_input
from coordinator.core.match import Combination, Weighing, combine
from coordinator.core.picks import Legs
from coordinator.core.ports import Floats
from coordinator.core.recall import Recall
from coordinator.core.state import State, View
from schemas.entries import Stamp
from schemas.registry import parse_event
from tests.journals import T0, Input, Inputs, started

__all__ = ["Scored", "alike", "board_of", "combined", "feed", "state_of", "view"]


def alike(board: Board, correlation: float) -> Floats:
    """Any two sources of a board err together as much."""
    found = np.full((len(board.sources), len(board.sources)), correlation)
    np.fill_diagonal(found, 1.0)
    return found


def combined(
    board: Board,
    covariance: Floats,
    *,
    prior: Floats,
    correlation: float,
    weighings: Recall[Weighing] | None = None,
) -> Combination:
    """`match.combine` with one correlation between any two sources."""
    between = alike(board, correlation)
    return combine(board, covariance, prior=prior, between=between, weighings=weighings)


def feed(state: State, one: Input) -> None:
    """Apply one input to a state, as if it had been judged good."""
    raw = one.raw
    event = parse_event(json.loads(raw.payload)["type"], 1, raw.payload)
    state.clock = max(state.clock, one.at)
    stamp = Stamp(raw.topic, raw.topic_id, raw.partition, raw.offset, raw.appended_at)
    evolve_input(state, stamp, event)


def state_of(*inputs: Input) -> State:
    """A started state with the inputs in it; without any: two names, two sources, one portfolio."""
    state = State(shard=0, shards=1)
    evolve_input(state, Stamp("journal", "", 0, -1, T0), started())
    make = Inputs()
    usual = [make.listed("A"), make.listed("B"), make.registered("s"), make.registered("u")]
    usual += [make.opened("p"), make.close({"A": 10.0, "B": 20.0}, T0)]
    for one in inputs or usual:
        feed(state, one)
    return state


def view(**changes: Any) -> View:
    fields: dict[str, Any] = {
        "signal_id": "1", "source": "s", "strategy": "s", "instrument": "A", "direction": 1,
        "strength": None, "raw": 0.0, "confidence": None, "horizon": 5.0, "event_time": T0,
        "known_at": T0, "session": 1.0, "expires_at": None,
    }  # fmt: skip
    return View(**(fields | changes))


class Scored(NamedTuple):
    """One row of a board, as a test writes it."""

    view: View
    pick: int
    score: float
    skill: float
    soon: float = 0.0
    left: float = 1.0
    legs: Legs = ()

    @property
    def k(self) -> float:
        """Variance of the view in units of its pick's variance, by the formula."""
        return (1.0 - self.skill**2) / self.skill**2


def board_of(rows: Sequence[Scored], *, width: int = 4) -> Board:
    """The rows in columns. width: instruments, where some row has legs."""
    score, skill, soon, left = (
        np.array([row[i] for row in rows], dtype=float) for i in (2, 3, 4, 5)
    )
    picks = np.array([row.pick for row in rows], dtype=np.intp)
    legs = ((), *sorted({row.legs for row in rows if row.legs}))
    kind = np.array([legs.index(row.legs) for row in rows], dtype=np.intp)
    views = [row.view for row in rows]
    layout = lay_out(picks, [view.source for view in views], kind=kind, legs=legs, width=width)
    references = [view.reference for view in views]
    return Board(views, layout, score, skill, left, soon, references)

"""Limits on each position, whichever working trades fill."""

from __future__ import annotations

import cvxpy as cp

from coordinator.core.ports import AllocationProblem, Floats

__all__ = ["position_limit", "position_range"]


def position_limit(
    trades: cp.Variable,
    room_up: cp.Parameter,
    room_down: cp.Parameter,
    slack_up: cp.Expression | float = 0.0,
    slack_down: cp.Expression | float = 0.0,
) -> list[cp.Constraint]:
    """Trades stay inside the room that the position limits leave, plus slack.

    trades: (n,) signed fractions of NAV. room_up, room_down: (n,) largest and smallest trade,
    fractions of NAV, after all working buys respectively all working sells. Source: MATH, stage B
    (g = e_i and -e_i).
    """
    return [trades <= room_up + slack_up, trades >= room_down - slack_down]


def position_range(problem: AllocationProblem, trades: Floats) -> tuple[Floats, Floats]:
    """(n,) lowest and (n,) highest weight each position can end at, fractions of NAV.

    Lowest: all working sells and no working buy fills; highest: the other way round.
    """
    held = problem.filled + trades
    return held + problem.working_sells, held + problem.working_buys

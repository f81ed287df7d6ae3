"""Weights of the objective that a frontier can vary, and what they are called.

Place in the flow: named by `coordinator frontier` before anything is solved, and by
`replay.frontier`.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["OVER", "Over", "over_named"]

Over = Literal["risk", "cost", "turnover_price", "robustness", "diversification", "tracking"]
OVER: dict[Over, str] = {
    "risk": "risk_aversion",
    "cost": "cost_weight",
    "turnover_price": "turnover_price_bps",
    "robustness": "robustness",
    "diversification": "diversification",
    "tracking": "tracking",
}
"""What can be varied, and the field of a mode that says how much it weighs."""


def over_named(name: str) -> Over:
    """What is meant by a name of it, or by its field of a mode. Raises ValueError."""
    for over, field in OVER.items():
        if name in (over, field):
            return over
    message = f"{name!r} is no weight of the objective: use {', '.join(OVER)}"
    raise ValueError(message)

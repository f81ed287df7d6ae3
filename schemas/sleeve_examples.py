"""An example of a decision that was split over its strategies; beside `schemas.output_examples`."""

from __future__ import annotations

from decimal import Decimal

from schemas.sleeves import SleeveLine, SleevesBooked

__all__ = ["sleeves_example"]


def sleeves_example(at: int) -> SleevesBooked:
    """Two strategies of which one sells what the other buys, said at a time in nanoseconds UTC."""
    return SleevesBooked(
        decided_at=at,
        portfolio="balanced",
        decision_id="balanced:1",
        nav=Decimal(1_000_000),
        sized_by="split",
        instruments=("600519.SH",),
        prices=(1443.99,),
        strategies=(
            SleeveLine(
                strategy="momentum/weekly",
                size=0.0029,
                wished=0.0035,
                size_max=0.004,
                gross=0.1733,
                crossed=0.0289,
                housed=0.0,
                sent=0.1444,
                credit=0.0000087,
                weight_before=0.0,
                value_before=Decimal(0),
                units=(120.0,),
            ),
            SleeveLine(
                strategy="reversal/daily",
                size=0.0005,
                wished=0.0009,
                gross=0.0289,
                crossed=0.0289,
                housed=0.0,
                sent=0.0,
                credit=0.0000087,
                weight_before=0.0,
                value_before=Decimal(0),
                units=(-20.0,),
            ),
        ),
        house_weight=0.0,
        saved=0.0000174,
    )

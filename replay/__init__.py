"""Play logs again: backtest on them, verify them, audit them, ask them for reasons.

    from replay import audit_lookahead, backtest, explain_decision, verify

Each takes a path or an open log reader, and needs no server.
"""

from __future__ import annotations

from coordinator.quality.reasons import explain_decision
from replay.backtest import BacktestSummary, backtest, run_backtest
from replay.lookahead import LookaheadReport, audit_lookahead
from replay.verify import VerifyReport, verify

__all__ = [
    "BacktestSummary",
    "LookaheadReport",
    "VerifyReport",
    "audit_lookahead",
    "backtest",
    "explain_decision",
    "run_backtest",
    "verify",
]

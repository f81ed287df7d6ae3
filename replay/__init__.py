"""Play logs again: verify them, backtest on them, audit them, ask them for reasons."""

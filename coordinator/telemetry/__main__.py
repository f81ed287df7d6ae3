"""Print the tables of metrics: `python -m coordinator.telemetry`, for ops/docs/operations.md.

Place in the flow: run by hand after a metric changed; a test holds the page to it. Must never
measure anything.
"""

from __future__ import annotations

import sys

from coordinator.telemetry.reference import metrics_tables

if __name__ == "__main__":
    sys.stdout.write(metrics_tables())

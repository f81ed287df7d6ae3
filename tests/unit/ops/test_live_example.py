"""The example that README.md sends first is enough for a signal to become a decision."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from coordinator.cli.events import Filter, listing
from coordinator.cli.send import read_lines
from coordinator.log.open import open_reader

EXAMPLE = Path(__file__).parents[3] / "ops" / "examples" / "live.jsonl"
TIMEOUT_S = 120


def test_every_line_of_the_example_may_be_sent() -> None:
    good, bad = read_lines(EXAMPLE.read_bytes().splitlines())
    assert not bad
    assert {line.topic for line in good} == {"control", "market", "portfolios"}


def test_after_the_example_one_signal_gives_a_decision_with_a_trade(tmp_path: Path) -> None:
    signal = {
        "type": "SignalIssued", "event_id": "s-1", "event_time": datetime.now(UTC).isoformat(),
        "source": "momentum", "strategy": "momentum", "instrument": "ACME", "direction": 1,
        "strength": 0.7,
    }  # fmt: skip
    log = tmp_path / "run.sqlite"
    words = ["run", "--local", "--until-end", "--log", str(log)]
    subprocess.run(
        [sys.executable, "-m", "coordinator", *words],
        input=EXAMPLE.read_bytes() + json.dumps(signal).encode() + b"\n",
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    with closing(open_reader(log)) as reader:
        (decided,) = listing(reader, Filter(type="AllocationDecided"))
    assert [trade["instrument"] for trade in decided.event["trades"]] == ["ACME"]

"""What a soak reads from the decisions while it runs."""

from __future__ import annotations

import json

from tests.bench.soak import Told


def test_verdicts_are_counted_by_what_they_say_and_rounds_are_passed_on() -> None:
    told = Told()

    def say(name: str, **event: object) -> object:
        return told(json.dumps({"type": name, "event": event}, separators=(",", ":")).encode())

    say("AllocationDecided", portfolio="p0")
    say("SignalExpired", source="s0", signal_id="r-0", reason="superseded")
    say("SignalExpired", source="s0", signal_id="r-1")
    say("SignalRejected", source="s0", signal_id="r-2", reason="late")
    used = say("RoundClosed", portfolio="p0", signals_used=["s0/r-3", "s1/r-4"])
    assert used == ("p0", ["r-3", "r-4"])
    assert told.decisions == 1
    assert dict(told.verdicts) == {
        "expired: superseded": 1, "expired: time": 1, "rejected: late": 1,
    }  # fmt: skip

"""The command line with what fails when told so: sends, and this machine's clock.

Place in the flow: chaos starts its parts through it. After SIGUSR1 the next send fails before
anything left; after SIGUSR2 it is done and its answer is lost, which a sender cannot tell apart.
With the first two realtime signals the clock jumps on by an hour, or back.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence

from coordinator.cli.main import main
from coordinator.log.kafka.sending import Outgoing, Partition, Sender, SendFailed, Sent

FAILS, LOSES = "send fails", "answer is lost"
HOUR = 3_600 * 10**9
JUMPS = {signal.SIGRTMIN: HOUR, signal.SIGRTMIN + 1: -HOUR}
_planned: list[str] = []


def _say(fault: str) -> None:
    print(f'{{"event":"planted","fault":"{fault}"}}', file=sys.stderr, flush=True)


def _plant_clock() -> None:
    """The time of day moves when told so; how long something takes does not."""
    now, moved = time.time_ns, [0]

    def jump(number: int, _: object) -> None:
        moved[0] += JUMPS[number]
        _say(f"clock jumps by {JUMPS[number] // HOUR:+d} h")

    time.time_ns = lambda: now() + moved[0]
    time.time = lambda: (now() + moved[0]) / 1e9
    for number in JUMPS:
        signal.signal(number, jump)


def plant() -> None:
    """From now on the signals are understood."""
    _plant_clock()
    send = Sender.send

    async def failing(
        self: Sender, batches: Mapping[Partition, Sequence[Outgoing]]
    ) -> dict[Partition, list[Sent]]:
        if not _planned or self._failed:
            return await send(self, batches)
        plan = _planned.pop()
        sent = await send(self, batches) if plan == LOSES else None
        self._failed = True
        _say(plan)
        raise SendFailed(f"planted: {plan}, {sent is not None}")

    Sender.send = failing  # type: ignore[method-assign] # that is the fault
    signal.signal(signal.SIGUSR1, lambda *_: _planned.append(FAILS))
    signal.signal(signal.SIGUSR2, lambda *_: _planned.append(LOSES))


if __name__ == "__main__":
    plant()
    sys.exit(main())

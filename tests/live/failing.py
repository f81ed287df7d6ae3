"""The command line with sends that fail when told so: SIGUSR1 and SIGUSR2.

Place in the flow: chaos starts its parts through it. After SIGUSR1 the next send fails before
anything left; after SIGUSR2 it is done and its answer is lost, which a sender cannot tell apart.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence

from coordinator.cli.main import main
from coordinator.log.kafka.sending import Outgoing, Partition, Sender, SendFailed, Sent

FAILS, LOSES = "send fails", "answer is lost"
_planned: list[str] = []


def plant() -> None:
    """From now on the two signals are understood."""
    send = Sender.send

    async def failing(
        self: Sender, batches: Mapping[Partition, Sequence[Outgoing]]
    ) -> dict[Partition, list[Sent]]:
        if not _planned or self._failed:
            return await send(self, batches)
        plan = _planned.pop()
        sent = await send(self, batches) if plan == LOSES else None
        self._failed = True
        print(f'{{"event":"planted","fault":"{plan}"}}', file=sys.stderr, flush=True)
        raise SendFailed(f"planted: {plan}, {sent is not None}")

    Sender.send = failing  # type: ignore[method-assign] # that is the fault
    signal.signal(signal.SIGUSR1, lambda *_: _planned.append(FAILS))
    signal.signal(signal.SIGUSR2, lambda *_: _planned.append(LOSES))


if __name__ == "__main__":
    plant()
    sys.exit(main())

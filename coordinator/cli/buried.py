"""Dead letters that a command made, counted on stderr when it ends: nobody should have to ask.

Place in the flow: used by `coordinator run --local`. Reads the dead-letter topics of its log from
where they stood when it began. It must never show a reason unescaped: it quotes other people's
input.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from coordinator.cli.console import counted, printable
from coordinator.core.ports import LogReader
from coordinator.core.route import decode_dead_letter
from schemas.registry import INPUT_TOPICS

__all__ = ["Burials"]

REASONS_SHOWN = 5


class Burials:
    """Dead letters of a log since this was made."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._starts = {topic: reader.end(f"{topic}.dlq", 0) for topic in INPUT_TOPICS}

    def tell(self, log: Path) -> None:
        """Say on stderr how many there are, of which reasons, and where they lie; nothing if none.

        log: for the command that shows them.
        """
        counts = Counter(self._reasons())
        if not counts:
            return
        total = counts.total()
        lines = [
            f"warning: {counted(total, 'dead letter')}: these lines of the input changed nothing",
            *(
                f"  {count:,}  {topic}: {reason}"
                for (topic, reason), count in islice(counts.most_common(), REASONS_SHOWN)
            ),
        ]
        if (more := len(counts) - REASONS_SHOWN) > 0:
            lines.append(f"  and {counted(more, 'other reason')}")
        lines.append(f"  all of them: coordinator dlq list --log {shlex.quote(str(log))}")
        for line in lines:
            print(printable(line), file=sys.stderr)

    def _reasons(self) -> Iterator[tuple[str, str]]:
        for topic, start in self._starts.items():
            for record in self._reader.read(f"{topic}.dlq", 0, start):
                yield topic, decode_dead_letter(record.payload).reason

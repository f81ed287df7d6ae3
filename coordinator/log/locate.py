"""Where a segment is damaged: decoded in a child process, because decoding it may kill it.

Place in the flow: `segments` asks when a file's digest is wrong, to name a position in its error.
What the child reads is never given to a reader of the log.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from coordinator.log.errors import CorruptRecord, LogError, LogUnreadable
from coordinator.log.segment_file import Segment, SegmentFile, parse_name

__all__ = ["damage_in", "main"]

_SECONDS_MAX = 60
_REPORT_EVERY = 256


def damage_in(segment: Segment, found: LogUnreadable) -> LogError:
    """`found` made more exact: the first bad record or the last good one, if a child can tell."""
    # The parent's import path, so that a source tree that is not installed works too.
    imports = f"import sys; sys.path[:] = {sys.path!r}; from coordinator.log.locate import main"
    try:
        child = subprocess.run(  # noqa: S603  Our own interpreter and code; the path is one argument.
            [sys.executable, "-c", f"{imports}; main()", os.fspath(segment.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return found
    lines = child.stdout.decode("ascii", "replace").splitlines()
    good = [int(line.removeprefix("good ")) for line in lines if line.startswith("good ")]
    where, topic, shard = str(segment.path), segment.topic, segment.shard
    if lines and lines[-1].startswith("bad "):
        position = int(lines[-1].removeprefix("bad "))
        return CorruptRecord(topic, shard, position, where=where, what=found.what)
    if good:
        return LogUnreadable(where, found.what, last_good=(topic, shard, good[-1]))
    return found


def main() -> None:
    """Child: read the segment on the command line, telling progress, until something is wrong."""
    segment = parse_name(Path(sys.argv[1]))
    if segment is None:
        return
    position = segment.first - 1
    try:
        file = SegmentFile(segment, segment.path.read_bytes())
        for count, record in enumerate(file.read(segment.first, segment.last + 1), 1):
            position = record.position
            if count % _REPORT_EVERY == 0:
                _tell("good", position)
    except CorruptRecord as error:
        # A damaged position names nothing; the record after the last good one is the bad one.
        named = position < error.position <= segment.last
        _tell("bad", error.position if named else position + 1)
    except LogError:
        _tell("good", position)


def _tell(word: str, position: int) -> None:
    sys.stdout.write(f"{word} {position}\n")
    sys.stdout.flush()

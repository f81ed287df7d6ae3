"""The question before a command that cannot be taken back.

Place in the flow: asked by commands that write to a log or delete from it. It must never take
silence, or a closed input, for a yes.
"""

from __future__ import annotations

import sys

from coordinator.cli.console import complain, printable

__all__ = ["agreed"]


def agreed(what: str, *, yes: bool) -> bool:
    """Whether whoever calls the command wants that: by --yes, or by typing it."""
    if yes:
        return True
    if not sys.stdin.isatty():
        complain(f"{what}: say --yes, there is nobody to ask")
        return False
    sys.stderr.write(f"{printable(what)}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}

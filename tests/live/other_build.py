"""The command line of another build: one constant of its risk model differs, and so does its hash.

Place in the flow: tests start it where the engine's next build would be started.
"""

from __future__ import annotations

import hashlib
import sys

from coordinator import bootstrap
from coordinator.cli.main import main
from coordinator.learning import returns

__all__: list[str] = []

_OURS = bootstrap._build
SHARE = returns._VARIANCE_WEIGHT_SHARE


def _theirs() -> str:
    return hashlib.sha256(f"{_OURS()} with another constant".encode()).hexdigest()


if __name__ == "__main__":
    bootstrap._build = _theirs
    returns._VARIANCE_WEIGHT_SHARE = SHARE * 1.01
    sys.exit(main())

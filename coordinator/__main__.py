"""`python -m coordinator`: the command line where its script is not on the path.

Place in the flow: nothing but a second name for `coordinator`.
"""

from __future__ import annotations

import sys

from coordinator.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())

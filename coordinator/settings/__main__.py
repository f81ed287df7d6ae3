"""Print the page of all settings: `python -m coordinator.settings > ops/docs/settings.md`.

Place in the flow: run by hand after a setting changed; a test holds the page to it. Must never read
the settings of this machine.
"""

from __future__ import annotations

import sys

from coordinator.settings.reference import reference_page

if __name__ == "__main__":
    sys.stdout.write(reference_page())

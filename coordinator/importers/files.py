"""Files: what may be opened at all, and TOML from it within bounds.

Place in the flow: before any reader of this package. A device, a pipe or a file beyond all measure
is refused by its size and kind: it must never be opened, for reading it might not end.
"""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from coordinator.importers.errors import ImportFailed

__all__ = ["KEY_PARTS_MAX", "TOML_BYTES_MAX", "read_toml", "regular_size"]

TOML_BYTES_MAX = 1 << 20
KEY_PARTS_MAX = 50
"""Parts of a dotted key; the language has 3, and the time to read one grows with their square."""

_LONG_KEY = re.compile(
    r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){%d}""" % KEY_PARTS_MAX  # noqa: UP031 - braces
)


def regular_size(path: Path) -> int:
    """Bytes of a regular file. Raises ImportFailed for anything else."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ImportFailed(
            str(path), f"it cannot be read ({why})", remedy="check the path"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise ImportFailed(
            str(path), "it is no regular file", remedy="give a file, not a folder, pipe or device"
        )
    return found.st_size


def read_toml(path: Path) -> dict[str, Any]:
    """The tree of a TOML file of at most TOML_BYTES_MAX. Raises ImportFailed."""
    if regular_size(path) > TOML_BYTES_MAX:
        raise _too_large(path)
    try:
        with path.open("rb") as file:
            content = file.read(TOML_BYTES_MAX + 1)
    except OSError as error:
        raise ImportFailed(
            str(path), f"it cannot be read ({error.strerror or error})", remedy="check the path"
        ) from error
    if len(content) > TOML_BYTES_MAX:
        raise _too_large(path)
    try:
        text = content.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            what = f"a dotted name has more than {KEY_PARTS_MAX} parts"
            raise ImportFailed(path.name, what, remedy="write the keys as the page has them")
        return tomllib.loads(text)
    except RecursionError as error:
        raise ImportFailed(
            path.name, "no readable TOML (nested too deeply)", remedy="mend it"
        ) from error
    except ValueError as error:  # of TOML, of UTF-8, and of an integer with thousands of digits
        raise ImportFailed(path.name, f"no readable TOML ({error})", remedy="mend it") from error


def _too_large(path: Path) -> ImportFailed:
    return ImportFailed(
        str(path), f"it is larger than {TOML_BYTES_MAX:,} bytes", remedy="give the portfolios' file"
    )

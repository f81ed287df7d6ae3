"""Lists of names for texts, which have an end.

Place in the flow: used wherever a remark or a rejection names limits. The texts of events are
bounded by their schema, and a portfolio may break hundreds of limits.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["listed"]

_LETTERS_MAX = 1500


def listed(names: Sequence[str], *, named_max: int = 12) -> str:
    """The first names, as many as there is room for, and how many more there are."""
    kept, letters = 0, 0
    for name in names[:named_max]:
        letters += len(name) + 2
        if letters > _LETTERS_MAX:
            break
        kept += 1
    rest = len(names) - kept
    said = ", ".join(names[:kept])
    if not rest:
        return said
    return f"{said}, and {rest} more" if kept else f"{rest} limits"

"""Likeness: how much the errors of two sources go together, so that copies do not count twice.

Place in the flow: read at the end of a round, before `match` pools views. Reads the state, changes
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.state import Source
from schemas.control import Parameters

__all__ = ["errors_between"]


def errors_between(
    names: Sequence[str], sources: Mapping[str, Source], parameters: Parameters
) -> Floats:
    """(s, s) correlation of the view errors of registered sources, 1 on the diagonal.

    What is assumed of any two, or of two of one error group where that is more. Positive definite:
    a multiple of ones, and of ones within each group, and a rest of each one's own.
    """
    found = np.full((len(names), len(names)), parameters.view_correlation)
    groups = [sources[name].terms.error_group for name in names]
    alike = max(parameters.view_correlation, parameters.group_correlation)
    for i, group in enumerate(groups):
        for j in range(i):
            if group is not None and group == groups[j]:
                found[i, j] = found[j, i] = alike
    np.fill_diagonal(found, 1.0)
    return found

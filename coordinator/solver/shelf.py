"""Compiled models, kept by what they are for: all that lives from one problem to the next.

Place in the flow: `by_model`, `house` and `solve` take models from it. What a model holds is
overwritten before each solve.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from coordinator.solver.further import Counts
from coordinator.solver.least import Least, build_least
from coordinator.solver.model import Model, Restoration, build_model, build_restoration
from coordinator.solver.model_terms import Shape
from coordinator.solver.settings import SolverName

__all__ = ["ModelShelf"]

_Made = TypeVar("_Made", Model, Restoration, Least)
_Key = tuple[str, int, str, Counts, Shape]
_NO_ROWS = Counts()
_PLAIN = Shape()


class ModelShelf:
    """Compiled models by purpose, size, solver and rows; the least recently used one goes first.

    Compiling is all that is kept: what a model holds is overwritten before each solve.
    """

    def __init__(self, models_max: int) -> None:
        """models_max: most models kept at a time."""
        self._models: OrderedDict[_Key, Model | Restoration | Least] = OrderedDict()
        self._models_max = models_max

    def model(
        self, n: int, solver: SolverName, rows: Counts = _NO_ROWS, shape: Shape = _PLAIN
    ) -> Model:
        """The allocation model for n instruments, so many rows and terms, for one solver."""
        build = partial(build_model, counts=rows, shape=shape)
        return self._take(("model", n, solver, rows, shape), build)

    def restoration(self, n: int, solver: SolverName, shape: Shape = _PLAIN) -> Restoration:
        """The phase-1 model for n instruments, for one solver."""
        build = partial(build_restoration, shape=shape)
        return self._take(("restoration", n, solver, _NO_ROWS, shape), build)

    def least(self, n: int, solver: SolverName, rows: Counts, shape: Shape = _PLAIN) -> Least:
        """The search for the least violation with so many further rows, for one solver."""
        build = partial(build_least, counts=rows, shape=shape)
        return self._take(("least", n, solver, rows, shape), build)

    def _take(self, key: _Key, build: Callable[[int], _Made]) -> _Made:
        made = self._models.pop(key, None)
        if made is None:
            made = build(key[1])
            if len(self._models) >= self._models_max:
                self._models.popitem(last=False)
        self._models[key] = made
        return cast("_Made", made)

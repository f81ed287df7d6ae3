"""Likeness: how much the errors of two sources go together, so that copies do not count twice.

Place in the flow: taught by `learn` with the opinions that two sources hold of one name at the same
moment, read at the end of a round before `match` pools views. A score is rho z + sqrt(1 - rho^2)
times an error of its own, so that of two sources' scores that correlate by r, the errors do by
(r - rho_i rho_j) / sqrt((1 - rho_i^2) (1 - rho_j^2)). An inverted source's view is turned round,
and its error with it. Estimates are shrunk towards what is assumed, by the number of opinions they
rest on. Source: Ledoit and Wolf 2004, for the shrinkage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from coordinator.core.ports import Floats
from coordinator.core.skill import learned_skill
from schemas.control import Parameters

if TYPE_CHECKING:
    from coordinator.core.state import Source

__all__ = ["CORRELATION_MOST", "Pairs", "errors_between"]

CORRELATION_MOST = 0.98
"""The most that is solvable, and the most that is believed."""
SOURCES_MAX = 500
"""Sources that are compared with each other; further ones keep what is assumed of them."""
SKILL_MOST = 0.95
LEAST_EIGENVALUE = 1e-3


class Pairs:
    """Sums over names of which two sources spoke at the same moment, with weights.

    names: in the order in which they came. products: (s, s) of both scores. squares: (s, s) of the
    row's own score where the column spoke, too.
    """

    __slots__ = ("_places", "names", "products", "squares")

    def __init__(
        self,
        names: Sequence[str] = (),
        products: Floats | None = None,
        squares: Floats | None = None,
    ) -> None:
        size = len(names)
        self.names = list(names)
        self.products: Floats = np.zeros((size, size)) if products is None else products
        self.squares: Floats = np.zeros((size, size)) if squares is None else squares
        self._places = {name: place for place, name in enumerate(self.names)}

    def add(self, opinions: Sequence[tuple[str, str, float, float]]) -> None:
        """Opinions of one moment: (source, instrument, score, weight), one each of a name."""
        speakers = sorted({source for source, _, _, _ in opinions})
        if len(speakers) < 2:  # noqa: PLR2004 - nobody to be compared with
            return
        self._welcome(speakers)
        columns = {name: i for i, name in enumerate(sorted({one[1] for one in opinions}))}
        scores = np.zeros((len(self.names), len(columns)))
        spoke = np.zeros(scores.shape)
        for source, instrument, score, weight in opinions:
            place = self._places.get(source)
            if place is not None:
                root = weight**0.5
                scores[place, columns[instrument]] = score * root
                spoke[place, columns[instrument]] = 1.0
        self.products += scores @ scores.T
        self.squares += scores**2 @ spoke.T

    def _welcome(self, speakers: Sequence[str]) -> None:
        """Room for sources that were not heard before."""
        fresh = [name for name in speakers if name not in self._places]
        fresh = fresh[: max(0, SOURCES_MAX - len(self.names))]
        if not fresh:
            return
        for name in fresh:
            self._places[name] = len(self.names)
            self.names.append(name)
        more = len(fresh)
        self.products = np.pad(self.products, (0, more))
        self.squares = np.pad(self.squares, (0, more))

    def fade(self, by: float) -> None:
        """A session has passed: all that was seen counts less."""
        self.products *= by
        self.squares *= by

    def seen(self, names: Sequence[str]) -> tuple[Floats, Floats]:
        """(s, s) correlation of the scores of these sources, and how much it rests on."""
        places = np.array([self._places.get(name, -1) for name in names], dtype=np.intp)
        both = np.ix_(places, places)
        known = (places >= 0)[:, None] & (places >= 0)
        if not len(self.names):
            nothing = np.zeros(known.shape)
            return nothing, nothing
        products = np.where(known, self.products[both], 0.0)
        squares = np.where(known, self.squares[both], 0.0)
        size = np.sqrt(squares * squares.T)
        correlation = np.divide(products, size, out=np.zeros(size.shape), where=size > 0)
        return np.clip(correlation, -1.0, 1.0), size


def errors_between(
    names: Sequence[str], sources: Mapping[str, Source], pairs: Pairs, parameters: Parameters
) -> Floats:
    """(s, s) correlation of the view errors of registered sources, 1 on the diagonal.

    What is assumed of any two, or of two of one error group where that is more, moved by what was
    seen. Positive definite, beside the diagonal at most what is solvable.
    """
    assumed = _assumed(names, sources, parameters)
    seen, weight = pairs.seen(names)
    rho = np.array([_skill(sources[name], parameters) for name in names])
    rest = np.sqrt(1.0 - rho**2)
    errors = (seen - np.outer(rho, rho)) / np.outer(rest, rest)
    # A view is its score over its skill: the error of an inverted source is turned round with it.
    turned = errors * np.sign(np.outer(rho, rho))
    prior = parameters.error_count_prior
    found = (prior * assumed + weight * turned) / (prior + weight)
    found = np.clip(found, 0.0, CORRELATION_MOST)
    np.fill_diagonal(found, 1.0)
    return _definite(found)


def _assumed(names: Sequence[str], sources: Mapping[str, Source], parameters: Parameters) -> Floats:
    groups = [sources[name].terms.error_group for name in names]
    alike = np.array([[a is not None and a == b for b in groups] for a in groups], dtype=np.bool_)
    within = max(parameters.view_correlation, parameters.group_correlation)
    return np.where(alike.reshape(len(names), len(names)), within, parameters.view_correlation)


def _skill(source: Source, parameters: Parameters) -> float:
    """Of its usual horizon; a skill of nothing has the sign of its prior."""
    rho = learned_skill(source.skill, source.terms.horizon_sessions, parameters)
    return max(-SKILL_MOST, min(SKILL_MOST, rho)) or parameters.skill_prior


def _definite(matrix: Floats) -> Floats:
    """The matrix, or where estimates of pairs do not fit together, the nearest that is definite.

    Eigenvalues below the least are raised to it, and the diagonal is made 1 again.
    """
    values, vectors = np.linalg.eigh(matrix)
    if not len(values) or float(values[0]) >= LEAST_EIGENVALUE:
        return matrix
    raised = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    size = np.sqrt(np.diag(raised))
    found: Floats = raised / np.outer(size, size)
    return np.clip(found, -1.0, 1.0)

"""Published: a risk service's model, held until it is too old, joined to the engine's own.

Place in the flow: judged by `intake`, kept by `evolve`, used wherever a covariance is asked for.

**Joining.** The service knows names P, the engine's own model, Sigma, all of them, P and O. What is
used has the service's block V on P, and on O what the engine's own model says of O *given* P:

    with B = Sigma_PP^-1 Sigma_PO:   [[V, V B], [B' V, Sigma_OO - Sigma_OP B + B' V B]]

Of all joint normal distributions in which P has the covariance V this is the nearest to the
engine's own in relative entropy. Its Schur complement of V is that of Sigma, so it is positive
definite wherever V and Sigma are; nothing has to be shrunk. V has at least a ten-thousandth of each
name's variance as its own, so that it is, too. Source: Csiszar 1975 (the marginal is replaced, the
conditional distribution stays).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, with_config

from coordinator.core.instrument import Instrument
from coordinator.core.ports import Floats
from schemas.market import RiskModelPublished

__all__ = ["Published", "covers", "joined", "published_of", "read", "together", "written"]

OWN_LEAST = 1e-4
"""Share of a name's variance that is its own, at least."""


@dataclass(frozen=True, eq=False)
class Published:
    """A model as it is used: covariance = rows' rows + diag(rest), one session's.

    at: the producer's time of it, ns. session: sessions passed when it came. rows: (k, n), one a
    factor; rest: (n,), above 0.
    """

    name: str
    at: int
    session: float
    instruments: tuple[str, ...]
    rows: Floats
    rest: Floats

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each instrument."""
        return {name: place for place, name in enumerate(self.instruments)}

    def block(self, names: tuple[str, ...]) -> Floats:
        """(k, k) covariance of some of its instruments."""
        at = [self.places[name] for name in names]
        rows = self.rows[:, at]
        found: Floats = rows.T @ rows
        found = (found + found.T) / 2
        found[np.diag_indices_from(found)] += self.rest[at]
        return found


def published_of(event: RiskModelPublished, *, session: float) -> Published:
    """The model of a sound event, as it is used."""
    n, k = len(event.instruments), len(event.factors)
    loadings = np.array(event.loadings).reshape(n, k)
    rows = loadings.T if event.factor_covariance is None else _root(event).T @ loadings.T
    specific = np.array(event.specific)
    variance = np.einsum("ki,ki->i", rows, rows) + specific
    rest = np.maximum(specific, OWN_LEAST * variance)
    return Published(event.name, event.event_time, session, event.instruments, rows, rest)


def _root(event: RiskModelPublished) -> Floats:
    """(k, k) R with F = R R'; what is below zero by rounding is zero."""
    size = len(event.factors)
    factors = np.array(event.factor_covariance).reshape(size, size)
    values, vectors = np.linalg.eigh((factors + factors.T) / 2)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def covers(
    published: Published | None,
    names: tuple[str, ...],
    instruments: Mapping[str, Instrument],
    currency: str,
) -> NDArray[np.bool_]:
    """(n,) of which names it speaks in a portfolio of that currency: those that are in it."""
    known = {} if published is None else published.places
    told = [name in known and instruments[name].currency == currency for name in names]
    return np.array(told, dtype=np.bool_)


def together(
    own: Callable[[], Floats],
    published: Published | None,
    names: tuple[str, ...],
    instruments: Mapping[str, Instrument],
    currency: str,
) -> Floats:
    """(n, n) one session's covariance: published where it is, the engine's own for the rest."""
    covered = covers(published, names, instruments, currency)
    if published is None or not covered.any():
        return own()
    if covered.all():
        return published.block(names)
    return joined(own(), published, names, covered)


def joined(
    own: Floats, published: Published, names: tuple[str, ...], covered: NDArray[np.bool_]
) -> Floats:
    """(n, n) covariance of names: the published block where covered, the rest given it.

    own: (n, n) the engine's own, one session's. covered: (n,) which names are of the model.
    """
    inside, outside = np.flatnonzero(covered), np.flatnonzero(~covered)
    block = published.block(tuple(names[i] for i in inside))
    across = own[np.ix_(inside, outside)]
    pulls = np.linalg.solve(own[np.ix_(inside, inside)], across)
    moved = block @ pulls
    rest = own[np.ix_(outside, outside)] - across.T @ pulls
    found = np.empty_like(own)
    found[np.ix_(inside, inside)] = block
    found[np.ix_(inside, outside)] = moved
    found[np.ix_(outside, inside)] = moved.T
    found[np.ix_(outside, outside)] = rest + pulls.T @ moved
    return (found + found.T) / 2


# -- in a checkpoint -----------------------------------------------------------------------------


@with_config(ConfigDict(strict=True))
@dataclass(frozen=True, slots=True)
class _Tree:
    """A model as it is written down; arrays in base64, little-endian."""

    name: str
    at: int
    session: float
    instruments: list[str]
    rows: str
    rest: str


_TREE = TypeAdapter(_Tree | None)


def written(published: Published | None) -> bytes:
    """As JSON."""
    if published is None:
        return _TREE.dump_json(None)
    arrays = (
        base64.b64encode(np.ascontiguousarray(one, dtype="<f8").tobytes()).decode()
        for one in (published.rows, published.rest)
    )
    names = list(published.instruments)
    return _TREE.dump_json(_Tree(published.name, published.at, published.session, names, *arrays))


def read(body: bytes) -> Published | None:
    """What `written` wrote. Raises ValueError for anything else."""
    tree = _TREE.validate_json(body)
    if tree is None:
        return None
    rows, rest = (
        np.frombuffer(base64.b64decode(one), dtype="<f8").astype(np.float64)
        for one in (tree.rows, tree.rest)
    )
    count = len(tree.instruments)
    if not count or len(rest) != count:
        message = f"published model: {len(rest)} variances of {count} instruments"
        raise ValueError(message)
    names = tuple(tree.instruments)
    return Published(tree.name, tree.at, tree.session, names, rows.reshape(-1, count), rest)

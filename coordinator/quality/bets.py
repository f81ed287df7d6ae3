"""Bets: how many independent ones a portfolio makes.

Place in the flow: measured when somebody asks; no decision reads it, as each takes eigenvalues of
the whole covariance.
"""

from __future__ import annotations

import numpy as np

from coordinator.core.ports import Floats

__all__ = ["effective_bets", "minimum_torsion"]

ROUNDS_MAX = 1_000
TOLERANCE = 1e-10
EIGENVALUE_MIN = 1e-12
"""Of a correlation matrix: what is smaller is rounding."""


def effective_bets(weights: Floats, covariance: Floats) -> float | None:
    """The exponential of the entropy of the parts of variance that uncorrelated bets have.

    The bets are the minimum torsion of what is held: the uncorrelated returns closest to those of
    the instruments. Between 1 and the number held; None: nothing is at risk. Source: Meucci 2009
    "Managing Diversification" (the entropy); Meucci, Santangelo and Deguest 2015 "Risk Budgeting
    and Diversification Based on Optimized Uncorrelated Factors" (the bets).
    """
    held = np.flatnonzero(weights)
    own, sigma = weights[held], covariance[np.ix_(held, held)]
    variance = float(own @ sigma @ own)
    if variance <= 0.0:
        return None
    torsion = minimum_torsion(sigma)
    exposures = np.linalg.solve(torsion.T, own)
    parts = np.maximum(exposures * (torsion @ (sigma @ own)) / variance, 0.0)
    parts = parts / parts.sum()
    known = parts[parts > 0.0]
    return float(np.exp(-(known * np.log(known)).sum()))


def minimum_torsion(covariance: Floats) -> Floats:
    """(k, k) t such that t'X are uncorrelated and as close to (k,) returns X as can be.

    Closest: least sum of the squared tracking errors, each over its instrument's variance. t is
    sigma x sigma^-1 with x = pi c^-1, c the root of the correlations; pi = diag(d) q, q the
    rotation of diag(d) c, d what it leaves on the diagonal, again and again.
    """
    alone = np.sqrt(np.diag(covariance))
    root = _power(covariance / np.outer(alone, alone), 0.5)
    scale, before = np.ones(len(alone)), np.inf
    stretched = root
    for _ in range(ROUNDS_MAX):
        scaled = scale[:, None] * root
        left, _, right = np.linalg.svd(scaled)
        rotation = left @ right
        scale = np.einsum("ij,ji->i", rotation, root)
        stretched = scale[:, None] * rotation
        distance = float(np.linalg.norm(root - stretched))
        if abs(before - distance) <= TOLERANCE * max(distance, 1.0):
            break
        before = distance
    inverse = np.linalg.solve(root.T, stretched.T).T
    found: Floats = alone[:, None] * inverse / alone
    return found


def _power(matrix: Floats, power: float) -> Floats:
    """Of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    found: Floats = (vectors * np.maximum(values, EIGENVALUE_MIN) ** power) @ vectors.T
    return found

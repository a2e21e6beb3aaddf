"""Quadrature nodes and weights, computed once in float64 NumPy and embedded as constants."""

import functools
import itertools

import numpy as np
from jaxtyping import Float

# Expectations over a standard normal z stop at |z| = LIMIT; a function growing like exp(r z) needs r <= 4.
LIMIT = 14.0
# Panel ends of the normal rule on each side of zero, finest where nonlinearities have their structure.
PANELS = (0.0, 0.5, 2.0, 5.0, 9.0, LIMIT)
# Enough nodes a panel to resolve the Hermite polynomial of degree 256.
PANEL_NODES = 56

# How strongly the polar nodes gather where u or v changes sign: a function that varies on a scale short
# against the standard deviation does so there. These two give 1e-9 with the fewest nodes at variance 30.
RADIAL_CLUSTER, SECTOR_CLUSTER = 3.5, 1.5

Nodes = Float[np.ndarray, " m"]


@functools.cache
def legendre_rule(low: float, high: float, count: int) -> tuple[Nodes, Nodes]:
    """Gauss-Legendre nodes and weights on [low, high]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, (high - low) / 2 * weights


@functools.cache
def normal_rule() -> tuple[Nodes, Nodes]:
    """Nodes and weights of E[f(z)], z standard normal: composite Gauss-Legendre with z = 0 a panel end."""
    rules = [legendre_rule(a, b, PANEL_NODES) for a, b in itertools.pairwise(PANELS)]
    half, weights = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    nodes = np.concatenate([-half[::-1], half])
    weights = np.concatenate([weights[::-1], weights])
    return nodes, weights * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)


@functools.cache
def hermite_basis(count: int) -> Float[np.ndarray, "m k"]:
    """Matrix of sqrt(weights) he_k(nodes), k < count.

    Its transpose maps sqrt(weights) f(nodes) to the coefficients E[f(z) he_k(z)], and it maps these back. he_k are the
    probabilists' Hermite polynomials, orthonormal under the standard normal law.
    """
    nodes, weights = normal_rule()
    rows = [np.ones_like(nodes), nodes]
    for k in range(1, count - 1):
        rows.append((nodes * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return np.stack(rows[:count], axis=1) * np.sqrt(weights)[:, None]


@functools.cache
def hermite_beyond(count: int) -> Float[np.ndarray, "r k"]:
    """What the polynomials of `hermite_basis` have beyond the nodes: with these rows added its columns are orthonormal.

    From degree 49 on they reach beyond |z| = LIMIT, where functions weigh nothing.
    """
    basis = hermite_basis(count)
    eigenvalues, vectors = np.linalg.eigh(np.eye(count) - basis.T @ basis)
    beyond = eigenvalues > 1e-14
    return np.sqrt(eigenvalues[beyond])[:, None] * vectors.T[beyond]


@functools.cache
def radial_rule(count: int) -> tuple[Nodes, Nodes]:
    """Nodes and weights of the integral of f(r) r exp(-r^2 / 2) over r > 0, dense near r = 0."""
    t, weights = legendre_rule(0.0, 1.0, count)
    nodes = LIMIT * np.sinh(RADIAL_CLUSTER * t) / np.sinh(RADIAL_CLUSTER)
    slope = LIMIT * RADIAL_CLUSTER * np.cosh(RADIAL_CLUSTER * t) / np.sinh(RADIAL_CLUSTER)
    return nodes, weights * slope * nodes * np.exp(-(nodes**2) / 2)


@functools.cache
def sector_rule(count: int) -> tuple[Nodes, Nodes]:
    """Nodes and weights of the integral of f(x) over 0 < x < 1, dense near both ends."""
    t, weights = legendre_rule(-1.0, 1.0, count)
    bent = np.tanh(SECTOR_CLUSTER * t)
    slope = SECTOR_CLUSTER * (1 - bent**2) / np.tanh(SECTOR_CLUSTER)
    return (bent / np.tanh(SECTOR_CLUSTER) + 1) / 2, weights * slope / 2

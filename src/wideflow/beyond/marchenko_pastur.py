"""The spectrum of XᵀX/d for n points with independent coordinates of variance one, as a quadrature rule."""

import numpy as np
from jaxtyping import Float

_NODES = 512


def marchenko_pastur(ratio: float, nodes: int = _NODES) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Nodes s and weights of E f(s), s an eigenvalue of the n × n matrix XᵀX/d, at `ratio` c = n/d.

    The density is √((s₊ − s)(s − s₋))/(2π c s) between s± = (1 ± √c)², and an atom of mass 1 − 1/c lies at 0 where
    c > 1. With s = 1 + c + 2√c cos θ the midpoint rule in θ is exact for polynomials of (f(s) − f(0))/s up to degree
    2·nodes − 3 in cos θ; a node at 0 carries the rest of the mass, which is the atom and what 1/s costs the rule near
    c = 1. Errors: ValueError unless the ratio is positive and finite.
    Source: Marchenko & Pastur 1967.

    >>> s, weights = marchenko_pastur(1.5)
    >>> print(f"{weights.sum():.6f} {weights @ s:.6f} {weights @ s**2:.6f}")
    1.000000 1.000000 2.500000
    """
    if not (np.isfinite(ratio) and ratio > 0):
        raise ValueError(f"marchenko_pastur: the ratio n/d must be positive and finite, got {ratio}")
    theta = np.pi * (np.arange(nodes) + 0.5) / nodes
    s = (1 - np.sqrt(ratio)) ** 2 + 4 * np.sqrt(ratio) * np.cos(theta / 2) ** 2
    weights = 2 / nodes * np.sin(theta) ** 2 / s
    return np.append(s, 0.0), np.append(weights, 1 - weights.sum())

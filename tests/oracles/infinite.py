"""Kernels of infinitely wide networks: the textbook recursion on one joint covariance, float64 NumPy, by quadrature.

A network is a tuple: ("dense", out, w, b), ("serial", *layers), ("residual", *layers) or a nonlinearity of
`oracles.scalars`. Every expectation is a brute-force integral over the plane, whatever closed form may exist.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .scalars import phi, slope

RADIUS, RADIAL_NODES, ARC_NODES = 13.0, 96, 40


class State(NamedTuple):
    nngp: np.ndarray
    ntk: np.ndarray


def kernels(spec: tuple, x: np.ndarray) -> State:
    """Both kernels of the rows of `x [n, d]` with each other."""
    K = x @ x.T / x.shape[1]
    return propagate(spec, State(K, np.zeros_like(K)))


def propagate(spec: tuple, k: State) -> State:
    name, *rest = spec
    match name:
        case "serial":
            for layer in rest:
                k = propagate(layer, k)
            return k
        case "residual":
            branch = propagate(("serial", *rest), k)
            return State(k.nngp + branch.nngp, k.ntk + branch.ntk)
        case "dense":
            _, w, b = rest
            K = w**2 * k.nngp + (0 if b is None else b**2)
            return State(K, K + w**2 * k.ntk)
        case "identity":
            return k
    return State(expectation(phi, spec, k.nngp), expectation(slope, spec, k.nngp) * k.ntk)


def expectation(f, spec: tuple, K: np.ndarray) -> np.ndarray:
    """E[f(u_i) f(u_j)] for all i, j, with u ~ N(0, K)."""
    n = len(K)
    result = np.empty((n, n))
    for i in range(n):
        for j in range(i + 1):
            result[i, j] = result[j, i] = _plane(f, spec, K[i, i], K[i, j], K[j, j])
    return result


def _plane(f, spec: tuple, a: float, c: float, b: float) -> float:
    """Polar coordinates of the plane, cut along the four rays where u or v changes sign."""
    between = np.arctan2(np.sqrt(max(a * b - c * c, 0.0)), c)  # angle between u and v
    rays = np.sort(np.mod(np.array([np.pi / 2, -np.pi / 2, between + np.pi / 2, between - np.pi / 2]), 2 * np.pi))
    starts, ends = rays, np.append(rays[1:], rays[0] + 2 * np.pi)
    t, wt = _gauss_legendre(ARC_NODES)
    angles = (starts[:, None] + (ends - starts)[:, None] * (t + 1) / 2).ravel()
    wa = ((ends - starts)[:, None] / 2 * wt).ravel()
    r, wr = _gauss_legendre(RADIAL_NODES)
    r, wr = RADIUS * (r + 1) / 2, RADIUS / 2 * wr
    wr = wr * r * np.exp(-(r**2) / 2) / (2 * np.pi)
    u = np.sqrt(a) * np.cos(angles)[:, None] * r
    v = np.sqrt(b) * np.cos(angles - between)[:, None] * r
    return float(wa @ (f(spec, u) * f(spec, v)) @ wr)


_gauss_legendre = cache(np.polynomial.legendre.leggauss)

"""Independent expectations over Gaussian pairs: plain polar Gauss-Legendre quadrature in NumPy float64."""

import numpy as np


def _rule(high, count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return high * (nodes + 1) / 2, high * weights / 2


def expectation(f, q11, q22, delta, radial=90, angular=50):
    """E[f(u) f(v)] for 1-D arrays of variances and one minus correlations; f may break at zero."""
    r, wr = _rule(14.0, radial)
    t, wt = _rule(1.0, angular)
    wr = wr * r * np.exp(-(r**2) / 2)
    std1, std2 = (np.sqrt(q)[:, None, None] for q in (q11, q22))
    theta = 2 * np.arcsin(np.sqrt(delta / 2))
    supplement = np.where(delta > 1, 2 * np.arcsin(np.sqrt((2 - delta) / 2)), np.pi - theta)
    total = 0.0
    for width, side in ((supplement, 1.0), (theta, -1.0)):
        u = std1 * np.sin(width[:, None, None] * t[:, None]) * r
        v = side * std2 * np.sin(width[:, None, None] * (1 - t)[:, None]) * r
        both = f(u) * f(v) + f(-u) * f(-v)
        total = total + width * np.einsum("nij,i,j->n", both, wt, wr)
    return total / (2 * np.pi)


def second_moment(f, q):
    """E[f(u)^2] for a 1-D array of variances, by panels on each side of zero."""
    total = 0.0
    for low in range(14):
        z, w = _rule(1.0, 60)
        z = z + low
        w = w * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        u = np.sqrt(q)[:, None] * z
        total = total + (f(u) ** 2 + f(-u) ** 2) @ w
    return total

"""Kernels of piecewise linear networks in 60-digit arithmetic: what rounding does is measured against this."""

import mpmath as mp
import numpy as np

DIGITS = 60


def relu_network(x: np.ndarray, hidden: int, w: float, b: float | None) -> tuple[np.ndarray, np.ndarray]:
    """NNGP and NTK of `hidden` × (dense, ReLU) and a dense layer, on the rows of `x`, its entries taken as exact."""
    with mp.workdps(DIGITS):
        rows = [[mp.mpf(float(v)) for v in row] for row in x]
        n, d = len(rows), len(rows[0])
        w2, b2 = mp.mpf(float(w)) ** 2, mp.mpf(float(b or 0)) ** 2
        dense = lambda K: [[w2 * K[i][j] + b2 for j in range(n)] for i in range(n)]  # noqa: E731
        K = dense([[mp.fdot(p, q) / d for q in rows] for p in rows])
        T = K
        for _ in range(hidden):
            duals = [[_relu(K[i][i], K[i][j], K[j][j]) for j in range(n)] for i in range(n)]
            K = dense([[duals[i][j][0] for j in range(n)] for i in range(n)])
            T = [[K[i][j] + w2 * duals[i][j][1] * T[i][j] for j in range(n)] for i in range(n)]
        return (np.array([[float(v) for v in row] for row in M]) for M in (K, T))


def _relu(a, c, b):
    """E[max(u, 0) max(v, 0)] and P[u > 0, v > 0]."""
    if a == 0 or b == 0:
        return mp.mpf(0), mp.mpf(1) / 4
    scale = mp.sqrt(a * b)
    cosine = min(max(c / scale, -1), 1)
    theta = mp.acos(cosine)
    return scale * (mp.sin(theta) + (mp.pi - theta) * cosine) / (2 * mp.pi), (mp.pi - theta) / (2 * mp.pi)

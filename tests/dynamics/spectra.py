"""Symmetric matrices of known eigenvalues and eigenvectors, ill-conditioned in every way that kernels are."""

import numpy as np

D = 120
RNG = np.random.default_rng(7)
VECTORS = np.linalg.qr(RNG.standard_normal((D, D)))[0]
_i = np.arange(1, D + 1.0)
SPECTRA = {
    "power law 1": D / _i,
    "power law 3": D * _i**-3,
    "zeros": D * np.where(_i > 60, 0, _i**-2),
    "clusters": D * np.repeat([1, 1e-2, 1e-4, 1e-6], D // 4) * (1 + 0.01 * RNG.random(D)),
    "exponential": D * np.exp(-_i / 6),
    "offset": D * (10 / _i**2 + 1e-2),
}


def matrix(values):
    """The matrix with these eigenvalues."""
    A = (VECTORS * values) @ VECTORS.T
    return (A + A.T) / 2


def apply(weights, block):
    """The function of the matrix that has these values at its eigenvalues, times a block."""
    return VECTORS @ (weights[:, None] * (VECTORS.T @ block))


def columns(values):
    """Noise, a smooth function, and a column that depends on both."""
    noise = np.random.default_rng(3).standard_normal((D, 2))
    smooth = apply(values / values.max(), noise[:, 1:])
    return np.concatenate([noise[:, :1], smooth, noise[:, :1] - smooth], axis=1)

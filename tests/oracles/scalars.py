"""Scalar nonlinearities and their derivatives almost everywhere, in plain NumPy.

A nonlinearity is written as a tuple: its name, then its parameters, as in ("sin", 1.0, 2.0, 0.5).
"""

import numpy as np
from scipy.special import erf, ndtr


def phi(spec: tuple, z: np.ndarray) -> np.ndarray:
    name, *p = spec
    match name:
        case "identity":
            return z
        case "relu":
            return np.maximum(z, 0)
        case "leaky_relu":
            return np.where(z > 0, z, p[0] * z)
        case "abs":
            return np.abs(z)
        case "erf":
            return erf(z)
        case "gelu":
            return z * ndtr(z)
        case "tanh":
            return np.tanh(z)
        case "sin":
            return p[0] * np.sin(p[1] * z + p[2])
        case "elu":
            return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))
        case "softsign_square":
            return z**2 / (1 + z**2)
    raise ValueError(name)


def slope(spec: tuple, z: np.ndarray) -> np.ndarray:
    name, *p = spec
    match name:
        case "identity":
            return np.ones_like(z)
        case "relu":
            return np.where(z > 0, 1.0, 0.0)
        case "leaky_relu":
            return np.where(z > 0, 1.0, p[0])
        case "abs":
            return np.sign(z)
        case "erf":
            return 2 / np.sqrt(np.pi) * np.exp(-(z**2))
        case "gelu":
            return ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        case "tanh":
            return 1 / np.cosh(z) ** 2
        case "sin":
            return p[0] * p[1] * np.cos(p[1] * z + p[2])
        case "elu":
            return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))
        case "softsign_square":
            return 2 * z / (1 + z**2) ** 2
    raise ValueError(name)

"""The Gaussian error linear unit."""

import jax.numpy as jnp
import numpy as np

from .angle import arcsin
from .dual import Dual
from .noisy import noisy
from .pair import Pair


def gelu(pair: Pair) -> Dual:
    """Dual of x Phi(x), Phi the standard normal distribution function (the exact form, not the tanh one).

    With D = (1 + q11)(1 + q22) - q12^2, G = 1 / (2 pi sqrt(D)), p_i = 1 / (1 + q_ii) and
    P = 1/4 + asin(q12 sqrt(p1 p2)) / (2 pi):
    k = q12 P + G [det + q12^2 (p1 + p2)], kdot = P + q12 G [p1 + p2 + 1/D].
    """
    noise = noisy(pair, 1.0)
    probability = 0.25 + arcsin(noise.corr, noise.complement) / (2 * np.pi)
    inverse_root = noise.precision / jnp.sqrt(noise.complement)  # 1 / sqrt(D)
    precisions = noise.precision1 + noise.precision2
    gain = inverse_root / (2 * np.pi)
    k = pair.q12 * probability + gain * (pair.det + pair.q12**2 * precisions)
    return Dual(k, probability + pair.q12 * gain * (precisions + inverse_root**2))

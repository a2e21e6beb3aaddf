"""The Gabor function: a sine wave under a Gaussian envelope."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import ScalarLike

from .dual import Dual
from .hyper import scalars
from .noisy import noisy
from .pair import Pair
from .wave import interference


def gabor(
    pair: Pair,
    amplitude: ScalarLike = 1.0,
    rate: ScalarLike = 1.0,
    frequency: ScalarLike = 1.0,
    phase: ScalarLike = 0.0,
) -> Dual:
    """Dual of A exp(-b x^2) sin(w x + s), b >= 0.

    k = A^2 [exp(-w^2 g / 2) - cos(2 s) exp(-w^2 t / 2)] / (2 sqrt(D)), with
    D = (1 + 2 b q11)(1 + 2 b q22) - 4 b^2 q12^2, g = (Var(u - v) + 4 b det) / D and
    t = (Var(u + v) + 4 b det) / D: the variances under the Gaussian law tilted by the envelope.
    kdot is dk/dq12 (Price's theorem).
    """
    amplitude, rate, frequency, phase = scalars(pair, amplitude, rate, frequency, phase)
    noise, square = noisy(pair, 2 * rate), frequency**2
    inverse = noise.precision1 * noise.precision2 / noise.complement  # 1 / D
    gap, total = (inverse * (x + 4 * rate * pair.det) for x in (pair.gap, pair.total))
    waves = (square * gap, square * total, square * inverse * pair.q12)
    height = amplitude**2 * noise.precision / jnp.sqrt(noise.complement)
    odd, even = (interference(*waves, s) for s in (phase, phase + np.pi / 2))
    # d/dq12 of 1 / sqrt(D), of the waves' phases and of the tilt of their variances, in this order.
    tilt = (1 - rate * gap) * jnp.exp(-square * gap / 2)
    tilt = tilt - jnp.cos(2 * phase) * (1 - rate * total) * jnp.exp(-square * total / 2)
    slope = 4 * rate**2 * pair.q12 * odd + square * even + 2 * rate * square * pair.q12 * tilt
    return Dual(height * odd, height * inverse * slope)

"""Sines and cosines, and the feature whose kernel is the Gaussian (RBF) kernel."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import ScalarLike

from .dual import Dual
from .hyper import scalars
from .pair import Pair
from .wave import interference


def sin(pair: Pair, amplitude: ScalarLike = 1.0, frequency: ScalarLike = 1.0, phase: ScalarLike = 0.0) -> Dual:
    """Dual of A sin(w x + s): k = A^2 [exp(-w^2 gap / 2) - cos(2 s) exp(-w^2 total / 2)] / 2.

    gap and total are the variances of u - v and u + v. kdot is A^2 w^2 times the same with a plus sign.
    """
    amplitude, frequency, phase = scalars(pair, amplitude, frequency, phase)
    square = frequency**2
    waves = (square * pair.gap, square * pair.total, square * pair.q12)
    k = amplitude**2 * interference(*waves, phase)
    return Dual(k, amplitude**2 * square * interference(*waves, phase + np.pi / 2))


def cos(pair: Pair, amplitude: ScalarLike = 1.0, frequency: ScalarLike = 1.0, phase: ScalarLike = 0.0) -> Dual:
    """Dual of A cos(w x + s), which is `sin` a quarter period ahead."""
    (phase,) = scalars(pair, phase)
    return sin(pair, amplitude, frequency, phase + np.pi / 2)


def rbf(pair: Pair, gamma: ScalarLike = 1.0) -> Dual:
    """Dual of sqrt(2) sin(sqrt(2 gamma) x + pi / 4), the random feature of the Gaussian (RBF) kernel.

    k = exp(-gamma Var(u - v)), kdot = 2 gamma k, delta = 1 - k.
    """
    (gamma,) = scalars(pair, gamma)
    exponent = -gamma * pair.gap
    k = jnp.exp(exponent)
    return Dual(k, 2 * gamma * k, -jnp.expm1(exponent))

"""Piecewise linear nonlinearities with a kink or a jump at zero, and powers of the rectifier."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import ScalarLike

from .angle import angle, bend
from .arc_cosine import arc_cosine, hinge_kernel, step_kernel
from .dual import Dual
from .hyper import scalars
from .pair import Pair


def ab_relu(pair: Pair, a: ScalarLike, b: ScalarLike) -> Dual:
    """Dual of the function with slope a for x < 0 and slope b for x > 0.

    k = a b q12 + (b - a)^2 sqrt(q11 q22) (sin t + (pi - t) cos t) / (2 pi),
    kdot = a b + (b - a)^2 (pi - t) / (2 pi). Not both slopes may be zero.
    """
    a, b = scalars(pair, a, b)
    kink = (b - a) ** 2
    k = a * b * pair.q12 + kink * pair.scale * hinge_kernel(pair.delta)
    return Dual(k, a * b + kink * step_kernel(pair.delta), _ab_relu_delta(pair, a, b))


def _ab_relu_delta(pair, a, b):
    """1 - k12 / sqrt(k11 k22), expanded from the nearer of the two ends delta = 0 and delta = 2."""
    is_obtuse = pair.delta > 1
    near = jnp.where(is_obtuse, 2 - pair.delta, pair.delta)
    power = a**2 + b**2
    opposite = ((a + b) ** 2 - 2 * a * b * near) / power
    lag = (b - a) ** 2 / power * bend(near) / np.pi
    return jnp.where(is_obtuse, opposite, near) - lag


def relu(pair: Pair) -> Dual:
    """Dual of max(0, x): k = sqrt(q11 q22) (sin t + (pi - t) cos t) / (2 pi), kdot = (pi - t) / (2 pi)."""
    return ab_relu(pair, 0.0, 1.0)


def leaky_relu(pair: Pair, slope: ScalarLike) -> Dual:
    """Dual of max(x, slope x) for a slope below one: `ab_relu` with slopes (slope, 1)."""
    return ab_relu(pair, slope, 1.0)


def abs_(pair: Pair) -> Dual:
    """Dual of |x|: `ab_relu` with slopes (-1, 1)."""
    return ab_relu(pair, -1.0, 1.0)


def step(pair: Pair) -> Dual:
    """Dual of the Heaviside step, 1 for x > 0 and 0 for x < 0: k = (pi - t) / (2 pi).

    kdot = 0: the derivative is zero almost everywhere, and training sees no gradient through a step.
    The delta function at the jump would give the infinite-on-the-diagonal 1 / (2 pi sqrt(det)).
    """
    k = step_kernel(pair.delta)
    return Dual(k, jnp.zeros_like(k), angle(pair.delta) / np.pi)


def sign(pair: Pair) -> Dual:
    """Dual of the sign: k = 1 - 2 t / pi, kdot = 0 for the reason given in `step`."""
    delta = 2 * angle(pair.delta) / np.pi
    return Dual(1 - delta, jnp.zeros_like(delta), delta)


def rectified_monomial(pair: Pair, degree: int) -> Dual:
    """Dual of max(0, x)^n: k = sqrt(q11 q22)^n J_n, kdot = n^2 sqrt(q11 q22)^(n-1) J_{n-1}.

    J_n is the arc-cosine kernel of order n. Degree 0 is `step` (kdot = 0), degree 1 is `relu`.
    """
    if degree < 0:
        raise ValueError(f"rectified_monomial(degree={degree}): want a degree of 0 or more. Use 1 for ReLU.")
    if degree == 0:
        return step(pair)
    if degree == 1:
        return relu(pair)
    lower = pair.scale ** (degree - 1)
    k = lower * pair.scale * arc_cosine(degree, pair.delta)
    return Dual(k, degree**2 * lower * arc_cosine(degree - 1, pair.delta))

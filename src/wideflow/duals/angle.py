"""The angle between two Gaussian variables, from one minus their correlation.

XLA's inverse trigonometric functions cost twenty times any other elementwise operation and lose half
of the digits near a correlation of one; a square root times a polynomial does neither.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .coefficients import ARC_FLOAT32, ARC_FLOAT64, BEND_FLOAT32, BEND_FLOAT64, evaluate
from .root import root


def _is_double(x: Float[Array, "*s"]) -> bool:
    return x.dtype == np.float64


def _arc(w: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """acos(1 - w) for w in [0, 1]."""
    return root(w) * evaluate(ARC_FLOAT64 if _is_double(w) else ARC_FLOAT32, w)


@jax.custom_jvp
def angle(delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Angle theta = acos(1 - delta) in [0, pi], for delta in [0, 2].

    Elementwise; relative accuracy is that of the dtype, near delta = 0 too. The derivative
    1 / sqrt(delta (2 - delta)) is infinite at both ends and is taken as 0 there.
    """
    is_obtuse = delta > 1
    acute = _arc(jnp.where(is_obtuse, 2 - delta, delta))
    return jnp.where(is_obtuse, np.pi - acute, acute)


@angle.defjvp
def _angle_jvp(primals, tangents):
    (delta,), (tangent,) = primals, tangents
    return angle(delta), _slope(delta) * tangent


def _slope(delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Derivative of the angle, 0 at the ends."""
    square = delta * (2 - delta)
    is_end = square <= 0
    return jnp.where(is_end, 0.0, jax.lax.rsqrt(jnp.where(is_end, 1.0, square)))


@jax.custom_jvp
def supplement(delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Supplementary angle pi - theta, to full relative accuracy near delta = 2 as well.

    Not angle(2 - delta): the subtraction loses a small delta, and the angle is its square root.
    """
    is_obtuse = delta > 1
    acute = _arc(jnp.where(is_obtuse, 2 - delta, delta))
    return jnp.where(is_obtuse, acute, np.pi - acute)


@supplement.defjvp
def _supplement_jvp(primals, tangents):
    (delta,), (tangent,) = primals, tangents
    return supplement(delta), -_slope(delta) * tangent


@jax.custom_jvp
def bend(w: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """How far an acute angle lags its chord: sin(theta) - theta cos(theta), for w = 1 - cos(theta) in [0, 1].

    Elementwise; it behaves as theta^3 / 3 near zero and keeps full relative accuracy there. Its
    derivative in w is theta.
    """
    return w * root(w) * evaluate(BEND_FLOAT64 if _is_double(w) else BEND_FLOAT32, w)


@bend.defjvp
def _bend_jvp(primals, tangents):
    (w,), (tangent,) = primals, tangents
    return bend(w), angle(w) * tangent


def arcsin(u: Float[Array, "*s"], complement: Float[Array, "*s"] | None = None) -> Float[Array, "*s"]:
    """Inverse sine of u in [-1, 1], exact near the ends where the complement 1 - u^2 is known exactly.

    Elementwise. `complement` defaults to (1 - |u|)(1 + |u|). The derivative is
    not meant for the ends themselves, where it is infinite.
    """
    if complement is None:
        complement = (1 - jnp.abs(u)) * (1 + jnp.abs(u))
    # The cosine c of the result is the root of the complement, and 1 - c = u^2 / (1 + c) does not cancel.
    inverse = 1 / (1 + root(complement))
    series = ARC_FLOAT64 if _is_double(u) else ARC_FLOAT32
    return u * jnp.sqrt(inverse) * evaluate(series, u * u * inverse)

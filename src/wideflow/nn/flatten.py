"""Pixels become channels."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from ..duals.root import root, settled
from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .patch import at_most_two


class Flatten(Layer):
    """Pixels become channels: `[n, *pixels, channels]` → `[n, pixels · channels]`.

    K' = mean over pixels of K(p, p), the same for Θ, so that only equal pixels are needed. The variance of the new
    channels differs from pixel to pixel; a nonlinearity right after Flatten is refused: put it before, it acts
    elementwise anyway. Inputs without pixels stay as they are.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.Flatten(), nn.Dense(1))
    ```
    """

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; one axis."""
        size = 1
        for length in shape:
            size *= length
        return (), (size,)

    def apply(self, params: tuple[()], x: Array) -> Array:
        """`x.reshape(n, -1)`."""
        return x.reshape(x.shape[0], -1)

    def cov(self, k: Cov) -> Cov:
        """The mean over equal pixels."""
        return k if k.pixels == 0 else _flat(k.narrow(Demand.EQUAL))

    def demand(self, need: Demand) -> Demand:
        """Equal pixels, whatever follows."""
        return Demand.EQUAL


@jax.jit
def _flat(k: Cov) -> Cov:
    arrays = dict(q1=_mean(k.q1, 1), q2=_mean(k.q2, 1), nngp=_mean(k.nngp, 2), ntk=_mean(k.ntk, 2))
    delta = None if k.delta is None else _delta_of_flat(k)
    return dataclasses.replace(k, **arrays, delta=delta, gaussian=False)


def _mean(x: Array, batch: int) -> Array:
    """The mean over pixels, axis by axis: the rounding of a long sum grows with its length."""
    while x.ndim > batch:
        x = jnp.mean(x, axis=-1)
    return x


def _delta_of_flat(k: Cov) -> Array:
    """1 − correlation from that of the pixels: Σ_p a_p b_p δ_p / (α β) + ½ Σ_p (a_p/α − b_p/β)², see `Conv`."""
    pair = k.pair()
    a, b = _profile(pair.q11), _profile(pair.q22)
    lost, spread = _mean(a * b * pair.delta, 2), settled(_mean((a - b) ** 2, 2))
    alive = (_mean(pair.q11, 2) > 0) & (_mean(pair.q22, 2) > 0)
    return jnp.where(alive, at_most_two(lost + spread / 2), 1)


def _profile(variance: Array) -> Array:
    """Standard deviations over pixels, scaled to mean square one; 0 where all are zero."""
    power = _mean(variance, 2).reshape(*variance.shape[:2], *(1,) * (variance.ndim - 2))
    return root(variance / jnp.where(power > 0, power, 1))

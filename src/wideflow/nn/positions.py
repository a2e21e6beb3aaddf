"""Random embeddings of the positions of pixels."""

from functools import partial
from math import prod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .dense import Dense
from .hyperparameter import check_number
from .layer import Layer, Shape
from .scaling import Scaling, check_scaling, own_kernel, scales
from .width import width


class Positions(Layer):
    """A random vector for every pixel, the same for all inputs, added to the features or put beside them.

    z_p = x_p + w (R^½ E)_p with E ~ N(0, 1) the parameters, one vector for each pixel, and their covariance R_pp' =
    exp(−|p − p'|/length), |p − p'| the Euclidean distance in pixels. K' = K + w² R, Θ' = Θ + lr_w w² R (Hron et al.
    2020).

    `w`: standard deviation. `length`: how far neighbours are alike; None makes positions independent, R = 1. `lr_w`:
    factor of the learning rate, 0 freezes (see `learning_rates`). All are traced. `parameterization` and
    `features`, the channels of the positions, are written by `reparameterize`. `channels`: None adds; (of the input, of
    the positions) puts that many channels of positions beside those of the input: the means over all channels, K' =
    (n K + m w² R)/(n + m), alike for Θ. R is every pixel with every pixel, and its Cholesky factor is taken at every
    `apply`. Raises ValueError for options that make no sense and for inputs they do not fit.

    As a layer it changes all that follows; as `SelfAttention(…, positions=Positions())` queries and keys alone.

    ```python
    nn.Serial(nn.Dense(64), nn.Positions(length=3.0), nn.SelfAttention(64), nn.GlobalAvgPool(), nn.Dense(1))
    ```
    """

    w: float | Float[Array, ""] = 1.0
    length: float | Float[Array, ""] | None = None
    channels: tuple[int, int] | None = eqx.field(static=True, default=None)
    lr_w: float | Float[Array, ""] = 1.0
    parameterization: str | Scaling = eqx.field(static=True, default="ntk")
    features: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_number(self, "w", low=0.0)
        check_number(self, "lr_w", low=0.0)
        if isinstance(self.length, int | float) and not 0 < self.length < float("inf"):
            raise ValueError(
                f"Positions(length={self.length}): the length must be finite and positive, got {self.length}; "
                "None makes positions independent"
            )
        if self.channels is not None and (len(self.channels) != 2 or min(self.channels) < 1):
            raise ValueError(f"Positions: channels must be two positive numbers, got {self.channels}")
        check_scaling(self)

    def as_dense(self, channels: int) -> Dense:
        """The layer with the same weights, one channel for each position, that leave it as so many `channels`."""
        return Dense(channels, self.w, lr_w=self.lr_w, parameterization=self.parameterization, channels=1.0)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Array, Shape]:
        """One standard normal vector for each pixel, `[*pixels, channels]`."""
        self._check_pixels(shape[:-1])
        if self.channels is None:
            return self._drawn(key, shape), shape
        before, added = self.channels
        if shape[-1] != before:
            raise ValueError(f"Positions: the input has {shape[-1]} channels, not those of channels={self.channels}")
        return self._drawn(key, (*shape[:-1], added)), (*shape[:-1], before + added)

    def _drawn(self, key: PRNGKeyArray, shape: Shape) -> Array:
        normal = jax.random.normal(key, shape)
        return normal * scales(self.as_dense(shape[-1]), (1, shape[-1]), normal.dtype).weight_std

    def apply(self, params: Array, x: Array) -> Array:
        """x + w R^½ E, or both side by side."""
        pixels = x.shape[1:-1]
        E = params.reshape(prod(pixels), -1)
        if self.length is not None:
            root = jnp.linalg.cholesky(1 - _apart(pixels, self.length, x.dtype))
            E = jnp.matmul(root, E, precision=jax.lax.Precision.HIGHEST)
        weight = scales(self.as_dense(params.shape[-1]), (1, params.shape[-1]), x.dtype).weight
        E = jnp.broadcast_to(weight * E.reshape(params.shape), (len(x), *params.shape))
        return x + E if self.channels is None else jnp.concatenate([x, E], axis=-1)

    def cov(self, k: Cov) -> Cov:
        """K + w² R, Θ + lr_w w² R; or the means over the channels of both."""
        self._check_pixels(k.pixel_shape)
        own = own_kernel(self.as_dense(self.features or 1), 1, k.nngp.dtype)
        return _positioned(k, self.w, self.length, None if own is None else own[0], self.channels)

    def demand(self, need: Demand) -> Demand:
        """Every pixel alone: what the output needs."""
        return need

    def _check_pixels(self, pixels: tuple[int, ...]) -> None:
        if not pixels:
            raise ValueError(
                f"{self!r}: wanted inputs with pixels, [n, *pixels, channels], got vectors [n, channels], which have "
                "no positions"
            )


@width.register(Positions)
def _(layer: Positions, before: int | None = None) -> int | None:
    return before if layer.channels is None else sum(layer.channels)


def _apart(pixels: tuple[int, ...], length: float | Float[Array, ""] | None, dtype: np.dtype) -> Array:
    """1 − R for every pair of the flattened pixels."""
    places = np.stack(np.meshgrid(*map(np.arange, pixels), indexing="ij"), axis=-1).reshape(-1, len(pixels))
    distance = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=-1))
    if length is None:
        return jnp.asarray(distance > 0, dtype)
    return -jnp.expm1(-jnp.asarray(distance, dtype) / jnp.asarray(length, dtype))


@partial(jax.jit, static_argnums=4)
def _positioned(
    k: Cov,
    w: float | Float[Array, ""],
    length: float | Float[Array, ""] | None,
    own: Array | None,
    channels: tuple[int, int] | None,
) -> Cov:
    delta = _apart(k.pixel_shape, length, k.nngp.dtype).reshape(*k.pixel_shape, *k.pixel_shape)
    if k.demand is Demand.EQUAL:
        delta = jnp.zeros(k.pixel_shape, k.nngp.dtype)
    square = jnp.asarray(w, delta.dtype) ** 2
    R = square * (1 - delta)
    q1, q2, across = (jnp.broadcast_to(R, x.shape) for x in (k.q1, k.q2, k.nngp))
    learned = across if own is None else jnp.broadcast_to(own * (1 - delta), across.shape)
    ours = Cov(q1, q2, across, learned, jnp.broadcast_to(delta, k.nngp.shape), k.demand, gaussian=True, fresh=True)
    if channels is None:
        return k + ours
    share = jnp.asarray(channels[1] / sum(channels), delta.dtype)
    beside = k.affine(1 - share, None) + ours.affine(share, None)
    return beside.replace(gaussian=False, delta=beside.delta)

"""Two inputs on their way through a deep network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from ..nn import Cov, Layer
from .moments import in_float64

Numbers = Float[np.ndarray, " depths"]


class Depths(NamedTuple):
    """Two inputs on their way through the layers, `[depth + 1]`: variance, 1 − correlation, NTK with itself, across."""

    q: Numbers
    delta: Numbers
    ntk: Numbers
    ntk12: Numbers


def depths(layer: Layer, depth: int, q: float, c: float) -> Depths:
    """Two inputs of variance `q` and correlation `c`, with Θ = K at first, through `layer` `depth` times, float64."""
    return Depths(*in_float64(lambda layer, q, delta: _through(layer, q, delta, depth), layer, q, 1 - c))


def _through(layer: Layer, q: Array, delta: Array, depth: int) -> tuple[Array, ...]:
    deltas = delta * (1 - jnp.eye(2))
    K, own = q * (1 - deltas), jnp.stack([q, q])
    k = Cov(own, own, K, K, deltas, gaussian=True, fresh=True)

    def seen(k: Cov) -> tuple[Array, ...]:
        return k.q1[0], k.pair().delta[0, 1], k.ntk[0, 0], k.ntk[0, 1]

    def step(k: Cov, _: None) -> tuple[Cov, tuple[Array, ...]]:
        new = layer.cov(k)
        return new, seen(new)

    _, rows = jax.lax.scan(step, k, None, length=depth)
    return tuple(jnp.concatenate([first[None], row]) for first, row in zip(seen(k), rows, strict=True))

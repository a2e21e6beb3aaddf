"""Dropout: channels set to zero at random."""

from math import prod
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .equal_inputs import equal_inputs
from .hyperparameter import check_number
from .layer import Layer, Shape
from .width import width

Net = TypeVar("Net", bound=Layer)


class Dropout(Layer):
    """Sets each entry of its input to zero with probability `rate`, and divides the rest by keep = 1 − rate.

    Finite form: `net.apply(params, x)` drops nothing, as for predictions. `nn.drop(net, key)` is the same network with
    masks drawn from `key`, independent for every input of the batch, pixel and channel:

    ```python
    net = nn.Serial(nn.Dense(64), nn.Relu(), nn.Dropout(0.1), nn.Dense(1))
    y = nn.drop(net, jax.random.key(1)).apply(net.init(jax.random.key(0), x), x)
    ```

    Infinite width (Schoenholz et al. 2017): the kernels are those of the network with its masks. An input with
    itself at one pixel has K' = K/keep, Θ' = Θ/keep; two inputs, or two pixels of one, have independent masks, whose
    means are one: K' = K, Θ' = Θ. Inputs that are equal where they enter the layer, in one batch or in two, count as
    one input with one mask, so that a kernel does not depend on how inputs are put into batches.

    `rate`: 0 ≤ rate < 1, traced. Inside `Repeat` all repetitions use one mask, which the kernels do not see. Raises
    ValueError for a `rate` out of range.
    """

    rate: float | Float[Array, ""]
    key: PRNGKeyArray | None = None
    sizes: tuple[Int[Array, "n1 axes"], Int[Array, "n2 axes"]] | None = None  # while MaskedNetwork works

    def __check_init__(self):
        check_number(self, "rate", low=0.0)
        if isinstance(self.rate, int | float) and self.rate >= 1:
            raise ValueError(f"Dropout({self.rate}): the rate must be below 1, or nothing is left; got {self.rate}")

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the shape stays."""
        return (), shape

    def apply(self, params: tuple[()], x: Array) -> Array:
        """x, or mask · x / keep where a key was given by `drop`."""
        if self.key is None:
            return x
        keep = 1 - jnp.asarray(self.rate, x.dtype)
        return jnp.where(jax.random.bernoulli(self.key, keep, x.shape), x / keep, 0)

    def cov(self, k: Cov) -> Cov:
        """K/keep and Θ/keep of an input with itself at one pixel; all else stays."""
        return _dropped(k, self.rate, self.sizes)

    def demand(self, need: Demand) -> Demand:
        """Every pixel alone: what the output needs."""
        return need

    def __repr__(self) -> str:
        return super().__repr__() if self.key is None else f"drop({Dropout(self.rate)!r}, …)"


def drop(net: Net, key: PRNGKeyArray) -> Net:
    """The same network, in which every `Dropout` draws its masks from a key of its own."""
    leaves, structure = jax.tree.flatten(net, is_leaf=lambda part: isinstance(part, Dropout))
    keys = jax.random.split(key, max(len(leaves), 1))
    with_keys = [
        Dropout(leaf.rate, k) if isinstance(leaf, Dropout) else leaf for leaf, k in zip(leaves, keys, strict=False)
    ]
    return jax.tree.unflatten(structure, with_keys)


@width.register(Dropout)
def _(layer: Dropout, before: int | None = None) -> int | None:
    return before


@jax.jit
def _dropped(k: Cov, rate: float | Float[Array, ""], sizes: tuple[Array, Array] | None) -> Cov:
    keep = 1 - jnp.asarray(rate, k.nngp.dtype)
    pixels, size = k.pixel_shape, prod(k.pixel_shape)
    every = k.demand is Demand.EVERY
    alike = np.eye(size, dtype=bool).reshape(*pixels, *pixels) if every else np.ones(pixels, dtype=bool)
    same = equal_inputs(k)
    if sizes is not None:
        same &= jnp.all(sizes[0][:, None] == sizes[1][None], axis=-1)
    one_mask = same.reshape(*same.shape, *(1,) * alike.ndim) & alike[None, None]
    gain, own = jnp.where(one_mask, 1 / keep, 1), jnp.where(alike, 1 / keep, 1)[None]
    delta = k.pair().delta
    return k.replace(
        q1=own * k.q1,
        q2=own * k.q2,
        nngp=gain * k.nngp,
        ntk=gain * k.ntk,
        delta=jnp.where(one_mask, delta, 1 - keep * (1 - delta)),
        gaussian=False,
    )

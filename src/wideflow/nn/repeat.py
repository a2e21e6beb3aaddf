"""A layer repeated with parameters of its own each time."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .width import width


class Repeat(Layer):
    """One layer after the other, `times` of one structure: `Repeat(Serial(Dense(512), Erf()), 20)`.

    The same network as `Serial(layer, layer, …)`, with independent parameters (hyperparameters are shared), traced
    and compiled once whatever the depth: both `apply` and `cov` are a scan. Parameters: those of `layer`, with a
    leading axis of length `times`. The layer must keep the shape of its input. Raises ValueError for `times` below
    1, and when drawing parameters for a layer that changes the shape.

    ```python
    nn.Serial(nn.Dense(512), nn.Repeat(nn.Residual(nn.Relu(), nn.Dense(512, w=0.1)), 50), nn.Dense(1))
    ```
    """

    layer: Layer
    times: int = eqx.field(static=True)

    def __check_init__(self):
        if not isinstance(self.layer, Layer):
            raise TypeError(f"Repeat: wanted a layer, got {self.layer!r}; several layers are Repeat(Serial(…), times)")
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 1:
            raise ValueError(f"Repeat: times must be an integer of at least 1, got {self.times!r}")

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Any, Shape]:
        """The parameters of all repetitions, stacked along a first axis."""
        new = jax.eval_shape(lambda k: jnp.zeros(self.layer.setup(k, shape)[1]), key).shape
        if new != shape:
            raise ValueError(
                f"Repeat: the layer must keep the shape, it turns {shape} into {new}; "
                f"put a layer with {new[-1]} channels before it"
            )
        return jax.vmap(lambda k: self.layer.setup(k, shape)[0])(jax.random.split(key, self.times)), shape

    def apply(self, params: Any, x: Array) -> Array:
        """The layer applied `times` times, each with its own parameters."""
        return jax.lax.scan(lambda x, p: (self.layer.apply(p, x), None), x, params, length=self.times)[0]

    def cov(self, k: Cov) -> Cov:
        """The layer's rule `times` times."""
        return _repeated(self.layer, self.times, k)

    def demand(self, need: Demand) -> Demand:
        """What the first repetition needs; needs settle after at most one step per kind of need."""
        for _ in range(min(self.times, len(Demand))):
            need = self.layer.demand(need)
        return need


@width.register(Repeat)
def _(layer: Repeat, before: int | None = None) -> int | None:
    inside = width(layer.layer, before)
    return inside if before is None else before


@partial(jax.jit, static_argnums=1)
def _repeated(layer: Layer, times: int, k: Cov) -> Cov:
    """The layer's rule `times` times.

    A scan needs a state that keeps its structure, and the first pass may change it (a nonlinearity drops `delta`, a
    layer with weights makes the channels Gaussian): passes are unrolled until it stays.
    """
    for done in range(times):
        if structure(jax.eval_shape(layer.cov, k)) == structure(k):
            return jax.lax.scan(lambda k, _: (layer.cov(k), None), k, length=times - done)[0]
        k = layer.cov(k)
    return k


def structure(k: Any) -> tuple[Any, ...]:
    """What a scan's state must keep: which arrays there are, their shapes and dtypes, and the flags."""
    leaves, flags = jax.tree.flatten(k)
    return (flags, *((leaf.shape, leaf.dtype) for leaf in leaves))

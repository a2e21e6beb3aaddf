"""The base of every layer: four local rules, nothing about the neighbours."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand

Shape = tuple[int, ...]


class Layer(eqx.Module):
    """A layer of a network, and by itself a network.

    A layer of your own is a subclass with these rules; see `docs/extending.md`.

    - `setup(key, shape) -> (params, shape)`: its parameters, and the shape that leaves it.
    - `apply(params, x) -> x`: what the finite layer computes.
    - `cov(k) -> k`: what the infinitely wide layer does to a covariance.
    - `demand(need) -> need`: which pixel pairs the input must carry for what the output needs.

    Shapes are those of one input, `(*pixels, channels)`; batches `x` are `[n, *pixels, channels]`.
    """

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Any, Shape]:
        """Draw the parameters for one input of this shape; return them and the shape that leaves the layer."""
        raise NotImplementedError(f"{type(self).__name__} has no rule `setup(key, shape)`")

    def apply(self, params: Any, x: Array) -> Array:
        """The finite layer's output for a batch `x [n, *pixels, channels]`."""
        raise NotImplementedError(f"{type(self).__name__} has no rule `apply(params, x)`")

    def cov(self, k: Cov) -> Cov:
        """The covariance that leaves the infinitely wide layer."""
        raise NotImplementedError(
            f"{type(self).__name__} has no infinite-width rule `cov(k)`; use it in finite networks only"
        )

    def demand(self, need: Demand) -> Demand:
        """The pixel pairs the input must carry; the safe default is every pair."""
        return Demand.EVERY

    def init(self, key: PRNGKeyArray, x: Any) -> Any:
        """Draw the parameters of this network for inputs like the batch `x [n, *pixels, channels]`.

        Only the shape of `x` counts. The dtype of the parameters is JAX's default float.
        """
        params, _ = self.setup(key, jnp.shape(x)[1:])
        return params

    def __repr__(self) -> str:
        positional, named = [], []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                positional.append(_show(value))
            elif value is not field.default and not _equal(value, field.default):
                named.append(f"{field.name}={_show(value)}")
        return f"{type(self).__name__}({', '.join(positional + named)})"


def _equal(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def _show(value: Any) -> str:
    if callable(value) and not isinstance(value, Layer):
        return getattr(value, "__name__", repr(value))
    if not isinstance(value, Array):
        return repr(value)
    try:
        return str(np.asarray(value))
    except jax.errors.TracerArrayConversionError:  # inside a JAX transformation
        return "…"

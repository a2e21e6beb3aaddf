"""One network at many widths, with arrays of one shape: a single compilation for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from ..nn import Layer
from .perceptron import Perceptron


@dataclass(frozen=True)
class WidthFamily:
    """Networks of several widths as sub-networks of the widest, with the units beyond a width switched off.

    `net`: Dense, nonlinearity, …, Dense, whose hidden layers all have one width. A unit that is off has no output, so
    that none of its weights has a gradient, and what remains is multiplied by √(widest/width): exactly the network of
    that width. Parameters are `(those of net, masks)`, the masks being whole numbers and so constants of `wf.hierarchy`
    and of every gradient.
    Errors: ValueError for other networks and for hidden layers of different widths. Cost: that of the widest network.
    """

    net: Layer

    def __post_init__(self):
        if len(set(Perceptron.of(self.net, "WidthFamily").widths)) > 1:
            raise ValueError(f"WidthFamily: wanted hidden layers of one width, the largest, got {self.net!r}")

    @property
    def widest(self) -> int:
        """The width of the network as it was given."""
        return Perceptron.of(self.net, "WidthFamily").widths[0]

    def checked(self, widths: Sequence[int], name: str) -> np.ndarray:
        """The widths as an array; ValueError for those below 1 or above the widest, and for repetitions."""
        found = np.asarray(widths)
        if found.ndim != 1 or found.dtype.kind not in "iu" or len(set(found.tolist())) < len(found):
            raise ValueError(f"{name}: wanted different whole numbers as widths, got {widths}")
        if found.min() < 1 or found.max() > self.widest:
            raise ValueError(f"{name}: wanted widths from 1 to {self.widest}, the width of `net`, got {widths}")
        return found

    def init(self, key: PRNGKeyArray, x: Array, width: Any) -> Any:
        """Parameters of the network of a width, which may be traced: `(parameters, mask [widest])`."""
        return self.net.init(key, x), (jnp.arange(self.widest) < width).astype(jnp.int32)

    def apply(self, params: Any, x: Array) -> Array:
        """Outputs `[n, out]` of the network of that width."""
        of_layers, mask = params
        layers = Perceptron.of(self.net, "WidthFamily")
        parts = _in_order(self.net, of_layers)
        kept = jnp.sqrt(self.widest / jnp.sum(mask).astype(x.dtype)) * mask.astype(x.dtype)
        z = layers.dense[0].apply(parts[0], x)
        for activation, dense, p in zip(layers.activations, layers.dense[1:], parts[1:], strict=True):
            z = dense.apply(p, activation.phi(z) * kept[None])
        return z


def _in_order(net: Layer, params: Any) -> list[Any]:
    """The parameters of the dense layers of a chain in order."""
    from ..nn import Repeat, Serial

    if isinstance(net, Serial):
        return [p for layer, part in zip(net.layers, params, strict=True) for p in _in_order(layer, part)]
    if isinstance(net, Repeat):
        stacked = [jax.tree.map(lambda v, s=s: v[s], params) for s in range(net.times)]
        return [p for each in stacked for p in _in_order(net.layer, each)]
    return [params] if params else []

"""What happens inside a network while it trains: its hidden activations, and the kernel of its features."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from ..nn import Serial
from .kernel_movement import KernelMovement
from .relative_change import relative_change

FEATURES = "features"  # the name of what enters the readout


@dataclass(frozen=True)
class Preactivations:
    """The hidden activations of a `Serial` network: a function (params, x) → arrays `[D, …]` by name, in order.

    An entry for the output of every layer with parameters but the last such layer, the readout, named by position and
    class ("0 Dense"), and "features", what enters the readout. Layers inside a layer are not looked into. Cost: the
    network itself. Raises ValueError for a network without parameters.
    """

    net: Serial

    def __call__(self, params: Any, x: Any) -> OrderedDict[str, Any]:
        """The activations of a batch."""
        weighted = [position for position, leaves in enumerate(params) if jax.tree.leaves(leaves)]
        if not weighted:
            raise ValueError(f"Preactivations: {self.net!r} has no parameters, so it has no hidden layers that train")
        seen = OrderedDict()
        for position in range(weighted[-1]):
            layer = self.net.layers[position]
            x = layer.apply(params[position], x)
            if position in weighted:
                seen[f"{position} {type(layer).__name__}"] = x
        seen[FEATURES] = x
        return seen


@dataclass(frozen=True)
class HiddenMovement:
    """How far hidden activations moved on the training points.

    `changes`: by name, ‖h_T − h_0‖/‖h_0‖ of all points and units together. `features`: of K = H Hᵀ/size, the Gram
    matrix of the last of them, of which the mean over draws is the NNGP kernel without the readout's weight.
    """

    changes: dict[str, float]
    features: KernelMovement


def preactivations_of(f: Any) -> Callable[[Any, Any], Any] | None:
    """`Preactivations` where f is `net.apply` of a `Serial` network; None for any other function."""
    net = getattr(f, "__self__", None)
    return Preactivations(net) if isinstance(net, Serial) and f.__name__ == "apply" else None


def hidden_changes(new: Any, old: Any) -> dict[str, float]:
    """‖h − h_0‖/‖h_0‖ of every array of a tree, by its path in the tree; infinity where an array was zero."""
    before, after = (jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (old, new))
    names = [jax.tree_util.keystr(path, simple=True, separator=".") or FEATURES for path, _ in before]
    pairs = zip(names, after, before, strict=True)
    return {name: relative_change(h, h0) if np.any(h0) else np.inf for name, (_, h), (_, h0) in pairs}


def check_activations(hidden: Any, rows: int) -> None:
    """ValueError for hidden activations in a tree that are none, or no arrays with as many rows as the inputs."""
    leaves = jax.tree.leaves(hidden)
    if not leaves:
        raise ValueError("hidden: the function returned no arrays; return the activations, that of the last layer last")
    shapes = [np.shape(leaf) for leaf in leaves]
    if any(shape[:1] != (rows,) for shape in shapes):
        raise ValueError(f"hidden: wanted activations [n, …] for {rows} inputs, got shapes {shapes}")


def feature_kernel(hidden: Any) -> Float[np.ndarray, "D D"]:
    """K = H Hᵀ/size of the last array `[D, …]` of a tree, size its numbers for one input; float64."""
    leaves = jax.tree.leaves(hidden)
    H = np.asarray(leaves[-1], np.float64).reshape(len(leaves[-1]), -1)
    return H @ H.T / H.shape[1]

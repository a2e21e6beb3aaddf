"""Combinators: the only layers that hold other layers."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape


class Serial(Layer):
    """Layers one after the other: `Serial(Dense(512), Relu(), Dense(1))`. Parameters: a tuple, one per layer."""

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer):
        check_layers("Serial: argument", layers)
        self.layers = layers

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[Any, ...], Shape]:
        """The layers' parameters, each drawn with its own key."""
        params = []
        for layer_key, layer in zip(jax.random.split(key, max(len(self.layers), 1)), self.layers, strict=False):
            p, shape = layer.setup(layer_key, shape)
            params.append(p)
        return tuple(params), shape

    def apply(self, params: tuple[Any, ...], x: Array) -> Array:
        """f_L(… f_1(x))."""
        for layer, p in zip(self.layers, params, strict=True):
            x = layer.apply(p, x)
        return x

    def cov(self, k: Cov) -> Cov:
        """The layers' rules in order; pixel pairs that no later layer can need are dropped on the way."""
        for layer, need in zip(self.layers, self._needs(), strict=True):
            k = layer.cov(k).narrow(need)
        return k

    def demand(self, need: Demand) -> Demand:
        """The layers' needs in reverse order."""
        for layer in reversed(self.layers):
            need = layer.demand(need)
        return need

    def _needs(self) -> list[Demand]:
        """For each layer what the layers after it need of its output, whatever follows the last one."""
        needs = [Demand.EVERY]
        for layer in reversed(self.layers[1:]):
            needs.append(layer.demand(needs[-1]))
        return needs[::-1] if self.layers else []

    def __repr__(self) -> str:
        return f"Serial({', '.join(map(repr, self.layers))})"


class Residual(Layer):
    """A skip connection around a branch: x + branch(x).

    K' = K + K_branch(K), Θ' = Θ + Θ_branch(K, Θ). The branch must keep the shape, and must end in a layer with
    fresh zero-mean weights (Dense, Conv …), which makes it uncorrelated with x. Raises ValueError otherwise.
    """

    branch: Layer

    def __init__(self, *layers: Layer):
        if not layers:
            raise ValueError("Residual(): give the layers of the branch, got none")
        check_layers("Residual: argument", layers)
        self.branch = layers[0] if len(layers) == 1 else Serial(*layers)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Any, Shape]:
        """The parameters of the branch."""
        params, new = self.branch.setup(key, shape)
        if new != shape:
            raise ValueError(
                f"Residual: the branch must keep the shape, it turns {shape} into {new}; "
                f"change the number of channels of its last layer to {shape[-1]}"
            )
        return params, shape

    def apply(self, params: Any, x: Array) -> Array:
        """x + branch(x)."""
        return x + self.branch.apply(params, x)

    def cov(self, k: Cov) -> Cov:
        """K + K_branch, Θ + Θ_branch."""
        branch = self.branch.cov(k.replace(fresh=False, delta=k.delta))
        if not branch.fresh:
            raise ValueError(
                "Residual: the branch must end in a layer with weights (Dense, Conv …), or x and branch(x) are "
                f"correlated and the sum is not a Gaussian process; got {self.branch!r}"
            )
        check_pixels("Residual: the branch must keep the pixels", (k, branch))
        # Independence from other branches of the network needs both terms to be fresh.
        return _sum(k, branch)

    def demand(self, need: Demand) -> Demand:
        """What the skip and the branch need together."""
        return max(need, self.branch.demand(need))

    def __repr__(self) -> str:
        layers = self.branch.layers if isinstance(self.branch, Serial) else (self.branch,)
        return f"Residual({', '.join(map(repr, layers))})"


_sum = jax.jit(Cov.__add__)


def check_layers(place: str, layers: Sequence[Any]) -> None:
    """TypeError where one of `layers` is not a layer; `place`: what the message calls them, before a number."""
    for position, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            hint = "; write Relu() with parentheses" if isinstance(layer, type) else ""
            raise TypeError(f"{place} {position} must be a layer, got {layer!r}{hint}")


def check_pixels(rule: str, covs: Sequence[Cov]) -> None:
    """ValueError that begins with `rule` where covariances that meet have different pixels: they would broadcast."""
    shapes = [k.pixel_shape for k in covs]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{rule}, got {', '.join(map(str, shapes))}; give the layers strides of 1 and padding 'same', or all "
            "branches the same ones"
        )

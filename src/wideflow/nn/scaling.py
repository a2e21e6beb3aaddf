"""How one layer's parameters scale with the width: multipliers, the standard deviations of the draw, learning rates."""

from dataclasses import dataclass
from math import isclose, prod
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array


@dataclass(frozen=True)
class Scaling:
    """Powers of a width n in one layer with weights (Yang & Hu 2021): z = x W / n^a, W ~ n^−b N(0, k²), rate ∝ n^−c.

    The constants k that n^−a−b leaves of w/√fan_in are in the draw. Biases: z += B / n^bias, B ~ n^bias N(0, b²).
    `width` says which n is meant: the channels that enter ("in"), or those that leave ("out"), as in the first layer,
    where the channels that enter are those of the data. ValueError for another word.
    """

    a: float
    b: float
    c: float = 0.0
    bias: float = 0.0
    width: str = "in"

    def __post_init__(self):
        if self.width not in ("in", "out"):
            raise ValueError(f'Scaling: width must be "in" or "out", got {self.width!r}')

    @property
    def has_limit(self) -> bool:
        """Whether outputs are of order one at infinite width."""
        return isclose(self.a + self.b, 0 if self.width == "out" else 0.5, abs_tol=1e-12)

    def n(self, layer: Any, channels: Any) -> Any:
        """The width n of a layer which `channels` enter."""
        return channels if self.width == "in" else layer.out

    def constant(self, layer: Any, channels: Any, window: int) -> Any:
        """What is left of 1/√fan_in without its power of n."""
        return window**-0.5 if self.width == "in" else (channels * window) ** -0.5


class Scales(NamedTuple):
    """z = weight · x W + bias · B with W ~ N(0, weight_std²), B ~ N(0, bias_std²)."""

    weight: Any
    weight_std: Any
    bias: Any
    bias_std: Any


def check_scaling(layer: Any) -> None:
    """ValueError where `layer.parameterization` is a word that is no scaling of a single layer."""
    if isinstance(layer.parameterization, str) and layer.parameterization != "ntk":
        raise ValueError(
            f'{type(layer).__name__}: parameterization must be "ntk" or a Scaling, got {layer.parameterization!r}; it '
            f"depends on the place in the network, which wf.reparameterize(net, {layer.parameterization!r}, x) knows"
        )


def scales(layer: Any, shape: tuple[int, ...], dtype: Any) -> Scales:
    """What multiplies the weights `W` of this shape, `[*window, in, out]`, and the biases, and how they are drawn."""
    w, b = jnp.asarray(layer.w, dtype), jnp.asarray(0 if layer.b is None else layer.b, dtype)
    one = jnp.ones((), dtype)
    rule = layer.parameterization
    if not isinstance(rule, Scaling):
        return Scales(w / prod(shape[:-1]) ** 0.5, one, b, one)
    n = jnp.asarray(rule.n(layer, shape[-2]), dtype)
    std = w * rule.constant(layer, shape[-2], prod(shape[:-2])) * n**-rule.b
    return Scales(n**-rule.a, std, n**-rule.bias, b * n**rule.bias)


def rate_factor(layer: Any, channels: int) -> float:
    """n^−c: what the parameterization multiplies the learning rate by in a layer which `channels` enter."""
    rule = layer.parameterization
    return rule.n(layer, channels) ** -rule.c if isinstance(rule, Scaling) else 1.0


def own_kernel(layer: Any, window: int, dtype: Any) -> tuple[Array, Array] | None:
    """What a layer's own weights and biases put into the NTK: `weights` · A(K) and `biases`, as (weights, biases).

    None stands for (w², b²). In NTK parameterization (lr_w w², lr_b b²), otherwise, with the multipliers m of the
    finite layer, n^−c (lr_w m_W² fan_in, lr_b m_B²): in standard parameterization (lr_w fan_in, lr_b).
    ValueError where outputs vanish or diverge at infinite width, or where nothing tells the fan-in.
    """
    rule = layer.parameterization
    if isinstance(rule, Scaling):
        return _own_of(rule, layer, window, dtype)
    return ntk_share(layer.w, layer.b, layer.lr_w, layer.lr_b, dtype)


def ntk_share(w: Any, b: Any, lr_w: Any, lr_b: Any, dtype: Any) -> tuple[Array, Array] | None:
    """(lr_w w², lr_b b²), or None where both factors are 1; b None: no biases."""
    if _is_one(lr_w) and _is_one(lr_b):
        return None
    w, b = (jnp.asarray(0 if v is None else v, dtype) for v in (w, b))
    return jnp.asarray(lr_w, dtype) * w**2, jnp.asarray(lr_b, dtype) * b**2


def _is_one(factor: Any) -> bool:
    return isinstance(factor, int | float) and factor == 1


def _own_of(rule: Scaling, layer: Any, window: int, dtype: Any) -> tuple[Array, Array]:
    if not rule.has_limit:
        raise ValueError(
            f"{layer!r}: there is no infinite kernel in this parameterization, because outputs scale as "
            f"n^{(0 if rule.width == 'out' else 0.5) - rule.a - rule.b:g} with the width n; use finite networks, or "
            'wf.reparameterize(net, "ntk" or "standard", x)'
        )
    if layer.channels is None:
        raise ValueError(
            f"{layer!r}: the kernel in this parameterization depends on the number of channels that enter; "
            "wf.reparameterize(net, …, x) writes it into the layer"
        )
    channels = jnp.asarray(layer.channels, dtype)
    n = jnp.asarray(rule.n(layer, channels), dtype)
    has_bias = jnp.asarray(layer.b is not None, dtype)
    lr_w, lr_b = (jnp.asarray(v, dtype) for v in (layer.lr_w, layer.lr_b))
    return lr_w * n ** (-rule.c - 2 * rule.a) * channels * window, lr_b * n ** (-rule.c - 2 * rule.bias) * has_bias

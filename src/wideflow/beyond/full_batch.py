"""Gradient descent on all training points, for networks of one shape side by side."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..nn import Layer, learning_rates


class DivergenceError(ValueError):
    """Training left what numbers can hold; a smaller learning rate is needed."""


def square_loss(net: Layer, params: Any, x: Array, y: Float[Array, "D out"]) -> Array:
    """L = 1/(2D) Σ_α ‖f(x_α) − y_α‖² of one network."""
    return jnp.sum((net.apply(params, x) - y) ** 2) / (2 * len(x))


@eqx.filter_jit
def train_all(net: Layer, params: Any, x: Array, y: Float[Array, "D out"], lr: Any, steps: Any) -> Any:
    """Parameters after `steps` steps on the square loss, with the factors of the learning rate of the layers.

    `params`: those of S networks, stacked along a first axis. `lr`: one rate, or `[S]`.
    """
    slope = jax.grad(lambda p: square_loss(net, p, x, y))

    def step(p: Any, rate: Array) -> Any:
        factors = learning_rates(net, p)
        return jax.tree.map(lambda leaf, factor, s: leaf - rate * factor * s, p, factors, slope(p))

    def run(p: Any, rate: Array) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, now: step(now, rate), p)

    leaf = jax.tree.leaves(params)[0]
    return jax.vmap(run)(params, jnp.broadcast_to(jnp.asarray(lr, leaf.dtype), leaf.shape[:1]))


def checked_targets(name: str, net: Layer, x: Array, y: Any) -> Float[Array, "D out"]:
    """Targets as `[D, out]` in the dtype of `x`; ValueError where the network's outputs have another shape."""
    y = jnp.asarray(y, x.dtype).reshape(len(x), -1)
    outputs = jax.eval_shape(lambda key: net.apply(net.init(key, x), x), jax.random.key(0)).shape
    if outputs != y.shape:
        raise ValueError(
            f"{name}: the network's outputs {outputs} and the targets {y.shape} must have one shape; change the width "
            "of the last layer"
        )
    return y

"""The critical learning rate of single finite networks, measured by steps of gradient descent."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from ..finite import draw_networks
from ..finite.ensemble import CHUNK
from ..nn import Layer
from .network import network
from .theory import Theory

_CHUNKS = 2  # of the size that training compiles for
_STEPS = 8  # each brings the direction nearer to the top eigenvector by the ratio of the first two eigenvalues
_SMALL = 1e-3  # size of the residual: so small that a step leaves the kernel where it is


def top_eigenvalues(theory: Theory, width: int, seed: int) -> Float[np.ndarray, " S"]:
    """λ_max(Θ/D) of single networks of a width, from single steps of gradient descent.

    A network whose targets are its own outputs moved by a small residual r moves its outputs by η Θ r/D in one step
    at rate η. That movement is the next residual, so the direction turns to the network's top eigenvector, along
    which every further step of training would multiply the residual by 1 − ηλ_max.
    """
    net, values = network(theory.settings, width), []
    with jax.enable_x64(False):
        x = jnp.asarray(theory.probes.x[theory.probes.train], jnp.float32)
        direction = jnp.asarray(theory.top_mode, jnp.float32)
        for chunk in range(_CHUNKS):
            numbers = jnp.arange(chunk * CHUNK, (chunk + 1) * CHUNK, dtype=jnp.uint32)
            params = draw_networks(net, x[:1], jax.random.key(seed), numbers)
            values.append(np.asarray(_top_eigenvalues(net, params, x, direction, theory.critical_rate)))
    return np.concatenate(values).astype(np.float64)


@jax.jit
def _top_eigenvalues(net: Layer, params: Any, x: Array, direction: Array, lr: Array) -> Array:
    def one(params: Any) -> Array:
        outputs = net.apply(params, x)[:, 0]
        size = _SMALL * len(x) ** 0.5

        def step(_: int | Array, direction: Array) -> Array:
            targets = outputs + size * direction
            slopes = jax.grad(lambda p: jnp.sum((net.apply(p, x)[:, 0] - targets) ** 2) / (2 * len(x)))(params)
            moved = jax.tree.map(lambda leaf, slope: leaf - lr * slope, params, slopes)
            return (net.apply(moved, x)[:, 0] - outputs) / (lr * size)  # Θ/D times the direction

        def turn(i: Array, direction: Array) -> Array:
            return _unit(step(i, direction))

        return jnp.linalg.norm(step(_STEPS, jax.lax.fori_loop(0, _STEPS, turn, direction)))

    return jax.lax.map(one, params)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector)

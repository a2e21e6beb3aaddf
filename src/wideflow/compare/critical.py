"""The critical learning rate of single finite networks, measured by steps of gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from ..nn import Layer
from .network import network
from .theory import Theory

_NETWORKS = 20
_STEPS = 8  # each brings the direction nearer to the top eigenvector by the ratio of the first two eigenvalues
_SMALL = 1e-3  # size of the residual: so small that a step leaves the kernel where it is


def top_eigenvalues(theory: Theory, width: int, seed: int) -> Float[np.ndarray, " S"]:
    """λ_max(Θ/D) of single networks of a width, from single steps of gradient descent.

    A network whose targets are its own outputs moved by a small residual r moves its outputs by η Θ r/D in one step
    at rate η. That movement is the next residual, so the direction turns to the network's top eigenvector, along
    which every further step of training would multiply the residual by 1 − ηλ_max.
    """
    with jax.enable_x64(False):
        x = jnp.asarray(theory.probes.x[theory.probes.train], jnp.float32)
        direction = jnp.asarray(theory.top_mode, jnp.float32)
        keys = jax.random.split(jax.random.key(seed), _NETWORKS)
        values = _top_eigenvalues(network(theory.settings, width), keys, x, direction, theory.critical_rate)
    return np.asarray(values, np.float64)


@jax.jit
def _top_eigenvalues(net: Layer, keys: Array, x: Array, direction: Array, lr: Array) -> Array:
    def one(key: Array) -> Array:
        params = net.init(key, x)
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

    return jax.lax.map(one, keys)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector)

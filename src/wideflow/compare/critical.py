"""The critical learning rate of single finite networks, measured by training them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from ..nn import Layer
from .network import network
from .theory import Theory

_NETWORKS = 20
_ABOVE = 1.1  # of the predicted critical rate: there the top mode's residual changes sign and grows
_STEPS = (16, 24)  # its growth is measured between these: all other modes have died out by then
_SMALL = 1e-3  # the residual's size, so small that training leaves the kernel where it is


def measured_critical_rates(theory: Theory, width: int, seed: int) -> Float[np.ndarray, " S"]:
    """2/λ_max(Θ/D) of single networks of a width, from the growth of a small residual under gradient descent.

    Each network is trained towards its own initial outputs moved by a thousandth along the top mode, at a rate η a
    tenth above the predicted critical one. The residual along its own top eigenvector is multiplied by 1 − ηλ a
    step and outgrows the others; its growth g between two steps gives 2/λ = 2η/(1 + g).
    """
    lr = _ABOVE * theory.critical_rate
    with jax.enable_x64(False):
        x = jnp.asarray(theory.probes.x[theory.probes.train], jnp.float32)
        direction = jnp.asarray(_SMALL * np.sqrt(len(x)) * theory.top_mode, jnp.float32)
        keys = jax.random.split(jax.random.key(seed), _NETWORKS)
        sizes = _residual_sizes(network(theory.settings, width), keys, x, direction, lr)
    growth = (np.asarray(sizes[:, 1], np.float64) / np.asarray(sizes[:, 0], np.float64)) ** (
        1 / (_STEPS[1] - _STEPS[0])
    )
    return 2 * lr / (1 + growth)


@jax.jit
def _residual_sizes(net: Layer, keys: Array, x: Array, direction: Array, lr: Array) -> Array:
    """Norms of the residual after `_STEPS` steps, `[S, 2]`."""

    def one(key: Array) -> Array:
        params = net.init(key, x)
        targets = net.apply(params, x)[:, 0] + direction

        def residual(p: Any) -> Array:
            return net.apply(p, x)[:, 0] - targets

        def step(_: Array, p: Any) -> Any:
            slopes = jax.grad(lambda q: jnp.sum(residual(q) ** 2) / (2 * len(x)))(p)
            return jax.tree.map(lambda leaf, slope: leaf - lr * slope, p, slopes)

        early = jax.lax.fori_loop(0, _STEPS[0], step, params)
        late = jax.lax.fori_loop(_STEPS[0], _STEPS[1], step, early)
        return jnp.stack([jnp.linalg.norm(residual(early)), jnp.linalg.norm(residual(late))])

    return jax.lax.map(one, keys)

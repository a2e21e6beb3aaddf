"""Before any training: how much a network's Jacobian will change on the way to its targets."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .curvature import split_parameters
from .function_check import check_function, outputs_of
from .parameter_check import check_trainable


def lazy_index(f: Callable[[Any, Any], Any], params: Any, x: Any, y: Any) -> float:
    """κ = ‖f_0 − y‖ ‖D²f[v, v]‖/‖Df[v]‖² along the gradient of the square loss, v = Jᵀ (f_0 − y), at θ_0.

    Along v outputs are f_0 + s Df[v] + ½ s² D²f[v, v] + …; once the linear part has covered ‖f_0 − y‖ the next one is
    κ/2 of it. So a network with κ ≪ 1 is lazy, and κ falls as 1/α where outputs are multiplied by α, and with the width
    as n^(−1/2) or faster. The index of the source has operator norms in place of the direction, which cannot be
    computed cheaply.

    `x [D, …]`; `y`: targets shaped like the outputs. Leaves that are not floating point arrays do not move.
    Computed in the dtype of the parameters. Infinite where the gradient is zero and the targets are not reached.
    Cost: about eight evaluations of f on x. Source: Chizat, Oyallon and Bach 2019, equation 4.
    """
    check_function(f, "lazy_index")
    check_trainable(params, "lazy_index")
    outputs = outputs_of(f, params, jnp.asarray(x), "lazy_index")
    if np.shape(y) != outputs.shape:
        raise ValueError(f"lazy_index: wanted targets shaped like the outputs, {outputs.shape}, got {np.shape(y)}")
    moving, rest = split_parameters(params)
    line = _Line(f, moving, rest)
    values = [float(jnp.linalg.norm(part)) for part in _expansion(line, jnp.asarray(x), jnp.asarray(y))]
    residual, slope, bend = values
    if slope == 0:
        return 0.0 if residual == 0 else float("inf")
    return residual * bend / slope**2


class _Line(eqx.Module):
    """A network along lines in its parameters."""

    f: Callable[[Any, Any], Any]
    moving: Any
    rest: Any

    def outputs(self, x: Array) -> Callable[[Any], Array]:
        """θ ↦ f(θ, x)."""
        return lambda moving: self.f(eqx.combine(moving, self.rest), x)


@eqx.filter_jit
def _expansion(line: _Line, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """f_0 − y, Df[v] and D²f[v, v] along v = Jᵀ (f_0 − y), divided by its norm."""
    outputs = line.outputs(x)
    start, back = jax.vjp(outputs, line.moving)
    residual = start - y.astype(start.dtype)
    v = back(residual)[0]
    size = jnp.sqrt(sum((jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(v)), start=jnp.zeros((), start.dtype)))
    unit = jax.tree.map(lambda leaf: leaf / jnp.where(size > 0, size, 1).astype(leaf.dtype), v)
    slope, bend = jax.jvp(lambda theta: jax.jvp(outputs, (theta,), (unit,))[1], (line.moving,), (unit,))
    return residual, slope, bend

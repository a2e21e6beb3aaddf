"""Where training takes the parameters of a linearized network."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .function_check import check_function, outputs_of


def displacement(f: Callable[[Any, Any], Any], params0: Any, x_train: Any, dual_weights: Any) -> Any:
    """θ_t − θ_0 = −Jᵀ a_t of the network f linearized at θ_0, from its dual weights; J is never formed.

    `f(params, x [D, …])`: outputs `[D]` or `[D, out]`. `dual_weights`: shaped like these outputs, or with a leading
    axis T of times, as `Trajectory.dual_weights` gives them for the kernel Θ = J Jᵀ of f. (Of several outputs, train
    on the flattened targets with the full kernel, D · out by D · out; L = 1/(2D) Σ ‖f − y‖² then takes 1/out of the
    learning rate for the same step.) Returns a tree like `params0`, leaves with the leading axis T where there is
    one, zero for leaves that are not floating point arrays.

    Cost: one backward pass of f over all training points a time. Raises ValueError for weights of another shape.
    Source: Lee et al. 2019, equation 8.

    ```python
    ntk = finite.empirical_ntk(net.apply, params, x)
    weights = wf.Trajectory(ntk, y, wf.GradientFlow()).dual_weights(t=3.0, f0=net.apply(params, x)[:, 0])
    moved = finite.displacement(net.apply, params, x, weights[:, None])
    ```
    """
    check_function(f, "displacement")
    outputs_of(f, params0, x_train, "displacement")
    start, rest = eqx.partition(params0, eqx.is_inexact_array)
    outputs, pullback = jax.vjp(lambda leaves: f(eqx.combine(leaves, rest), x_train), start)
    weights = np.asarray(dual_weights)
    if weights.shape not in (outputs.shape, (*weights.shape[:1], *outputs.shape)):
        raise ValueError(
            f"dual_weights: wanted the shape of the network's outputs on x_train, {outputs.shape}, with or without a "
            f"leading axis of times, got {weights.shape}"
        )
    back = lambda a: jax.tree.map(jnp.negative, pullback(a.astype(outputs.dtype))[0])  # noqa: E731
    if weights.shape == outputs.shape:
        moved = back(jnp.asarray(weights))
        return _with_zeros(moved, rest, ())
    moved = jax.lax.map(back, jnp.asarray(weights, outputs.dtype))
    return _with_zeros(moved, rest, weights.shape[:1])


def _with_zeros(moved: Any, rest: Any, times: tuple[int, ...]) -> Any:
    """The tree in full: zeros for the leaves that do not train."""
    still = jax.tree.map(lambda leaf: np.zeros((*times, *np.shape(leaf)), np.asarray(leaf).dtype), rest)
    return eqx.combine(moved, still)

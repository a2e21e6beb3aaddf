"""A network replaced by its first-order expansion in the parameters."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax


def linearize(f: Callable[[Any, Any], Any], params0: Any) -> Callable[[Any, Any], Any]:
    """The network to first order in its parameters: f_lin(θ, x) = f(θ₀, x) + J(θ₀, x) (θ − θ₀).

    `f(params, x)`: any JAX function of a PyTree of parameters, to an array or a PyTree of arrays, without auxiliary
    output. Returns a function with the same arguments and outputs; at `params0` it is `f` exactly, with the same
    gradient. Leaves of the parameters that are not arrays of floating point numbers (integers, keys, None) stay as they
    are in `params0`. Parameters must have the shapes and dtypes of `params0`; JAX raises TypeError or ValueError
    otherwise.

    Cost: one forward-mode product, about two evaluations of `f`; a gradient with respect to the parameters costs what
    a gradient of `f` costs, and J is never formed. Source: Lee et al. 2019, equation 5.

    ```python
    f_lin = wf.linearize(net.apply, params)
    jax.grad(lambda p: jnp.mean((f_lin(p, x) - y) ** 2))(params)  # the gradient of the network itself
    ```
    """
    start, rest = eqx.partition(params0, eqx.is_inexact_array)

    def f_lin(params: Any, x: Any) -> Any:
        moved = jax.tree.map(lambda new, old: new - old, eqx.filter(params, eqx.is_inexact_array), start)
        value, change = jax.jvp(lambda leaves: f(eqx.combine(leaves, rest), x), (start,), (moved,))
        return jax.tree.map(lambda a, b: a + b, value, change)

    return f_lin

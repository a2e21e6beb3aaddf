"""A network replaced by its first-order expansion in the parameters."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from .function_check import check_floating, check_function, noting
from .parameter_check import check_arrays, check_finite, parameter_change


def linearize(f: Callable[[Any, Any], Any], params0: Any) -> Callable[[Any, Any], Any]:
    """The network to first order in its parameters: f_lin(θ, x) = f(θ₀, x) + J(θ₀, x) (θ − θ₀).

    `f(params, x)`: any JAX function of a PyTree of parameters, to an array or a PyTree of arrays, without auxiliary
    output. Returns a function with the same arguments and outputs; at `params0` it is `f` exactly, with the same
    gradient. Leaves of the parameters that are not arrays of floating point numbers (integers, keys, None) stay as they
    are in `params0`, and so do outputs that are not.

    Errors: TypeError for what is no function, and for parameters that are no arrays; ValueError for a `params0` that is
    not finite, and for parameters that differ from it in shape, dtype or structure, by their place.

    Cost: one forward-mode product, about two evaluations of `f`; a gradient with respect to the parameters costs what
    a gradient of `f` costs, and J is never formed. Source: Lee et al. 2019, equation 5.

    ```python
    f_lin = wf.linearize(net.apply, params)
    jax.grad(lambda p: jnp.mean((f_lin(p, x) - y) ** 2))(params)  # the gradient of the network itself
    ```
    """
    check_function(f, "linearize")
    check_arrays(params0, "linearize")
    check_finite(params0, "linearize")
    start, rest = eqx.partition(params0, eqx.is_inexact_array)

    def f_lin(params: Any, x: Any) -> Any:
        moved = parameter_change(params, start, "linearize")
        with noting("linearize", params0, x):
            value, change = jax.jvp(lambda leaves: f(eqx.combine(leaves, rest), x), (start,), (moved,))
        check_floating(value, "linearize")
        return jax.tree.map(lambda a, b: a if b.dtype == jax.dtypes.float0 else a + b, value, change)

    return f_lin

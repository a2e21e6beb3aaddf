"""A network replaced by its Taylor polynomial in the parameters."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jax import Array

from .function_check import check_floating, check_function, noting
from .parameter_check import check_arrays, check_finite, parameter_change
from .propagation import propagate


def taylor(f: Callable[[Any, Any], Any], params0: Any, order: int) -> Callable[[Any, Any], Any]:
    """The network to any order in its parameters: f^(k)(θ, x) = Σ_{j≤k} 1/j! D^j f(θ₀, x)[(θ − θ₀)^j].

    `f(params, x)`: any JAX function of a PyTree of parameters, to an array or a PyTree of arrays, without auxiliary
    output, that JAX can differentiate forwards. Returns a function with the same arguments and outputs, which at
    `params0` has all derivatives of `f` up to `order` and no higher ones; it can be differentiated and trained like
    `f`. Order 0 is the constant f(θ₀, x), order 1 is `linearize`. Leaves of the parameters that are not arrays of
    floating point numbers (integers, keys, None) stay as they are in `params0`.

    The polynomial is that of s ↦ f(θ₀ + s (θ − θ₀), x) at s = 1, from one pass of truncated power series through the
    operations of `f`. Parameters enter with two coefficients, so that a matrix product or convolution of parameters
    with activations costs 2 k + 1 products at order k; products of activations cost (k + 1)(k + 2)/2. All other
    operations, functions and factorisations of matrices included, grow like k² too, except those whose derivatives are
    always new functions (lgamma, digamma, polygamma, sinc, some custom_jvp), which grow like k³ or more; `propagate`
    lists them. Wrap the result in `jax.jit`, as operations are otherwise done one by one.

    Errors: ValueError for an order that is not an integer 0, 1, …, for a `params0` that is not finite, and for
    parameters that differ from it in shape, dtype or structure, by their place; TypeError for what is no function.
    Source: Bai et al. 2020, Taylorized training; Griewank and Walther 2008, chapter 13, for the arithmetic.

    ```python
    f_2 = jax.jit(wf.taylor(net.apply, params, 2))  # quadratic in the change of the parameters
    ```
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"taylor: order must be an integer 0, 1, 2, …, got {order!r}")
    check_function(f, "taylor")
    check_arrays(params0, "taylor")
    check_finite(params0, "taylor")
    start, rest = eqx.partition(params0, eqx.is_inexact_array)
    leaves = jax.tree.leaves(start)

    def polynomial(params: Any, x: Any) -> Any:
        changes = jax.tree.leaves(parameter_change(params, start, "taylor"))
        at_start = jax.make_jaxpr(lambda moving: f(eqx.combine(moving, rest), x), return_shape=True)
        with noting("taylor", params0, x):
            closed, outputs = at_start(start)
        check_floating(outputs, "taylor")
        series = propagate(closed, list(zip(leaves, changes, strict=True)), order)
        return jax.tree.unflatten(jax.tree.structure(outputs), [_sum(u) for u in series])

    return polynomial


def _sum(series: tuple) -> Array:
    """The series at s = 1, its small terms first."""
    *rest, total = [c for c in reversed(series) if c is not None]
    for c in rest:
        total = c + total
    return total

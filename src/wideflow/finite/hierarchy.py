"""The tower of kernels of a finite network: the NTK, how it changes, how that changes …"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from .function_check import check_function, outputs_of
from .parameter_check import check_arrays, check_finite

Network = Callable[[Any, Array], Array]
Tower = Callable[[Any], tuple[Array, ...]]  # O_1, O_2 … at the parameters' floating point leaves


def hierarchy(f: Network, params: Any, x: Array, order: int, x2: Array | None = None) -> dict[int, Array]:
    """The tensors O_2 … O_order of a network: O_{s+1}(x_1 … x_{s+1}) = ∇_θ O_s(x_1 … x_s) · ∇_θ f(x_{s+1}), O_1 = f.

    O_2 is the NTK. Under gradient flow on a loss L with slopes ℓ'_α = ∂L/∂f(x_α), each one moves the one before:
    dO_s/dt = −Σ_α O_{s+1}(…, x_α) ℓ'_α. O_s is symmetric in its first two arguments and in no others. With the width N,
    O_s is of size N^(1 − ⌈s/2⌉) in NTK parameterization.

    `f(params, x [n, …])` returns `[n]` or `[n, 1]`: then O_s is `[n, n2, …, n2]`, its first argument in `x` and the
    others in `x2` (None: `x`). For `[n, *out]` with several outputs every pair of input and output is an argument,
    O_s `[n, *out, n2, *out, …]`. Returns the tensors by their order. Parameters that are not floating point numbers are
    constants.

    For few points: (n2 · out)^(s−1) Jacobian-vector products, each through s − 1 nested derivatives of `f`, whose
    compilation about doubles with the order; memory as many copies of the parameters. `NetworkFlow.ntk_derivatives`
    has the tensors contracted with ℓ' far more cheaply.
    Errors: ValueError for an order below 2, for outputs that are not real and `[n, …]`, for complex parameters and
    those that are not finite, for inputs without rows or of two shapes; TypeError for what is no function.
    Source: Dyer and Gur-Ari 2020; Huang and Yau 2020.

    ```python
    tensors = wf.hierarchy(net.apply, params, x, 4)
    tensors[2], tensors[3], tensors[4]  # [n, n], [n, n, n], [n, n, n, n]
    ```
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 2:
        raise ValueError(f"hierarchy: order must be an integer 2, 3, …, got {order!r}; O_2 is the NTK")
    check_function(f, "hierarchy")
    x, x2 = _inputs(x, x if x2 is None else x2)
    start, rest = real_parameters(params, "hierarchy")
    check_finite(params, "hierarchy")
    axes = output_axes(f, params, x, "hierarchy")
    return _tensors(f, start, rest, x, x2, order, axes)


def real_parameters(params: Any, name: str) -> tuple[Any, Any]:
    """The parameters' floating point leaves, and the rest; ValueError for complex ones, TypeError for no arrays."""
    check_arrays(params, name)
    start, rest = eqx.partition(params, eqx.is_inexact_array)
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(start)):
        raise ValueError(f"{name}: wanted real parameters, got complex ones; hold real and imaginary parts apart")
    return start, rest


def output_axes(f: Network, params: Any, x: Array, name: str) -> tuple[int, ...]:
    """The axes of one input's outputs in a tensor: none for a single output."""
    shape = outputs_of(f, params, x, name).shape
    return tuple(shape[1:]) if shape[1:] != (1,) else ()


def _inputs(x: Any, x2: Any) -> tuple[Array, Array]:
    """Both batches as arrays; ValueError where they have no rows, or rows of two shapes."""
    try:
        x, x2 = jnp.asarray(x), jnp.asarray(x2)
    except (TypeError, ValueError):
        raise TypeError(f"hierarchy: wanted inputs x as one array [n, …], got {type(x).__qualname__}") from None
    if 0 in (*x.shape, *x2.shape) or not x.ndim or x.shape[1:] != x2.shape[1:]:
        raise ValueError(
            f"hierarchy: wanted inputs x [n, …] and x2 [n2, …] of one shape each, got shapes {x.shape} and {x2.shape}"
        )
    return x, x2


@eqx.filter_jit
def _tensors(
    f: Network, start: Any, rest: Any, x: Array, x2: Array, order: int, axes: tuple[int, ...]
) -> dict[int, Array]:
    tower = outputs_at(f, rest, x)
    for _ in range(2, order + 1):
        tower = raised(tower, outputs_at(f, rest, x2))
    first, other = (len(x), *axes), (len(x2), *axes)
    _, *tensors = tower(start)
    return {s: tensor.reshape(first + (s - 1) * other) for s, tensor in enumerate(tensors, start=2)}


def outputs_at(f: Network, rest: Any, x: Array) -> Tower:
    """O_1 alone: the outputs on x as one vector."""
    return lambda leaves: (f(eqx.combine(leaves, rest), x).reshape(-1),)


def raised(tower: Tower, outputs: Tower) -> Tower:
    """O_1 … O_s and O_{s+1} = ∇O_s(θ) · ∇f(θ, x_α), with α as its last axis."""

    def higher(leaves: Any) -> tuple[Array, ...]:
        (values,), pull = jax.vjp(outputs, leaves)
        along = jax.vmap(lambda unit: jax.jvp(tower, (leaves,), pull((unit,))), out_axes=(None, -1))
        lower, changes = along(jnp.eye(len(values), dtype=values.dtype))
        return (*lower, changes[-1])

    return higher

"""The curvature of a network's training loss: products with its Hessian and its Gauss-Newton matrix."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from ..dynamics import Loss, ProductOperator, Rule, SquareLoss
from .examples import check_loss
from .function_check import check_function, outputs_of
from .parameter_check import check_trainable
from .top_eigenvalues import TopEigenvalues, top_eigenvalues


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of L(θ) = (1/D) Σ_α ℓ(f(θ, x_α), y_α) for any f(params, x), at the parameters given.

    `hessian`: ∂²L/∂θ², a derivative of the gradient along a vector. `gauss_newton`: (1/D) Jᵀ (∂²ℓ/∂f²) J, what is left
    of it where f is linear in θ; for square loss its eigenvalues are those of Θ/D, all pairs of outputs in Θ, and
    zeros. Both are `Operator`s over the P parameters, in the order of `jax.tree.leaves`; no matrix is formed. The
    largest eigenvalue of the Hessian is the sharpness.

    `x [D, …]`; `y`: targets as the loss wants them. Leaves of the parameters that are not floating point arrays are
    constants. Computed in the dtype of the parameters, a product at a time: about four evaluations of f on x each.
    Errors: TypeError for what is no function or no loss; ValueError for targets in the wrong form, outputs of another
    shape than the targets, complex or no parameters, and products that are not finite.
    Source: Pearlmutter 1994; Schraudolph 2002; Cohen et al. 2021 (sharpness).

    ```python
    curvature = wf.finite.Curvature(net.apply, params, x, y)
    values, errors = curvature.top(3)  # of the Hessian
    wf.GradientDescent().max_learning_rate(curvature.sharpness())  # 2/sharpness
    ```
    """

    f: Callable[[Any, Any], Any]
    params: Any
    x: Any
    y: Any
    loss: Loss = field(default_factory=SquareLoss)

    def __post_init__(self):
        check_function(self.f, "Curvature")
        check_loss(self.loss, "Curvature")

    @cached_property
    def hessian(self) -> ProductOperator:
        """∂²L/∂θ²."""
        return self._operator(_hessian_product, "the Hessian")

    @cached_property
    def gauss_newton(self) -> ProductOperator:
        """(1/D) Jᵀ (∂²ℓ/∂f²) J."""
        return self._operator(_gauss_newton_product, "the Gauss-Newton matrix")

    def top(self, count: int = 1, tolerance: float = 1e-6) -> TopEigenvalues:
        """The `count` largest eigenvalues of the Hessian; for others, `top_eigenvalues` of an operator."""
        return top_eigenvalues(self.hessian, count, tolerance)

    def sharpness(self, tolerance: float = 1e-6) -> float:
        """The largest eigenvalue of the Hessian; full-batch descent is stable below `max_sharpness(rule)`."""
        return float(self.top(1, tolerance).values[0])

    def _operator(self, product: Callable, name: str) -> ProductOperator:
        moving, rest = split_parameters(self.params)
        leaves = jax.tree.leaves(moving)
        check_trainable(self.params, "Curvature")
        points = sum(leaf.size for leaf in leaves)
        work, x = _Work(self.f, moving, rest, self.loss), jnp.asarray(self.x)
        y, dtype = self._targets(work, x), jnp.result_type(*leaves)

        def columns(vectors: np.ndarray) -> np.ndarray:
            each = [np.asarray(product(work, x, y, jnp.asarray(v, dtype)), np.float64) for v in vectors.T]
            if not np.isfinite(each).all():
                raise ValueError(f"{name}: a product is not finite; the parameters, outputs or inputs are too large")
            return np.stack(each, axis=1)

        return ProductOperator(columns, points, float(jnp.finfo(dtype).eps), name)

    def _targets(self, work: "_Work", x: Array) -> Array:
        targets = self.loss.checked(self.y, len(x))
        outputs = outputs_of(work.f, self.params, x, "Curvature")
        wanted = (len(x), *self.loss.output_shape(targets))
        if outputs.shape != wanted:
            raise ValueError(
                f"Curvature: the network's outputs have shape {outputs.shape}, the targets want {wanted}; "
                "change the last layer, or the shape of the targets"
            )
        return jnp.asarray(targets, outputs.dtype if targets.dtype.kind == "f" else None)


def max_sharpness(rule: Rule) -> float:
    """The sharpness above which a rule diverges on a quadratic loss: 2/η, for heavy ball 2(1 + β)/η, and so on.

    Where training in full batches settles near it, it is at the edge of stability. Source: Cohen et al. 2021.
    """
    return rule.max_learning_rate(1.0) / rule.lr


def split_parameters(params: Any) -> tuple[Any, Any]:
    """The floating point arrays of a tree as JAX arrays, NumPy's too, and all else."""
    arrays = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, params)
    return eqx.partition(arrays, eqx.is_inexact_array)


class _Work(eqx.Module):
    """A network and its loss as functions of one vector of parameters. Equal shapes compile once."""

    f: Callable[[Any, Any], Any]
    moving: Any
    rest: Any
    loss: Loss

    def flat(self) -> tuple[Array, Callable[[Array], Any]]:
        """The parameters as one vector, and the way back."""
        return ravel_pytree(self.moving)

    def outputs(self, x: Array) -> Callable[[Array], Array]:
        """θ ↦ f(θ, x)."""
        unravel = self.flat()[1]
        return lambda theta: self.f(eqx.combine(unravel(theta), self.rest), x)


@eqx.filter_jit
def _hessian_product(work: _Work, x: Array, y: Array, v: Array) -> Array:
    outputs = work.outputs(x)
    slope = jax.grad(lambda theta: work.loss.mean(outputs(theta), y))
    return jax.jvp(slope, (work.flat()[0],), (v,))[1]


@eqx.filter_jit
def _gauss_newton_product(work: _Work, x: Array, y: Array, v: Array) -> Array:
    theta = work.flat()[0]
    outputs, back = jax.vjp(work.outputs(x), theta)
    moved = jax.jvp(work.outputs(x), (theta,), (v,))[1]
    change = jax.jvp(lambda f: work.loss.gradients(f, y), (outputs,), (moved,))[1]
    return back(change)[0] / jnp.asarray(len(outputs), theta.dtype)

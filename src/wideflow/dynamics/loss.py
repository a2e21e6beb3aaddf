"""Losses of one example, as functions of the network's outputs and the target."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .targets import checked_labels, checked_numbers, checked_signs, checked_targets


@dataclass(frozen=True)
class Loss:
    """The loss ℓ(f, y) of one example; training minimises L = (1/D) Σ_α ℓ(f(x_α), y_α) over D training points.

    `f [*out]` are the outputs of the network for the example and `y` its target: JAX functions of one example, which
    callers map over examples. L is not divided by the number of outputs. A loss of your own is `CustomLoss`, or a
    subclass with `value` and, where its targets have a form of their own, `checked`.

    `curvature`: a bound on the largest eigenvalue of ∂²ℓ/∂f², infinite where none is known. Along an eigenvector of
    Θ/D with eigenvalue λ training goes no faster than `curvature` · λ, which bounds stable learning rates.
    `endless`: why training without ridge may have no limit as t → ∞.
    """

    curvature: ClassVar[float] = np.inf
    endless: ClassVar[str] = "its minimum may lie at infinity, or be reached by no finite integration"

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """ℓ(f, y)."""
        raise NotImplementedError

    def gradient(self, f: Float[Array, "*out"], y: Array) -> Float[Array, "*out"]:
        """∂ℓ/∂f, by automatic differentiation unless a loss knows better."""
        return jax.grad(self.value)(f, y)

    def checked(self, y_train: Any, points: int) -> np.ndarray:
        """The targets of `points` training points as the loss uses them, `[D, …]`; ValueError for the wrong form."""
        return checked_targets(y_train, points)

    def output_shape(self, targets: np.ndarray) -> tuple[int, ...]:
        """The shape of the network's outputs for one example, from checked targets."""
        return targets.shape[1:]

    def mean(self, f: Float[Array, "n *out"], y: Array) -> Float[Array, ""]:
        """The mean of ℓ over examples."""
        return jnp.mean(jax.vmap(self.value)(f, y))

    def gradients(self, f: Float[Array, "n *out"], y: Array) -> Float[Array, "n *out"]:
        """∂ℓ/∂f of every example."""
        return jax.vmap(self.gradient)(f, y)


@dataclass(frozen=True)
class SquareLoss(Loss):
    """ℓ = ½ ‖f − y‖², the loss of `Trajectory`. Targets `[D]` or `[D, out]`, shaped like the outputs."""

    curvature: ClassVar[float] = 1.0
    endless: ClassVar[str] = "Trajectory has that limit in closed form"

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """½ ‖f − y‖²."""
        return jnp.sum((f - y) ** 2) / 2

    def gradient(self, f: Float[Array, "*out"], y: Array) -> Float[Array, "*out"]:
        """f − y."""
        return f - y


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """ℓ = log Σ_c exp f_c − Σ_c y_c f_c: cross-entropy of k classes with the softmax of k outputs.

    Targets: integer labels `[D]` in 0 … k − 1, or probabilities `[D, k]` (one-hot, smoothed) whose rows sum to one.
    `classes`: k; None takes it from the targets (columns, or largest label + 1). ∂²ℓ/∂f² = diag(p) − p pᵀ has no
    eigenvalue above ½.
    """

    classes: int | None = None
    curvature: ClassVar[float] = 0.5
    endless: ClassVar[str] = "where it can fit the labels it has no minimum, and the logits grow like log t without end"

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """log Σ_c exp f_c − Σ_c y_c f_c."""
        return jax.nn.logsumexp(f) - jnp.sum(y * f)

    def gradient(self, f: Float[Array, "*out"], y: Array) -> Float[Array, "*out"]:
        """softmax(f) − y."""
        return jax.nn.softmax(f) - y

    def checked(self, y_train: Any, points: int) -> np.ndarray:
        """Probabilities `[D, k]` from labels or probabilities."""
        return checked_labels(y_train, points, self.classes)


@dataclass(frozen=True)
class LogisticLoss(Loss):
    """ℓ = Σ log(1 + exp(−y f)): two classes, one output. Targets −1 or +1, `[D]`, or `[D, out]` for several tasks."""

    curvature: ClassVar[float] = 0.25
    endless: ClassVar[str] = SoftmaxCrossEntropy.endless

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """Σ log(1 + exp(−y f))."""
        return jnp.sum(jax.nn.softplus(-y * f))

    def gradient(self, f: Float[Array, "*out"], y: Array) -> Float[Array, "*out"]:
        """−y σ(−y f), σ the logistic function."""
        return -y * jax.nn.sigmoid(-y * f)

    def checked(self, y_train: Any, points: int) -> np.ndarray:
        """Targets −1 or +1."""
        return checked_signs(y_train, points)


@dataclass(frozen=True)
class HuberLoss(Loss):
    """ℓ = Σ h(f − y), h(u) = ½ u² for |u| ≤ δ and δ (|u| − ½ δ) beyond. Targets `[D]` or `[D, out]`.

    `delta`: δ, positive; ValueError otherwise.
    """

    delta: float = 1.0
    curvature: ClassVar[float] = 1.0
    endless: ClassVar[str] = "no bound on the time it takes is known"

    def __post_init__(self):
        if not 0 < self.delta < np.inf:
            raise ValueError(f"HuberLoss(delta={self.delta}): delta must be positive and finite")

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """Σ h(f − y)."""
        near = self.gradient(f, y)
        return jnp.sum(near * (f - y) - near**2 / 2)

    def gradient(self, f: Float[Array, "*out"], y: Array) -> Float[Array, "*out"]:
        """f − y, cut off at ±δ."""
        return jnp.clip(f - y, -self.delta, self.delta)


@dataclass(frozen=True)
class CustomLoss(Loss):
    """ℓ = function(f, y) of one example's outputs and target; its gradient by automatic differentiation.

    `function`: a JAX function to a number, differentiable in its first argument. Targets may be any numbers
    `[D, …]`, integers included. `outputs`: the shape of the network's outputs for one example; None: that of the
    targets. `bound`: the largest eigenvalue ∂²ℓ/∂f² can have, where it is known; learning rates are checked with it.

    ```python
    log_cosh = wf.dynamics.CustomLoss(lambda f, y: jnp.sum(jnp.log(jnp.cosh(f - y))), bound=1.0)
    ```
    """

    function: Callable[[Array, Array], Array]
    outputs: tuple[int, ...] | None = None
    bound: float = np.inf

    @property
    def curvature(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The bound given."""
        return self.bound

    def value(self, f: Float[Array, "*out"], y: Array) -> Float[Array, ""]:
        """function(f, y)."""
        return self.function(f, y)

    def checked(self, y_train: Any, points: int) -> np.ndarray:
        """Finite numbers, as many as training points; integers stay integers."""
        return checked_numbers(y_train, points)

    def output_shape(self, targets: np.ndarray) -> tuple[int, ...]:
        """As given, or that of one target."""
        return targets.shape[1:] if self.outputs is None else self.outputs

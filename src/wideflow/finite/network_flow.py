"""Gradient flow of the parameters of a finite network, and how its NTK changes along it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
from jax import Array

from .function_check import check_function, outputs_of
from .hierarchy import Network, Tower, output_axes, outputs_at, raised, real_parameters


@dataclass(frozen=True)
class NetworkFlow:
    """Gradient flow dθ/dt = u(θ) = −Σ_α ∇_θ f(x_α) ℓ'_α on any loss of the outputs on training inputs.

    `f(params, x [D, …]) -> [D, *out]`. `slopes`: the loss's derivative ℓ' = ∂L/∂f as a JAX function of all
    outputs on `x`, of their shape; for L = 1/(2D) Σ_α (f(x_α) − y_α)² it is `lambda f: (f - y) / len(y)`.
    Parameters that are not floating point numbers are constants.
    Errors: ValueError for slopes of another shape than the outputs, and as for `hierarchy`.

    ```python
    flow = NetworkFlow(net.apply, x, lambda f: (f - y) / len(y))
    ntk, velocity, acceleration = flow.ntk_derivatives(params, order=2)
    ```
    """

    f: Network
    x: Array
    slopes: Callable[[Array], Array]

    def __post_init__(self):
        check_function(self.f, "NetworkFlow")
        if not callable(self.slopes):
            raise TypeError(
                f"NetworkFlow: slopes must be a function of all outputs, as lambda f: (f - y) / len(y), got "
                f"{type(self.slopes).__qualname__}"
            )

    def direction(self, params: Any) -> Any:
        """u(θ) = −Σ_α ∇_θ f(x_α) ℓ'_α, a tree like `params`; None for leaves that are constants.

        Cost of one gradient of the loss.
        """
        start, rest = self._parts(params)
        return _direction(self.f, self.slopes, rest, self.x, start)

    def ntk_derivatives(self, params: Any, order: int = 1, probes: Array | None = None) -> tuple[Array, ...]:
        """The NTK between `probes` (None: `x`) and `x`, and its first `order` derivatives in time at `params`.

        dΘ/dt = −Σ_α O_3(·, ·, α) ℓ'_α, and d²Θ/dt² = Σ_αβ O_4(·, ·, α, β) ℓ'_α ℓ'_β − Σ_α O_3(·, ·, α) dℓ'_α/dt,
        without these tensors: derivatives of θ ↦ J(θ) J(θ)ᵀ along u(θ), taken again with u recomputed inside. Shapes
        `[n, D]`, or `[n, *out, D, *out]` with several outputs. Each derivative costs about two to three times the one
        before, the first about three NTKs.
        """
        if isinstance(order, bool) or not isinstance(order, int) or order < 0:
            raise ValueError(f"NetworkFlow.ntk_derivatives: order must be an integer 0, 1, 2, …, got {order!r}")
        start, rest = self._parts(params)
        probes = self.x if probes is None else probes
        axes = output_axes(self.f, params, self.x, "NetworkFlow")
        shape = (len(probes), *axes, len(self.x), *axes)
        values = _ntk_derivatives(self.f, self.slopes, start, rest, self.x, probes, order)
        return tuple(value.reshape(shape) for value in values)

    def _parts(self, params: Any) -> tuple[Any, Any]:
        outputs = outputs_of(self.f, params, self.x, "NetworkFlow")
        slopes = eqx.filter_eval_shape(self.slopes, outputs)
        shape = getattr(slopes, "shape", None)
        if shape != outputs.shape:
            raise ValueError(f"slopes: wanted the outputs' shape {outputs.shape}, got {shape}")
        return real_parameters(params, "NetworkFlow")


@eqx.filter_jit
def _ntk_derivatives(
    f: Network, slopes: Callable, start: Any, rest: Any, x: Array, probes: Array, order: int
) -> tuple[Array, ...]:
    tower = partial(_ntk, raised(outputs_at(f, rest, probes), outputs_at(f, rest, x)))
    for _ in range(order):
        tower = partial(_with_derivative, tower, partial(_direction, f, slopes, rest, x))
    return tower(start)


def _ntk(tower: Tower, leaves: Any) -> tuple[Array, ...]:
    return tower(leaves)[1:]


def _with_derivative(tower: Tower, direction: Callable[[Any], Any], leaves: Any) -> tuple[Array, ...]:
    """The values and, after them, the derivative D[u(θ)] of the last one."""
    values, changes = jax.jvp(tower, (leaves,), (direction(leaves),))
    return (*values, changes[-1])


def _direction(f: Network, slopes: Callable, rest: Any, x: Array, leaves: Any) -> Any:
    """u(θ) of the floating point leaves."""
    outputs, pull = jax.vjp(lambda moving: f(eqx.combine(moving, rest), x), leaves)
    return pull(-slopes(outputs))[0]

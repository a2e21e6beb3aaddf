"""Lazy training: how near a model stays to its linearization, by its scale alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from ..finite.hierarchy import real_parameters
from ..nn import Layer

Model = Callable[[Any, Array], Array]
_STARTS = 4  # of the search for the largest curvature, which may end in a smaller one


def doubled(f: Model, params: Any) -> tuple[Model, Any]:
    """A model twice as large that starts at zero with the same NTK: f₂((θ, θ'), x) = (f(θ, x) − f(θ', x))/√2, θ' = θ.

    Every unit has a twin of opposite sign. Kernels of odd order of the hierarchy (O_3, O_5 …) vanish at the start. `f`:
    any JAX function. Returns the new model and its parameters. Source: Chizat, Oyallon & Bach 2019, section 2.3.
    """
    return Doubled(f), (params, params)


@dataclass(frozen=True)
class Doubled:
    """(f(θ, x) − f(θ', x))/√2 for parameters (θ, θ')."""

    f: Model

    def __call__(self, params: Any, x: Array) -> Array:
        """Outputs of the doubled model."""
        return (self.f(params[0], x) - self.f(params[1], x)) / 2**0.5


@dataclass(frozen=True)
class LazyIndex:
    """κ = ‖αh − y‖ ‖D²h‖ / (α ‖Dh‖²) of the model αh at one set of parameters, and its parts. Printable.

    Norms are those of the outputs on the training inputs, `residual` ‖αh − y‖, and operator norms of the derivatives in
    the parameters, `slope` ‖Dh‖ = √λ_max(Θ) and `curvature` ‖D²h‖ = max over unit u of ‖D²h[u, u]‖.
    """

    residual: float
    slope: float
    curvature: float
    alpha: float

    @property
    def value(self) -> float:
        """κ: training is lazy where it is far below one."""
        return self.residual * self.curvature / (self.alpha * self.slope**2)

    def __str__(self) -> str:
        word = "lazy" if self.value < 0.1 else "between lazy and not" if self.value < 1 else "not lazy"
        return (
            f"lazy index {self.value:.3g} at scale {self.alpha:g}: {word} (residual {self.residual:.3g}, "
            f"‖Dh‖ {self.slope:.3g}, ‖D²h‖ {self.curvature:.3g})"
        )


def lazy_index(f: Model | Layer, params: Any, x: Any, y: Any, alpha: float = 1.0, iterations: int = 60) -> LazyIndex:
    """How far training of αf on square loss is from lazy, before training: the index κ of Chizat, Oyallon and Bach.

    κ is the relative change of the derivative Dh while the residual is fitted; 1/α of the κ of f with targets y/α.
    `f(params, x [D, …]) → [D]` or `[D, out]`, or a layer; `y` like its outputs. `iterations`: of the alternating power
    iteration for ‖D²h‖, from four starts; each is one Hessian-vector product, and the result a lower bound that is
    sharp to about a percent.
    Errors: ValueError for α that is not positive, targets of another shape, parameters without influence on outputs.

    ```python
    print(lazy_index(net, params, x, y, alpha=10.0))
    ```
    """
    model, start, rest = _model(f, params)
    x, y = jnp.asarray(x), np.asarray(y, np.float64)
    outputs = np.asarray(model(eqx.combine(start, rest), x), np.float64)
    if not 0 < alpha < np.inf:
        raise ValueError(f"lazy_index: the scale alpha must be positive and finite, got {alpha}")
    if outputs.size != y.size:
        raise ValueError(f"lazy_index: wanted targets of the outputs' shape {outputs.shape}, got {y.shape}")
    slope, curvature = (float(v) for v in _norms(model, start, rest, x, iterations))
    if slope == 0:
        raise ValueError(
            "lazy_index: the outputs do not depend on the parameters to first order; the index is infinite"
        )
    residual = float(np.linalg.norm(alpha * outputs.ravel() - y.ravel()))
    return LazyIndex(residual, slope, curvature, float(alpha))


def _model(f: Model | Layer, params: Any) -> tuple[Model, Any, Any]:
    start, rest = real_parameters(params, "lazy_index")
    return (f.apply if isinstance(f, Layer) else f), start, rest


@eqx.filter_jit
def _norms(f: Model, start: Any, rest: Any, x: Array, iterations: int) -> tuple[Array, Array]:
    """‖Dh‖ and ‖D²h‖: for outputs weighted by c, a step to the Hessian's top eigenvector u; then c ∝ D²h[u, u].

    Each step increases |c · D²h[u, u]|; the Hessian is shifted by that value, so that the power iteration climbs.
    """
    flat, unravel = ravel_pytree(start)
    outputs = lambda v: f(eqx.combine(unravel(v), rest), x).reshape(-1)  # noqa: E731
    jacobian = jax.jacrev(outputs)(flat)
    slope = jnp.sqrt(jnp.linalg.eigvalsh(jacobian @ jacobian.T)[-1])
    keys = jax.random.split(jax.random.key(0), _STARTS)
    found = jax.lax.map(
        lambda key: _climbed(outputs, flat, jax.random.normal(key, flat.shape, flat.dtype), iterations), keys
    )
    return slope, jnp.max(found)


def _climbed(outputs: Callable[[Array], Array], flat: Array, u: Array, iterations: int) -> Array:
    def step(u: Array, _: None) -> tuple[Array, Array]:
        bent = _second(outputs, flat, u)
        size = jnp.linalg.norm(bent)
        c = bent / jnp.where(size == 0, 1, size)
        image = jax.jvp(jax.grad(lambda v: c @ outputs(v)), (flat,), (u,))[1] + size * u
        length = jnp.linalg.norm(image)
        return jnp.where(length == 0, u, image / jnp.where(length == 0, 1, length)), size

    return jnp.max(jax.lax.scan(step, u / jnp.linalg.norm(u), length=iterations)[1])


def _second(outputs: Callable[[Array], Array], flat: Array, u: Array) -> Array:
    """D²h[u, u]."""
    along = lambda v: jax.jvp(outputs, (v,), (u,))[1]  # noqa: E731
    return jax.jvp(along, (flat,), (u,))[1]

"""The distance of a scaled model from its linearization, against the scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Float

from ..finite import linearize
from ..nn import Layer
from .lazy import Model, doubled
from .slope import Slope, fit_paired_slope

STARTS = ("doubled", "centred", "plain")


@dataclass(frozen=True)
class LazyScaling:
    """Distances between training of αh and of its linearization over scales and seeds. Printable.

    `alphas [n]`. `outputs [n, S]`: the largest distance of αh from its linearization along training, root mean square
    over inputs. `parameters [n, S]`: ‖w_t − w_0‖/‖w_0‖ at the end. `ntk [n, S]`: ‖Θ_t − Θ_0‖/‖Θ_0‖ at the end.
    """

    alphas: Float[np.ndarray, " n"]
    start: str
    outputs: Float[np.ndarray, "n S"]
    parameters: Float[np.ndarray, "n S"]
    ntk: Float[np.ndarray, "n S"]

    @property
    def expected(self) -> tuple[float, float, float]:
        """The exponents of outputs, kernel and parameters.

        −1 all three from h − h(w₀); −2, −2 and −1 doubled, where O_3 = 0 at the start; 1, 0 and 0 with h(w₀) left in:
        outputs must move by αh(w₀), which parameters do by the same distance at every α.
        """
        return {"doubled": (-2.0, -2.0, -1.0), "centred": (-1.0, -1.0, -1.0), "plain": (1.0, 0.0, 0.0)}[self.start]

    @property
    def output_slope(self) -> Slope:
        """The exponent of the distance of outputs in α."""
        return fit_paired_slope(self.alphas, self.outputs)

    @property
    def parameter_slope(self) -> Slope:
        """The exponent of the distance of parameters: −1, and 0 for the plain start."""
        return fit_paired_slope(self.alphas, self.parameters)

    @property
    def ntk_slope(self) -> Slope:
        """The exponent of the change of the kernel."""
        return fit_paired_slope(self.alphas, self.ntk)

    def __str__(self) -> str:
        outputs, kernel, parameters = self.expected
        return (
            f"exponents in the scale, {self.start} start, α = {self.alphas.tolist()}\n"
            f"distance to the linearization  theory {outputs:2g}  measured {self.output_slope}\n"
            f"change of the NTK              theory {kernel:2g}  measured {self.ntk_slope}\n"
            f"change of the parameters       theory {parameters:2g}  measured {self.parameter_slope}"
        )

    __repr__ = __str__


def lazy_scaling(
    net: Layer,
    x: Any,
    y: Any,
    alphas: Sequence[float],
    start: str = "doubled",
    seeds: int = 8,
    t: float = 20.0,
    steps: int = 200,
    seed: int = 0,
) -> LazyScaling:
    """Train αh and its linearization by gradient flow on F_α = R(αh)/α², R = 1/(2D) Σ (αh − y)², over scales α.

    The kernel of αh under F_α is that of h whatever α, so that time means the same for all; α only divides the
    distance that parameters must move. `net`: one output. `x [D, …]`, `y [D]`. `alphas`: at least four. `start`:
    "doubled" (h = 0 by twin units), "centred" (h minus its initial outputs) or "plain" (h as it is drawn, with outputs
    αh(w₀) that grow with α: never lazy, however large α). Runge-Kutta steps in float64: `steps` must resolve
    the fastest mode, t λ_max(Θ/D) / steps < 1.
    Errors: ValueError for other words, scales that are not positive, more than one output, and RuntimeError where
    steps are too long or training diverges. Cost: 8 · steps gradients a scale and seed; the default with 64 units and
    8 points takes seconds.
    Source: Chizat, Oyallon & Bach 2019, theorems 2.2 to 2.4.

    ```python
    print(lazy_scaling(net, x, y, [4, 8, 16, 32, 64]))
    ```
    """
    if start not in STARTS:
        raise ValueError(f"lazy_scaling: start must be one of {STARTS}, got {start!r}")
    scales, targets = np.asarray(alphas, np.float64), np.asarray(y, np.float64).reshape(-1)
    if scales.ndim != 1 or not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ValueError(f"lazy_scaling: wanted positive scales alphas [n], got {alphas}")
    with jax.enable_x64(True):
        x = jnp.asarray(np.asarray(x, np.float64))
        keys = jax.random.split(jax.random.key(seed), seeds)
        shape = jax.eval_shape(lambda key: net.apply(net.init(key, x), x), keys[0]).shape
        if shape not in ((len(targets), 1), (len(targets),)):
            raise ValueError(
                f"lazy_scaling: wanted one output and one target for each input, got {shape}, {targets.shape}"
            )
        run = _runs(net, x, jnp.asarray(targets), jnp.asarray(scales), start, keys, t / steps, steps)
        outputs, parameters, ntk = (np.asarray(v).T for v in run)
    if not np.isfinite(outputs).all():
        raise RuntimeError(
            f"lazy_scaling: training diverges with {steps} steps to t = {t:g}; take more steps, a shorter time or "
            "larger scales"
        )
    return LazyScaling(scales, start, outputs, parameters, ntk)


@partial(jax.jit, static_argnums=(4, 7))
def _runs(
    net: Layer, x: Array, y: Array, alphas: Array, start: str, keys: Array, dt: ArrayLike, steps: int
) -> tuple[Array, Array, Array]:
    def of_seed(key: Array) -> Any:
        h, params = _started(net, start, net.init(key, x), x)
        return jax.lax.map(lambda alpha: _run(h, params, x, y, alpha, dt, steps), alphas)

    return jax.lax.map(of_seed, keys)


def _started(net: Layer, start: str, params: Any, x: Array) -> tuple[Model, Any]:
    f = lambda p, x: net.apply(p, x).reshape(-1)  # noqa: E731
    if start == "doubled":
        return doubled(f, params)
    if start == "plain":
        return f, params
    first = f(params, x)
    return lambda p, x: f(p, x) - first, params


def _run(
    h: Model, params: Any, x: Array, y: Array, alpha: Array, dt: ArrayLike, steps: int
) -> tuple[Array, Array, Array]:
    """Distances of one network at one scale."""
    line = linearize(h, params)

    def velocities(pair: tuple[Any, Any]) -> tuple[Any, Any]:
        return _velocity(h, pair[0], x, y, alpha), _velocity(line, pair[1], x, y, alpha)

    def step(pair: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Array]:
        pair = runge_kutta_step(velocities, pair, dt)
        return pair, alpha * jnp.sqrt(jnp.mean((h(pair[0], x) - line(pair[1], x)) ** 2))

    (end, _), distances = jax.lax.scan(step, (params, params), length=steps)
    before, after = (_flat_jacobian(h, p, x) for p in (params, end))
    theta, theta_end = before @ before.T, after @ after.T
    w0, w = (ravel_pytree(p)[0] for p in (params, end))
    moved = jnp.linalg.norm(w - w0) / jnp.linalg.norm(w0)
    return jnp.max(distances), moved, jnp.linalg.norm(theta_end - theta) / jnp.linalg.norm(theta)


def _velocity(h: Model, params: Any, x: Array, y: Array, alpha: Array) -> Any:
    """−∇F_α = −1/(α D) Σ (αh − y) ∇h."""
    outputs, pull = jax.vjp(lambda p: h(p, x), params)
    return pull(-(alpha * outputs - y) / (alpha * len(y)))[0]


def runge_kutta_step(velocity: Any, state: Any, dt: Any) -> Any:
    """One step of the classical method of order four for d(state)/dt = velocity(state), a tree."""

    def stage(carry: tuple[Any, Any], coefficients: Array) -> tuple[tuple[Any, Any], None]:
        slope, total = carry
        place, weight = coefficients
        slope = velocity(jax.tree.map(lambda s, k: s + place.astype(s.dtype) * dt * k, state, slope))
        return (slope, jax.tree.map(lambda a, k: a + weight.astype(k.dtype) * k, total, slope)), None

    still = jax.tree.map(jnp.zeros_like, state)
    stages = jnp.array([[0.0, 1.0], [0.5, 2.0], [0.5, 2.0], [1.0, 1.0]])
    (_, total), _ = jax.lax.scan(stage, (still, still), stages)  # a scan compiles the velocity once, not four times
    return jax.tree.map(lambda s, k: s + dt / 6 * k, state, total)


def _flat_jacobian(h: Model, params: Any, x: Array) -> Array:
    jacobian = jax.jacrev(lambda p: h(p, x))(params)
    return jnp.concatenate([leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(jacobian)], axis=1)

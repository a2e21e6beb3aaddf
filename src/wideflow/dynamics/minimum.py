"""Where training under a convex loss with ridge ends: Newton's method from products with the kernel."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .dual import DualProblem
from .loss import Loss

_NEWTON_STEPS = 500  # about 10 for smooth losses; Huber's, whose curvature jumps, may take more than 100
_CG_STEPS = 3000  # of one Newton step
_CG_SHARE = 1e-3  # to which share of its start conjugate gradients reduce the residual of a Newton step
_ARMIJO = 1e-4  # share of the predicted decrease that a step must achieve
_ROUNDING = 1e-13  # relative to the objective; a decrease smaller than that cannot be seen
_HALVINGS = 30


class Minimum(NamedTuple):
    """Outputs on the training points and dual weights at the minimum; no output is further from it than `error`."""

    outputs: Float[np.ndarray, "D *out"]
    dual: Float[np.ndarray, "D *out"]
    error: float


def minimum(problem: DualProblem, f0: Float[np.ndarray, "D *out"], rtol: float, atol: float) -> Minimum:
    """The one minimum of Σ ℓ(f(x_α), y_α) + ridge/2 ‖θ − θ₀‖², for a convex loss and ridge > 0.

    There ∇ℓ(F) = ridge B. A Newton step solves (∇²ℓ Θ + ridge) δ = ∇ℓ(F) − ridge B =: ρ by conjugate gradients in the
    inner product of Θ, in which that operator is symmetric, and is halved until the objective falls. An output f(x) is
    within √Θ(x, x) √(ρ·Θρ)/ridge of its limit, because the objective is ridge-strongly convex in θ; the iteration ends
    where that bound, for the largest Θ(x, x) on the training points, is below atol + rtol max |F|.

    Raises RuntimeError with the bound that was reached where it does not get there. Cost: one product of Θ with the
    outputs for each step of conjugate gradients, of which there are a few times √(κ λ_max/ridge) at most, κ the
    curvature of the loss and λ_max the largest eigenvalue of Θ.
    """
    with jax.enable_x64(True):
        arrays = [jnp.asarray(a) for a in (problem.theta, problem.targets, f0, problem.ridge, rtol, atol)]
        outputs, dual, error, tolerance = map(np.asarray, _newton(problem.loss, *arrays))
    if not error <= tolerance:
        raise RuntimeError(
            f"t=∞: Newton's method found the limit within {float(error):.3g} only, wanted {float(tolerance):.3g}; the "
            "loss must be convex. Ask for a larger atol or more ridge"
        )
    return Minimum(outputs, dual, float(error))


class _Point(NamedTuple):
    outputs: Array
    dual: Array
    rest: Array  # ρ
    seen: Array  # Θρ
    tries: Array
    stuck: Array


@partial(jax.jit, static_argnums=0)
def _newton(loss: Loss, theta: Array, y: Array, f0: Array, ridge: Array, rtol: Array, atol: Array) -> tuple:
    largest = jnp.sqrt(jnp.max(jnp.diagonal(theta)))

    def at(outputs: Array, dual: Array, tries: Array, stuck: Array) -> _Point:
        rest = loss.gradients(outputs, y) - ridge * dual
        return _Point(outputs, dual, rest, jnp.tensordot(theta, rest, 1), tries, stuck)

    def error(now: _Point) -> Array:
        return largest * jnp.sqrt(jnp.maximum(jnp.sum(now.rest * now.seen), 0.0)) / ridge

    def tolerance(now: _Point) -> Array:
        return atol + rtol * jnp.max(jnp.abs(now.outputs))

    def objective(outputs: Array, dual: Array) -> Array:
        return len(y) * loss.mean(outputs, y) + ridge / 2 * jnp.sum(dual * (f0 - outputs))

    def step(now: _Point) -> _Point:
        change, moved = _solve(loss, theta, y, now, ridge)
        start, slope = objective(now.outputs, now.dual), jnp.sum(now.rest * moved)

        def too_long(part: Array) -> Array:
            value = objective(now.outputs - part * moved, now.dual + part * change)
            enough = value <= start - _ARMIJO * part * slope + _ROUNDING * jnp.abs(start)
            return ~enough & (part > 0.5**_HALVINGS)

        part = jax.lax.while_loop(too_long, lambda part: part / 2, jnp.ones_like(start))
        return at(now.outputs - part * moved, now.dual + part * change, now.tries + 1, part <= 0.5**_HALVINGS)

    first = at(f0, jnp.zeros_like(f0), jnp.asarray(0), jnp.asarray(False))
    unfinished = lambda now: ~(error(now) <= tolerance(now)) & (now.tries < _NEWTON_STEPS) & ~now.stuck  # noqa: E731
    last = jax.lax.while_loop(unfinished, step, first)
    return last.outputs, last.dual, error(last), tolerance(last)


class _Residual(NamedTuple):
    change: Array  # δ
    moved: Array  # Θδ
    rest: Array
    search: Array
    pushed: Array  # Θ times the search direction
    size: Array  # rest·Θ rest
    steps: Array


def _solve(loss: Loss, theta: Array, y: Array, now: _Point, ridge: Array) -> tuple[Array, Array]:
    """δ with (∇²ℓ Θ + ridge) δ = ρ up to a share of ρ, and Θδ."""
    size = jnp.sum(now.rest * now.seen)

    def step(cg: _Residual) -> _Residual:
        _, curved = jax.jvp(lambda f: loss.gradients(f, y), (now.outputs,), (cg.pushed,))
        image = curved + ridge * cg.search
        length = cg.size / jnp.sum(cg.pushed * image)
        rest = cg.rest - length * image
        seen = jnp.tensordot(theta, rest, 1)
        size = jnp.maximum(jnp.sum(rest * seen), 0.0)
        ratio = size / cg.size
        change, moved = cg.change + length * cg.search, cg.moved + length * cg.pushed
        return _Residual(change, moved, rest, rest + ratio * cg.search, seen + ratio * cg.pushed, size, cg.steps + 1)

    still = jnp.zeros_like(now.rest)
    first = _Residual(still, still, now.rest, now.rest, now.seen, size, jnp.asarray(0))
    unfinished = lambda cg: (cg.size > _CG_SHARE**2 * size) & (cg.steps < _CG_STEPS)  # noqa: E731
    last = jax.lax.while_loop(unfinished, step, first)
    return last.change, last.moved

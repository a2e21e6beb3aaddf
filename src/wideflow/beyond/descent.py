"""Gradient descent of one network from several starts at several learning rates, in one compiled loop."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..dynamics import GradientDescent, HeavyBall, Loss, Nesterov, Rule
from ..dynamics.batches import EMPTY
from ..finite import taylor
from ..finite.curvature import split_parameters

Network = Callable[[Any, Any], Any]
_CACHED_BYTES = 4 * 2**20  # tasks are vectorised together as long as their parameters stay near the cache


class Model(eqx.Module):
    """A network f(params, x), or its Taylor polynomial of an `order` around the parameters `start`.

    `rest`: what of the parameters does not train. Equal shapes compile once, whatever the start.
    """

    f: Network
    start: Any
    rest: Any
    order: int | None = eqx.field(static=True, default=None)

    def __call__(self, moving: Any, x: Any) -> Array:
        """Outputs `[n, *out]` from the floating point parameters."""
        if self.order is None:
            return self.f(eqx.combine(moving, self.rest), x)
        start = eqx.combine(self.start, self.rest)
        return taylor(self.f, start, self.order)(eqx.combine(moving, self.rest), x)


class Tasks(eqx.Module):
    """Training tasks, a first axis over k of them: where they start, where they are, and what they saw.

    `starts`: initial parameters stacked over networks; `of [k]`: which of them is the task's. `params`, `velocity`:
    stacked over tasks. `rates [k]`, `step [k]`. `losses [k, T]`: the loss that each step found before it was taken.
    """

    starts: Any
    of: Int[Array, " k"]
    params: Any
    velocity: Any
    rates: Float[Array, " k"]
    step: Int[Array, " k"]
    losses: Float[Array, "k T"]

    @staticmethod
    def begin(starts: list[Any], of: Any, rates: Any, steps: int) -> "Tasks":
        """Tasks before their first step, from the floating point parameters of each network."""
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
        of, dtype = jnp.asarray(of, jnp.int32), jnp.result_type(*jax.tree.leaves(stacked))
        params = jax.tree.map(lambda leaf: leaf[of], stacked)
        rates = jnp.asarray(np.asarray(rates), dtype)
        losses = jnp.full((len(of), steps), jnp.nan, dtype)
        return Tasks(stacked, of, params, jax.tree.map(jnp.zeros_like, params), rates, jnp.zeros_like(of), losses)

    def params_of(self, task: int) -> Any:
        """The floating point parameters of one task."""
        return jax.tree.map(lambda leaf: leaf[task], self.params)


class Descent(eqx.Module):
    """Full-batch or minibatch gradient descent, with momentum or without, of a `Model` under any loss.

    `batches [steps, batch]`: indices of points, −1 for an empty slot; None: all points. v ← βv + ∇L at θ, or ahead at
    θ − ηβv (Nesterov); θ ← θ − ηv.
    """

    model: Model
    loss: Loss
    x: Array
    y: Array
    batches: Array | None
    momentum: float = eqx.field(static=True)
    ahead: float = eqx.field(static=True)

    def advance(self, tasks: Tasks, last: Any) -> Tasks:
        """Every task after step number `last [k]`."""
        size = 4 * sum(leaf.size for leaf in jax.tree.leaves(tasks.params)) // len(tasks.of)
        together = max(1, min(len(tasks.of), _CACHED_BYTES // size))
        return _advance(self, tasks, jnp.asarray(last, jnp.int32), together)

    def slope(self, params: Any, start: Any, step: Array) -> tuple[Array, Any]:
        """The loss of a step's batch, and its gradient."""
        model = eqx.tree_at(lambda m: m.start, self.model, start, is_leaf=lambda leaf: leaf is None)
        return jax.value_and_grad(lambda p: self._mean(model, p, step))(params)

    def _mean(self, model: Model, params: Any, step: Array) -> Array:
        if self.batches is None:
            return self.loss.mean(model(params, self.x), self.y)
        batch = self.batches[step]
        losses = jax.vmap(self.loss.value)(model(params, self.x[batch]), self.y[batch])
        there = batch != EMPTY
        return jnp.sum(jnp.where(there, losses, 0)) / there.sum().astype(losses.dtype)


@eqx.filter_jit
def _advance(descent: Descent, tasks: Tasks, last: Array, together: int) -> Tasks:
    def one(task: Any) -> Any:
        of, params, velocity, rate, first, losses, final = task
        start = jax.tree.map(lambda leaf: leaf[of], tasks.starts)

        def step(i: Array, now: Any) -> Any:
            params, velocity, losses = now
            at = jax.tree.map(lambda p, v: p - rate * descent.ahead * v, params, velocity)
            loss, slope = descent.slope(at, start, i)
            velocity = jax.tree.map(lambda v, g: descent.momentum * v + g, velocity, slope)
            params = jax.tree.map(lambda p, v: p - rate * v, params, velocity)
            return params, velocity, losses.at[i].set(loss)

        return jax.lax.fori_loop(first, final, step, (params, velocity, losses))

    each = (tasks.of, tasks.params, tasks.velocity, tasks.rates, tasks.step, tasks.losses, last)
    params, velocity, losses = jax.lax.map(one, each, batch_size=together)
    return Tasks(tasks.starts, tasks.of, params, velocity, tasks.rates, last, losses)


def momentum_of(rule: Rule) -> tuple[float, float]:
    """β of a rule that goes in steps, and how far ahead of θ its gradient is taken; TypeError for another rule."""
    if not isinstance(rule, GradientDescent | HeavyBall | Nesterov):
        raise TypeError(
            f"large learning rates: wanted GradientDescent, HeavyBall or Nesterov, which go in steps, got {rule!r}"
        )
    beta = float(getattr(rule, "momentum", 0.0))
    return beta, beta if isinstance(rule, Nesterov) else 0.0


def trainable(params: Any) -> tuple[Any, Any]:
    """The floating point parameters as JAX arrays, and the rest; ValueError where there are none."""
    moving, rest = split_parameters(params)
    if not jax.tree.leaves(moving):
        raise ValueError("large learning rates: the parameters hold no floating point arrays, so nothing trains")
    return moving, rest


def prepared(loss: Loss, model: Model, x: Any, y: Any) -> tuple[Array, Array]:
    """Inputs in the parameters' dtype and targets as the loss uses them; ValueError where outputs do not fit them."""
    dtype = jnp.result_type(*jax.tree.leaves(model.start))
    x = jnp.asarray(x)
    x = x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x
    targets = loss.checked(y, len(x))
    outputs = eqx.filter_eval_shape(model, model.start, x)
    wanted = (len(x), *loss.output_shape(targets))
    if outputs.shape != wanted:
        raise ValueError(
            f"large learning rates: the network's outputs have shape {outputs.shape}, the targets want {wanted}; "
            "change the last layer, or the shape of the targets"
        )
    return x, jnp.asarray(targets, outputs.dtype if targets.dtype.kind == "f" else None)

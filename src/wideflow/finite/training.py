"""Training of one network, or of its linearization, by any optimizer on a given order of batches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ..dynamics import Loss
from ..dynamics.batches import EMPTY, checked_batches, checked_steps

Network = Callable[[Any, Array], Array]


@dataclass(frozen=True)
class TrainedNetwork:
    """What was seen of one network: outputs on the probes `[T, n, *out]` after `steps [T]`, and the last parameters."""

    steps: Int[np.ndarray, " T"]
    outputs: Float[np.ndarray, "T n *out"]
    params: Any


@dataclass(frozen=True)
class NetworkTraining:
    """Training of any f(params, x) under any loss by any optax optimizer, batch by batch.

    The loss of a step is the mean of ℓ over its batch. With `wf.linearize(f, params)` in place of `f` it is training of
    the linearized network, by Adam or any other rule for which the kernel does not suffice, because its steps depend on
    the parameters one by one; for SGD with momentum, `KernelSGD` on the same batches takes the same steps.

    `optimizer`: an `optax.GradientTransformation`. `batches [steps, batch]`: indices of training points, −1 for an
    empty slot, from `dynamics.batch_order`. Everything is computed in the dtype of parameters and inputs.

    Errors: ValueError for targets in the wrong form, batches that name no point, steps beyond the batches, and outputs
    whose shape is not that of the targets. Cost: a gradient of `f` on the batch a step, and `f` on the probes at each
    of the steps that are recorded; one compilation.

    ```python
    training = wf.finite.NetworkTraining(wf.dynamics.SquareLoss(), optax.adam(1e-2), batches)
    seen = training.run(wf.linearize(net.apply, params), params, x, y, x_test, steps=[0, 10, 100])
    ```
    """

    loss: Loss
    optimizer: Any
    batches: Any

    def run(self, f: Network, params: Any, x: Any, y: Any, probes: Any, steps: Any) -> TrainedNetwork:
        """Train on `x [D, …]`, `y` as the loss wants it; record outputs on `probes [n, …]` after each of `steps`."""
        x, probes = jnp.asarray(x), jnp.asarray(probes)
        batches = checked_batches(self.batches, len(x))
        numbers, _ = checked_steps(np.atleast_1d(steps), len(batches))
        targets, outputs = self.loss.checked(y, len(x)), jax.eval_shape(f, params, x)
        self._check_outputs(outputs.shape[1:], self.loss.output_shape(targets))
        y = jnp.asarray(targets, outputs.dtype if targets.dtype.kind == "f" else None)
        work = _Work(self.loss, self.optimizer, f, x, y, jnp.asarray(batches))
        advance, seen_by = jax.jit(work.advance), jax.jit(f)
        state, seen, now = work.start(params), [], 0
        for step in numbers.tolist():
            params, state = advance(params, state, now, step)
            seen.append(np.asarray(seen_by(params, probes), np.float64))
            now = step
        return TrainedNetwork(numbers, np.stack(seen), params)

    @staticmethod
    def _check_outputs(of_network: tuple[int, ...], of_targets: tuple[int, ...]) -> None:
        if of_network != of_targets:
            raise ValueError(
                f"NetworkTraining: the outputs of one example have shape {of_network}, the targets want {of_targets}; "
                "change the last layer, or the shape of the targets"
            )


class _Work:
    """One training task: what its steps are made of."""

    def __init__(self, loss: Loss, optimizer: Any, f: Network, x: Array, y: Array, batches: Array):
        self.loss, self.optimizer, self.f = loss, optimizer, f
        self.x, self.y, self.batches = x, y, batches

    def start(self, params: Any) -> Any:
        """The optimizer's state before the first step."""
        return self.optimizer.init(eqx.filter(params, eqx.is_inexact_array))

    def advance(self, params: Any, state: Any, first: int | Array, last: int | Array) -> tuple[Any, Any]:
        """Parameters and the optimizer's state after the steps first … last − 1."""
        return jax.lax.fori_loop(first, last, self._step, (params, state))

    def _step(self, i: Array, now: tuple[Any, Any]) -> tuple[Any, Any]:
        params, state = now
        slopes = eqx.filter_grad(self._mean)(params, self.batches[i])
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts with floating point numbers
            updates, state = self.optimizer.update(slopes, state, eqx.filter(params, eqx.is_inexact_array))
        return eqx.apply_updates(params, updates), state

    def _mean(self, params: Any, batch: Array) -> Array:
        """The mean loss of a batch, its empty slots left out."""
        losses = jax.vmap(self.loss.value)(self.f(params, self.x[batch]), self.y[batch])
        there = batch != EMPTY
        return jnp.sum(jnp.where(there, losses, 0)) / there.sum().astype(losses.dtype)

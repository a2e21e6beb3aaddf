"""One network on its way through training: its parameters, its optimizer's state and the step it is at."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..dynamics import Loss
from ..dynamics.batches import EMPTY

Network = Callable[[Any, Array], Array]

_PIECE_SECONDS = 0.5  # what one compiled piece takes at least, as far as there are steps: Ctrl-C waits for its end


class Descent:
    """Training of f(params, x) step by step; made by `NetworkTraining.start`, which checks what goes in.

    `params`, `state`: parameters and the optimizer's state after `step` steps; they may be set, to go on from there.
    `data`: inputs `[D, …]`, targets and batches `[steps, batch]`, or None for all points in every step.
    """

    def __init__(self, loss: Loss, optimizer: Any, f: Network, params: Any, data: tuple[Array, Array, Array | None]):
        self.loss, self.optimizer, self.f, self.data = loss, optimizer, f, data
        self.params, self.step = params, 0
        self.state = optimizer.init(eqx.filter(params, eqx.is_inexact_array))
        self._compiled, self._f, self._piece = jax.jit(self._steps), jax.jit(f), 1

    def advance(self, step: int, progress: Callable[[int], None] | None = None) -> None:
        """Train until `step` steps are done; `progress(k)` is called whenever k more are.

        The steps go in compiled pieces of about half a second, so that Ctrl-C is prompt. Pieces do not change results.
        """
        while self.step < step:
            started, last = time.monotonic(), min(step, self.step + self._piece)
            now = self._compiled(self.params, self.state, self.data, self.step, last)
            taken = last - self.step
            (self.params, self.state), self.step = jax.block_until_ready(now), last
            if time.monotonic() - started < _PIECE_SECONDS:
                self._piece *= 2
            if progress is not None:
                progress(taken)

    def outputs(self, x: Array) -> np.ndarray:
        """What the network says about inputs now, `[n, *out]` in float64."""
        return np.asarray(self._f(self.params, x), np.float64)

    def _steps(self, params: Any, state: Any, data: Any, first: Array, last: Array) -> tuple[Any, Any]:
        """Parameters and the optimizer's state after the steps first … last − 1."""
        return jax.lax.fori_loop(first, last, lambda i, now: self._one(i, now, data), (params, state))

    def _one(self, i: Array, now: tuple[Any, Any], data: Any) -> tuple[Any, Any]:
        params, state = now
        x, y, batches = data
        slopes = eqx.filter_grad(self._mean)(params, x, y, None if batches is None else batches[i])
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts with floating point numbers
            updates, state = self.optimizer.update(slopes, state, eqx.filter(params, eqx.is_inexact_array))
        return eqx.apply_updates(params, updates), state

    def _mean(self, params: Any, x: Array, y: Array, batch: Array | None) -> Array:
        """The mean loss of a batch, its empty slots left out."""
        if batch is None:
            return self.loss.mean(self.f(params, x), y)
        losses = jax.vmap(self.loss.value)(self.f(params, x[batch]), y[batch])
        there = batch != EMPTY
        return jnp.sum(jnp.where(there, losses, 0)) / there.sum().astype(losses.dtype)

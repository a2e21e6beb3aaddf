"""Training of one network, or of its linearization, by any optimizer on a given order of batches."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..dynamics import Loss
from ..dynamics.batches import checked_batches, checked_steps
from .descent import Descent, Network
from .examples import check_loss
from .function_check import check_function, outputs_of
from .optimizer import optimizer_of
from .parameter_check import check_trainable


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
    `PairedTraining` trains several of them side by side, measures them and compares them.

    `optimizer`: an `optax.GradientTransformation`, or `GradientDescent`, `HeavyBall` or `Nesterov`. `batches
    [steps, batch]`: indices of training points, −1 for an empty slot, from `dynamics.batch_order`; None: all points in
    every step. Everything is computed in the dtype of parameters and inputs.

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
    batches: Any = None

    def run(self, f: Network, params: Any, x: Any, y: Any, probes: Any, steps: Any) -> TrainedNetwork:
        """Train on `x [D, …]`, `y` as the loss wants it; record outputs on `probes [n, …]` after each of `steps`."""
        descent, probes, seen = self.start(f, params, x, y), jnp.asarray(probes), []
        numbers, _ = checked_steps(np.atleast_1d(steps), None if self.batches is None else len(self.batches))
        for step in numbers.tolist():
            descent.advance(step)
            seen.append(descent.outputs(probes))
        return TrainedNetwork(numbers, np.stack(seen), descent.params)

    def start(self, f: Network, params: Any, x: Any, y: Any) -> Descent:
        """The network before its first step, to be advanced step by step."""
        check_function(f, "NetworkTraining")
        check_loss(self.loss, "NetworkTraining")
        check_trainable(params, "NetworkTraining")
        x = jnp.asarray(x)
        batches = None if self.batches is None else jnp.asarray(checked_batches(self.batches, len(x)))
        targets, outputs = self.loss.checked(y, len(x)), outputs_of(f, params, x, "NetworkTraining")
        self._check_outputs(outputs.shape[1:], self.loss.output_shape(targets))
        y = jnp.asarray(targets, outputs.dtype if targets.dtype.kind == "f" else None)
        return Descent(self.loss, optimizer_of(self.optimizer), f, params, (x, y, batches))

    @staticmethod
    def _check_outputs(of_network: tuple[int, ...], of_targets: tuple[int, ...]) -> None:
        if of_network != of_targets:
            raise ValueError(
                f"NetworkTraining: the outputs of one example have shape {of_network}, the targets want {of_targets}; "
                "change the last layer, or the shape of the targets"
            )

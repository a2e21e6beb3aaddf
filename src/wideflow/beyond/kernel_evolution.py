"""The NTK along training of one network: how it moves, and what it has learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..dynamics import GradientFlow, Trajectory
from ..finite import (
    EmpiricalKernel,
    effective_rank,
    kernel_distance,
    kernel_velocity,
    relative_change,
    target_alignment,
)
from ..nn import Layer, learning_rates
from .full_batch import DivergenceError, checked_targets, train_all


class LearningTask(NamedTuple):
    """Training and held-out points: `x [D, …]`, `y [D]` or `[D, out]`, `x_test`, `y_test` alike."""

    x: Any
    y: Any
    x_test: Any
    y_test: Any


@dataclass(frozen=True)
class KernelEvolution:
    """What was seen of one network and its NTK after each of `steps [T]`, times lr × steps. Printable.

    `ntk [T, D + n, D]`: Θ̂_t of all points with the training points, the held-out ones last. `outputs [T, D + n, out]`.
    `y [D + n, out]`: the targets. All numbers below are `[T]`, of the state after those steps.
    """

    lr: float
    steps: Int[np.ndarray, " T"]
    ntk: Float[np.ndarray, "T P D"]
    outputs: Float[np.ndarray, "T P out"]
    y: Float[np.ndarray, "P out"]

    @property
    def points(self) -> int:
        """D, the number of training points."""
        return self.ntk.shape[2]

    @property
    def train(self) -> Float[np.ndarray, "T D D"]:
        """Θ̂_t on the training points."""
        return self.ntk[:, : self.points]

    @property
    def distance(self) -> Float[np.ndarray, " T"]:
        """S(Θ̂_0, Θ̂_t) on the training points: quadratic in a small change, blind to its size."""
        return np.array([kernel_distance(self.train[0], kernel) for kernel in self.train])

    @property
    def change(self) -> Float[np.ndarray, " T"]:
        """‖Θ̂_t − Θ̂_0‖_F/‖Θ̂_0‖_F on the training points."""
        return np.array([relative_change(kernel, self.train[0]) for kernel in self.train])

    @property
    def velocity(self) -> Float[np.ndarray, " intervals"]:
        """S(Θ̂_t, Θ̂_t') by the steps between them, for neighbouring records, `[T − 1]`."""
        return kernel_velocity(self.train, self.steps)

    @property
    def alignment(self) -> Float[np.ndarray, " T"]:
        """The alignment of Θ̂_t with the training targets, yᵀΘ̂y/(‖Θ̂‖_F ‖y‖²)."""
        return np.array([target_alignment(kernel, self.y[: self.points]) for kernel in self.train])

    @property
    def rank(self) -> Float[np.ndarray, " T"]:
        """The effective rank (tr Θ̂_t)²/‖Θ̂_t‖_F²."""
        return np.array([effective_rank(kernel) for kernel in self.train])

    @property
    def network_error(self) -> Float[np.ndarray, " T"]:
        """Mean squared error of the network on the held-out points, summed over outputs."""
        return self._error(self.outputs)

    @property
    def network_accuracy(self) -> Float[np.ndarray, " T"]:
        """Part of the held-out points the network classifies rightly: by sign, or by the largest of several outputs."""
        return self._accuracy(self.outputs)

    def kernel_regression(self, ridge: float = 0.0) -> Float[np.ndarray, "T P out"]:
        """Predictions Θ̂_t(·, X)(Θ̂_t(X, X) + r I)⁻¹ y of regression with each kernel (the after-kernel at the last).

        `ridge`: r as a part of the mean diagonal of Θ̂_t. Without it the pseudo-inverse is taken.
        """
        return np.stack([self._regressed(kernel, ridge) for kernel in self.ntk])

    def kernel_error(self, ridge: float = 0.0) -> Float[np.ndarray, " T"]:
        """Mean squared error of `kernel_regression` on the held-out points."""
        return self._error(self.kernel_regression(ridge))

    def kernel_accuracy(self, ridge: float = 0.0) -> Float[np.ndarray, " T"]:
        """Accuracy of `kernel_regression` on the held-out points."""
        return self._accuracy(self.kernel_regression(ridge))

    def restarted(self) -> Float[np.ndarray, "T P out"]:
        """Outputs of networks that are linearized at θ_t and trained on from there, for the time that is left.

        By the kernel alone: gradient flow of the linearization from f_t with Θ̂_t, for lr × the steps that are left. (In
        steps of `lr` it may diverge where the network does not, because Θ̂_t has grown beyond what `lr` allows.)
        """
        return np.stack([self._restarted(i) for i in range(len(self.steps))])

    def restarted_error(self) -> Float[np.ndarray, " T"]:
        """Mean squared error of `restarted` on the held-out points; the last is the network's own."""
        return self._error(self.restarted())

    def restarted_accuracy(self) -> Float[np.ndarray, " T"]:
        """Accuracy of `restarted` on the held-out points."""
        return self._accuracy(self.restarted())

    def _restarted(self, i: int) -> np.ndarray:
        left, f = self.lr * (self.steps[-1] - self.steps[i]), self.outputs[i]
        if left == 0:
            return f
        trajectory = Trajectory(self.train[i], self.y[: self.points], GradientFlow())
        return np.asarray(trajectory.test(left, self.ntk[i], f[: self.points], f))

    def _regressed(self, kernel: np.ndarray, ridge: float) -> np.ndarray:
        if ridge < 0:
            raise ValueError(f"kernel_regression: ridge is a part of the mean diagonal, at least 0, got {ridge}")
        train, y = kernel[: self.points], self.y[: self.points]
        if not ridge:
            zeros = np.zeros_like(self.outputs[0])
            return np.asarray(Trajectory(train, y, GradientFlow()).test(None, kernel, zeros[: self.points], zeros))
        train = train.astype(np.float64)
        regular = train + ridge * np.trace(train) / len(train) * np.eye(len(train))
        return kernel @ np.linalg.solve(regular, y)

    def _error(self, outputs: np.ndarray) -> np.ndarray:
        return np.mean(np.sum((outputs - self.y)[:, self.points :] ** 2, axis=2), axis=1)

    def _accuracy(self, outputs: np.ndarray) -> np.ndarray:
        return np.mean(_classes(outputs[:, self.points :]) == _classes(self.y[self.points :]), axis=1)

    def __str__(self) -> str:
        last = f"after {self.steps[-1]} steps"
        rows = [
            ("ntk", f"moved by S = {self.distance[-1]:.2g}, changed by {self.change[-1]:.2g} of its norm {last}"),
            ("alignment", f"{self.alignment[0]:.3g} → {self.alignment[-1]:.3g}"),
            ("rank", f"{self.rank[0]:.3g} → {self.rank[-1]:.3g}"),
            ("error", f"network {self.network_error[-1]:.3g}, linearized at the start {self.restarted_error()[0]:.3g}"),
        ]
        return "\n".join(f"{name:12}{value}" for name, value in rows)


def kernel_evolution(net: Layer, task: LearningTask, lr: float, steps: Sequence[int], seed: int = 0) -> KernelEvolution:
    """Train one network by gradient descent on the square loss; record its NTK and outputs on all points.

    `net`: in any parameterization; its factors of the learning rate are in the training and in the NTK, so that the
    linearization at any time trains with the NTK and the rate `lr`. `task`: training and held-out points. `steps`:
    ascending, after which the state is recorded; the first should be 0. Outputs are averaged in the NTK, which is exact
    for one output. Cost: the training, and an NTK `[D + n, D]` for each record, in the dtype of the inputs.
    Errors: ValueError for steps out of order and targets of another shape than outputs, DivergenceError (a ValueError)
    for training that diverges.
    Source: Fort et al. 2020; Long 2021 (after-kernel).

    ```python
    task = wf.beyond.LearningTask(x, y, x_test, y_test)
    seen = wf.beyond.kernel_evolution(net, task, lr=0.5, steps=[0, 10, 100, 1000])
    print(seen)
    ```
    """
    if not list(steps) or min(steps) < 0 or any(b <= a for a, b in pairwise(steps)):
        raise ValueError(f"kernel_evolution: steps must be ascending and not negative, got {list(steps)}")
    x, x_test = jnp.asarray(task.x), jnp.asarray(task.x_test)
    y = checked_targets("kernel_evolution", net, x, task.y)
    y_test = checked_targets("kernel_evolution", net, x_test, task.y_test)
    everything = jnp.concatenate([x, x_test])
    params = jax.tree.map(lambda leaf: leaf[None], net.init(jax.random.key(seed), x))
    kernels, outputs, now = [], [], 0
    for step in steps:
        params, now = train_all(net, params, x, y, lr, jnp.asarray(step - now)), step
        one = jax.tree.map(lambda leaf: leaf[0], params)
        outputs.append(np.asarray(net.apply(one, everything), np.float64))
        kernel = EmpiricalKernel(net.apply, one, rates=learning_rates(net, one))
        finite = np.isfinite(outputs[-1]).all()  # of others the kernel is an error
        kernels.append(_symmetric_part(np.asarray(kernel.ntk(everything, x))) if finite else np.nan)
        if not np.isfinite(kernels[-1]).all():
            raise DivergenceError(
                f"kernel_evolution: training diverged before step {step}; take a smaller learning rate"
            )
    targets = np.concatenate([np.asarray(y, np.float64), np.asarray(y_test, np.float64)])
    return KernelEvolution(float(lr), np.array(list(steps)), np.stack(kernels), np.stack(outputs), targets)


def _symmetric_part(kernel: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P D"]:
    """Rounding makes the training block a little unsymmetric."""
    points = kernel.shape[1]
    block = kernel[:points]
    return np.concatenate([(block + block.T) / 2, kernel[points:]])


def _classes(outputs: Float[np.ndarray, "*T n out"]) -> Any:
    return outputs[..., 0] > 0 if outputs.shape[-1] == 1 else np.argmax(outputs, axis=-1)

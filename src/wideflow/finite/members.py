"""What is trained side by side: functions of parameters, step by step, and kernels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics import KernelSGD, Loss, Nesterov, Rule
from ..kernels import gram
from .descent import Descent, Network
from .empirical_kernel import EmpiricalKernel
from .function_check import check_function
from .linearize import linearize
from .relative_change import relative_changes
from .taylor import taylor
from .training_data import TrainingData
from .training_log import Record

Progress = Callable[[int], None]


def training_members(f: Network, params: Any, orders: Any = (1,), kernel: Any = None) -> dict[str, Any]:
    """A network and its approximations by name, for `PairedTraining.run`.

    "network": f. "linear" for order 1, and "order k": its Taylor polynomials at `params`. "kernel": a kernel that is
    called like `Kernel`, where one is given.
    """
    check_function(f, "training_members")
    members: dict[str, Any] = {"network": f}
    for order in orders:
        members["linear" if order == 1 else f"order {order}"] = (
            linearize(f, params) if order == 1 else taylor(f, params, order)
        )
    return members if kernel is None else members | {"kernel": kernel}


class NetworkMember:
    """A function of parameters, trained by its optimizer.

    A record holds `outputs [n, *out]` on all inputs, the relative `changes` of all parameters and of every array of
    them, `seconds` of training so far, and where it is asked for the `ntk` on `ntk_inputs`. After the first record
    with outputs that are not finite nothing is trained any more, and all is NaN.
    """

    def __init__(self, descent: Descent, inputs: Any, ntk_inputs: Any, factors: Any):
        self.descent, self.inputs, self.seconds, self.diverged = descent, jnp.asarray(inputs), 0.0, False
        self.start = eqx.filter(descent.params, eqx.is_inexact_array)
        self.ntk_inputs, self.factors = None if ntk_inputs is None else jnp.asarray(ntk_inputs), factors

    @property
    def params(self) -> Any:
        """The parameters now."""
        return self.descent.params

    @property
    def state(self) -> Any:
        """What training goes on from."""
        return eqx.filter(self.descent.params, eqx.is_inexact_array), self.descent.state

    def resume(self, step: int, last: Record, state: Any) -> None:
        """Go on after `step` steps."""
        params, self.descent.state = state
        self.descent.params = eqx.combine(params, self.descent.params)
        self.descent.step, self.seconds = step, float(last["seconds"])
        self.diverged = not np.isfinite(last["outputs"]).all()

    def record(self, step: int, ntk: bool, progress: Progress) -> Record:
        """Train until `step` steps are done, and look."""
        if self.diverged:
            progress(step - self.descent.step)
            self.descent.step = step
        started = time.monotonic()
        self.descent.advance(step, progress)
        self.seconds += time.monotonic() - started
        seen = {"outputs": self.descent.outputs(self.inputs), "changes": self._changes()}
        if ntk and self.ntk_inputs is not None:
            seen["ntk"] = self._ntk(self.ntk_inputs)
        if self.diverged:
            seen = {name: np.full_like(array, np.nan) for name, array in seen.items()}
        self.diverged = not np.isfinite(seen["outputs"]).all()
        return seen | {"seconds": np.asarray(self.seconds)}

    def _ntk(self, inputs: Any) -> np.ndarray:
        """NaN where training diverged: the kernel of outputs that are not finite is an error."""
        if not np.isfinite(self.descent.outputs(inputs)).all():
            return np.full((len(inputs), len(inputs)), np.nan)
        return np.asarray(EmpiricalKernel(self.descent.f, self.params, rates=self.factors).ntk(inputs), np.float64)

    def _changes(self) -> np.ndarray:
        new, old = (jax.tree.leaves(tree) for tree in (self.state[0], self.start))
        together = [np.concatenate([np.ravel(leaf) for leaf in leaves]) for leaves in (new, old)]
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array([relative_changes(*together), *relative_changes(new, old)])


@dataclass(frozen=True)
class KernelTask:
    """What training by a kernel starts from, beside the kernel: `f0 [n, *out]` are outputs on all points."""

    loss: Loss
    rule: Rule
    batches: Any
    rates: Any
    steps: np.ndarray
    data: TrainingData
    f0: np.ndarray

    def outputs(self, kernel: Any) -> np.ndarray:
        """`[T, n, *out]` after all steps that are recorded. Training that diverges is returned as it is."""
        x, D = self.data.x, len(self.data.x)
        theta, steps = gram(kernel, x), self.steps
        run = KernelSGD(self.loss, theta, self.data.y, self.rule, self.batches, self.rates, allow_unstable=True)
        before = np.maximum(steps - 1, 0)
        needed = np.union1d(steps, before) if isinstance(self.rule, Nesterov) else steps
        with np.errstate(over="ignore", invalid="ignore"):
            paths = run.train(needed, self.f0[:D])
            if self.data.x_test is not None:
                cross = gram(kernel, self.data.x_test, x)
                paths = np.concatenate([paths, run.test(needed, cross, self.f0[:D], self.f0[D:])], axis=1)
            now = paths[np.searchsorted(needed, steps)]
            if isinstance(self.rule, Nesterov):  # optax holds the point of the gradient
                now = now + self.rule.momentum * (now - paths[np.searchsorted(needed, before)])
        return now


class KernelMember:
    """Training from a kernel alone, all steps in one compiled loop when the first record is wanted.

    A record holds `outputs`, `seconds` and where it is asked for the `ntk` on `ntk_inputs`, which does not change.
    """

    params: Any = None
    state: Any = None

    def __init__(self, kernel: Any, task: KernelTask, ntk_inputs: Any):
        self.kernel, self.task, self.ntk_inputs = kernel, task, ntk_inputs
        self._paths: np.ndarray | None = None
        self._ntk: np.ndarray | None = None
        self.step, self.seconds = 0, 0.0

    def resume(self, step: int, last: Record, state: Any) -> None:
        """Go on after `step` steps; what was not recorded is computed again."""
        self.step = step

    def record(self, step: int, ntk: bool, progress: Progress) -> Record:
        """Outputs after `step` steps."""
        if self._paths is None:
            started = time.monotonic()
            self._paths = self.task.outputs(self.kernel)
            self.seconds = time.monotonic() - started
        seen = {"outputs": self._paths[np.searchsorted(self.task.steps, step)], "seconds": np.asarray(self.seconds)}
        if ntk and self.ntk_inputs is not None:
            self._ntk = gram(self.kernel, self.ntk_inputs).astype(np.float64) if self._ntk is None else self._ntk
            seen["ntk"] = self._ntk
        progress(step - self.step)
        self.step = step
        return seen

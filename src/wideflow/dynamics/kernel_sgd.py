"""Gradient descent with momentum and minibatches under any loss, from the kernel alone."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from .batches import EMPTY, checked_batches, checked_steps
from .dual import DualProblem
from .loss import Loss
from .momentum import HeavyBall, Nesterov
from .rule import GradientDescent, Rule


class KernelSGD:
    """SGD on the linearized network, step by step, from its kernel alone.

    Parameters stay at θ₀ − Jᵀ B. With the gradient of the mean loss of a batch b, g = ∇ℓ(f(X_b)) / |b| in the rows of b
    and zero in all others, and weight decay ridge/D towards the initial parameters,

        V ← β V + g − (ridge/D) B,    B ← B + η V,    f(x) = f_0(x) − Θ(x, X) B,

    which is θ ← θ − η v, v ← β v + ∇L_b in parameter space: the same steps, whatever the width. `Nesterov` takes the
    gradient at θ − η β v; its steps are θ, whereas optax and PyTorch hold the point of the gradient, which is
    (1 + β) θ_n − β θ_{n−1}.

    `loss`, `ntk_train [D, D]`, `y_train`, `ridge`: as `LossTrajectory`. `rule`: `GradientDescent(lr)`,
    `HeavyBall(lr, momentum)` or `Nesterov(lr, momentum)`. `batches [steps, batch]`: indices of training points, from
    `batch_order` or your own (−1 is an empty slot); None: all points in every step. `rates [steps]`: a learning rate
    for every step, in place of the rule's. `allow_unstable`: permit learning rates beyond the limit at which full
    batches are sure to descend; batches smaller than that can be unstable below it, too.

    Errors: as `LossTrajectory`; ValueError for a learning rate beyond the limit, batches that name no point, and steps
    beyond batches or rates. Cost: the eigenvalues of Θ, once; then |b| D out multiplications a step, all steps in one
    compiled loop. Steps and initial outputs that are asked for again cost nothing.
    Source: the parameters' own steps, multiplied by J.

    ```python
    order = wf.dynamics.batch_order(len(x_train), batch=32, steps=1000)
    run = wf.dynamics.KernelSGD(loss, kernel.ntk(x_train), labels, wf.dynamics.HeavyBall(0.1, 0.9), order)
    logits = run.test([10, 100, 1000], kernel.ntk(x_test, x_train))  # [3, M, classes]
    ```
    """

    def __init__(
        self,
        loss: Loss,
        ntk_train: Any,
        y_train: Any,
        rule: Rule,
        batches: Any = None,
        rates: Any = None,
        ridge: float = 0.0,
        allow_unstable: bool = False,
    ):
        self.momentum, self.lookahead = _momentum(rule)
        self.problem = DualProblem.of(loss, ntk_train, y_train, ridge)
        self.rule, self.batches = rule, None if batches is None else checked_batches(batches, len(self.problem.theta))
        self.rates = None if rates is None else _checked_rates(rates)
        lengths = [len(one) for one in (self.batches, self.rates) if one is not None]
        self._last_step = min(lengths, default=None)
        if not allow_unstable:
            self._check_stable()
        self._done: tuple[tuple, tuple[np.ndarray, np.ndarray]] | None = None

    def train(self, steps: Any, f0: Any = None) -> np.ndarray:
        """Outputs on the training points after `steps` steps, `[T, D, *out]`, less the axis T for a single number.

        `steps`: ascending whole numbers. `f0`: outputs at initialisation; None means zero.
        """
        numbers, single = checked_steps(steps, self._last_step)
        outputs, _ = self._descend(numbers, self.problem.start(f0, "f0"))
        return np.array(outputs[0] if single else outputs)

    def test(self, steps: Any, ntk_test_train: Any, f0_train: Any = None, f0_test: Any = None) -> np.ndarray:
        """Outputs on other points, `[T, M, *out]`, less the axis T for a single number.

        `ntk_test_train [M, D]`: Θ between these points and the training points. `f0_train`, `f0_test`: outputs at
        initialisation on both; None means zero.
        """
        numbers, single = checked_steps(steps, self._last_step)
        _, dual = self._descend(numbers, self.problem.start(f0_train, "f0_train"))
        outputs = self.problem.test(dual, ntk_test_train, f0_test)
        return outputs[0] if single else outputs

    def dual_weights(self, steps: Any, f0: Any = None) -> np.ndarray:
        """B `[T, D, *out]`: the parameters are θ₀ − Jᵀ B, any output is f_0 − Θ(·, X) B."""
        numbers, single = checked_steps(steps, self._last_step)
        _, dual = self._descend(numbers, self.problem.start(f0, "f0"))
        return np.array(dual[0] if single else dual)

    def _check_stable(self) -> None:
        lr = self.rule.lr if self.rates is None else float(self.rates.max(initial=0.0))
        hessian = self.problem.hessian
        limit = self.rule.max_learning_rate(hessian) if np.isfinite(hessian) else np.inf
        if lr >= limit:
            raise ValueError(
                f"{self.rule!r}: the learning rate {lr:.6g} is beyond the stability limit {limit:.6g} of ntk_train "
                f"for {type(self.problem.loss).__name__}, whose curvature is at most "
                f"{self.problem.loss.curvature:g}; use a smaller one, or pass allow_unstable=True"
            )

    def _descend(self, steps: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs on the training points and dual weights after every one of `steps`, `[T, D, *out]` both."""
        key = (steps.tobytes(), f0.tobytes())
        if self._done is None or self._done[0] != key:
            self._done = key, self._run(steps, f0)
        return self._done[1]

    def _run(self, steps: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        problem, last = self.problem, int(steps[-1])
        rates = np.full(last, self.rule.lr) if self.rates is None else self.rates[:last]
        slots = np.full(last + 1, len(steps))  # where the weights after each step go; one slot more for all others
        slots[steps] = np.arange(len(steps))
        with jax.enable_x64(True):
            plan = _Plan(
                jnp.asarray(rates),
                jnp.asarray(np.concatenate([[0.0], rates])[:last]),
                None if self.batches is None else jnp.asarray(self.batches[:last]),
                jnp.asarray(slots[1:]),
            )
            start, log = jnp.asarray(f0), jnp.zeros((len(steps) + 1, *f0.shape))
            settings = tuple(map(jnp.asarray, (problem.ridge / len(f0), self.momentum, self.lookahead)))
            theta, targets = jnp.asarray(problem.theta), jnp.asarray(problem.targets)
            dual = np.asarray(_scan(problem.loss, theta, targets, start, plan, settings, log))[:-1]
        return f0 - np.moveaxis(np.tensordot(problem.theta, dual, axes=(1, 1)), 0, 1), dual


class _Plan(NamedTuple):
    """What each step takes: its learning rate, that of the step before, its batch, the slot its result goes to."""

    rates: Float[Array, " steps"]
    before: Float[Array, " steps"]
    batches: Int[Array, "steps batch"] | None
    slots: Int[Array, " steps"]


@partial(jax.jit, static_argnums=0)
def _scan(loss: Loss, theta: Array, y: Array, f0: Array, plan: _Plan, settings: tuple, log: Array) -> Array:
    """Dual weights after the steps that have a slot of their own, `[T + 1, D, *out]`."""
    decay, momentum, lookahead = settings

    def step(state: tuple[Array, Array, Array], now: _Plan) -> tuple[tuple[Array, Array, Array], None]:
        dual, velocity, log = state
        kept = momentum * velocity
        point = dual + lookahead * now.before * kept
        slope = _slope(loss, theta, y, f0, point, now.batches) - decay * point
        dual = point + now.rates * (slope + (1 - lookahead) * kept)
        return (dual, kept + slope, log.at[now.slots].set(dual)), None

    still = jnp.zeros_like(f0)
    (_, _, log), _ = jax.lax.scan(step, (still, still, log), plan)
    return log


def _slope(loss: Loss, theta: Array, y: Array, f0: Array, dual: Array, batch: Array | None) -> Array:
    """The gradient of the mean loss over a batch with respect to all outputs on the training points, `[D, *out]`."""
    if batch is None:
        return loss.gradients(f0 - jnp.tensordot(theta, dual, 1), y) / len(y)
    there = (batch != EMPTY).astype(f0.dtype)
    outputs = f0[batch] - jnp.tensordot(theta[batch], dual, 1)
    share = (there / there.sum()).reshape(-1, *[1] * (f0.ndim - 1))
    return jnp.zeros_like(f0).at[batch].add(share * loss.gradients(outputs, y[batch]))


def _momentum(rule: Rule) -> tuple[float, float]:
    """The momentum β of a rule, and 1 where the gradient is taken ahead."""
    if isinstance(rule, HeavyBall | Nesterov):
        return float(rule.momentum), float(isinstance(rule, Nesterov))
    if isinstance(rule, GradientDescent):
        return 0.0, 0.0
    raise TypeError(
        f"rule: wanted GradientDescent, HeavyBall or Nesterov, got {rule!r}; LossTrajectory is for rules in "
        "continuous time"
    )


def _checked_rates(rates: Any) -> np.ndarray:
    array = np.asarray(rates, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"rates: wanted finite learning rates [steps], not negative, got shape {array.shape}")
    return array

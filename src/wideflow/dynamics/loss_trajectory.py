"""The outputs of one network along training under any loss, by integration in function space."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .dual import DualProblem
from .loss import Loss
from .loss_flow import LossFlow
from .minimum import minimum
from .momentum_flow import HeavyBallFlow
from .rule import GradientFlow, Rule
from .times import checked_times


class LossTrajectory:
    """How a network with the kernel `ntk_train` trains under any loss, at any time, by gradient flow.

    The loss is L = (1/D) Σ_α ℓ(f(x_α), y_α) over the D training points, with weight decay of strength ridge/D towards
    the initial parameters. Parameters stay at θ_t = θ₀ − Jᵀ B_t, all outputs at f_t(x) = f_0(x) − Θ(x, X) B_t, and

        dB/dt = (lr/D) (∇ℓ(f_t(X)) − ridge B)                    for `GradientFlow(lr)`: dθ/dt = −lr ∇L;
        d²B/dt² + friction dB/dt = (lr/D) (∇ℓ(f_t(X)) − ridge B)  for `HeavyBallFlow(lr, friction)`.

    The second is θ'' + friction θ' = −lr ∇L from rest. The heavy ball with momentum β and a small rate η follows it in
    the time h n after n steps, for any h: lr = η/h² and friction = (1 − β)/h. Exact for a linear model with this
    kernel, and for networks in the limit of infinite width. For `SquareLoss` it is `Trajectory`, by integration.

    `loss`: `SquareLoss`, `SoftmaxCrossEntropy`, `LogisticLoss`, `HuberLoss` or `CustomLoss`. `ntk_train [D, D]`: Θ on
    the training points, infinite or empirical, the same for every output. `y_train`: as the loss wants it. `rtol`,
    `atol`: tolerances of each step, on the outputs of the training points and on what each dual weight adds to its
    point's own output; errors at the end are about ten times as large. `solver`: a diffrax solver; None is `Dopri8`.
    It is explicit and stable at any stiffness, because the steps adapt. `Kvaerno5()` is for few points (D · out below
    a few hundred) and times so long that explicit steps are too many.

    Times may be in any order. t = None or ∞ needs ridge > 0 and a convex loss, which then has one minimum; `minimum`
    finds it, to the same tolerances. Times and initial outputs that are asked for again cost no new integration.

    Errors: ValueError for labels in the wrong form, shapes that do not match, a kernel that is not symmetric positive
    semidefinite, negative times; RuntimeError where integration fails or takes more than 100,000 steps.
    Cost: the eigenvalues of Θ, once; then 13 products of Θ with the outputs, 2 D² out operations each, a step. There
    are as many steps as accuracy needs (less than 200 for cross-entropy on real data), or lr κ λ t/4 where that is
    more, κ the curvature of the loss along training (cross-entropy loses it as it fits) and λ the largest eigenvalue of
    Θ/D.
    Source: Lee et al. 2019, section 2.2; diffrax.

    ```python
    tr = wf.LossTrajectory(wf.dynamics.SoftmaxCrossEntropy(), kernel.ntk(x_train), labels)
    logits = tr.test([1.0, 10.0, 1e3], kernel.ntk(x_test, x_train))  # [3, M, classes]
    ```
    """

    def __init__(
        self,
        loss: Loss,
        ntk_train: Any,
        y_train: Any,
        rule: Rule | None = None,
        ridge: float = 0.0,
        rtol: float = 1e-9,
        atol: float = 1e-9,
        solver: Any = None,
    ):
        self.rule = GradientFlow() if rule is None else rule
        if not isinstance(self.rule, GradientFlow | HeavyBallFlow):
            raise TypeError(
                f"rule: wanted GradientFlow or HeavyBallFlow, got {rule!r}; KernelSGD is for rules that go in steps"
            )
        for name, tolerance in (("rtol", rtol), ("atol", atol)):
            if not 0 < tolerance < 1:
                raise ValueError(f"{name}={tolerance}: must be between 0 and 1")
        self.problem = DualProblem.of(loss, ntk_train, y_train, ridge)
        self.rtol, self.atol, self.solver = float(rtol), float(atol), solver
        self._solved: tuple[tuple, tuple[np.ndarray, np.ndarray]] | None = None

    def train(self, t: Any, f0: Any = None) -> np.ndarray:
        """Outputs on the training points, `[T, D, *out]`, less the axis T for a single time.

        `f0`: outputs at initialisation; None means zero.
        """
        times, single = self._times(t)
        outputs, _ = self._solve(times, self.problem.start(f0, "f0"))
        return np.array(outputs[0] if single else outputs)

    def test(self, t: Any, ntk_test_train: Any, f0_train: Any = None, f0_test: Any = None) -> np.ndarray:
        """Outputs on other points, `[T, M, *out]`, less the axis T for a single time.

        `ntk_test_train [M, D]`: Θ between these points and the training points. `f0_train`, `f0_test`: outputs at
        initialisation on both; None means zero.
        """
        times, single = self._times(t)
        _, dual = self._solve(times, self.problem.start(f0_train, "f0_train"))
        outputs = self.problem.test(dual, ntk_test_train, f0_test)
        return outputs[0] if single else outputs

    def dual_weights(self, t: Any, f0: Any = None) -> np.ndarray:
        """B `[T, D, *out]`: the parameters are θ₀ − Jᵀ B, any output is f_0 − Θ(·, X) B."""
        times, single = self._times(t)
        _, dual = self._solve(times, self.problem.start(f0, "f0"))
        return np.array(dual[0] if single else dual)

    def _times(self, t: Any) -> tuple[np.ndarray, bool]:
        times, single = checked_times(t, self.rule)
        loss = self.problem.loss
        if np.isinf(times).any() and self.problem.ridge == 0:
            raise ValueError(
                f"t=∞: not for {type(loss).__name__} without ridge: {loss.endless}. "
                "Ask for a large t, or give ridge > 0"
            )
        return np.array(times), single

    def _solve(self, times: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs on the training points and dual weights at every time, `[T, D, *out]` both."""
        key = (times.tobytes(), f0.tobytes())
        if self._solved is None or self._solved[0] != key:
            self._solved = key, self._outputs(times, f0)
        return self._solved[1]

    def _outputs(self, times: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        endless = np.isinf(times)
        outputs, dual = np.empty((2, len(times), *f0.shape))
        if not endless.all():
            outputs[~endless], dual[~endless] = self._integrate(times[~endless], f0)
        if endless.any():
            outputs[endless], dual[endless], _ = minimum(self.problem, f0, self.rtol, self.atol)
        return outputs, dual

    def _integrate(self, times: np.ndarray, f0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moments, place = np.unique(times, return_inverse=True)
        moments = np.pad(moments, (0, _padding(len(moments))), mode="edge")  # few shapes, few compilations
        if moments[-1] == 0:
            return np.stack([f0] * len(times)), np.zeros((len(times), *f0.shape))
        problem, rule = self.problem, self.rule
        friction = rule.friction if isinstance(rule, HeavyBallFlow) else None
        with jax.enable_x64(True):
            start = jnp.asarray(f0)
            flow = LossFlow.of(problem, rule.lr, friction)
            self._check_gradient(np.asarray(flow.loss.gradients(start, flow.targets)))
            path = flow.integrate(start, jnp.asarray(moments), self.rtol, self.atol, self.solver)
            outputs, dual, failed = np.asarray(path.outputs), np.asarray(path.dual), bool(path.failed)
        if failed or not np.isfinite(outputs).all():
            raise RuntimeError(self._failure(int(path.steps), moments[-1]))
        return outputs[place], dual[place]

    @staticmethod
    def _check_gradient(gradient: np.ndarray) -> None:
        if not np.isfinite(gradient).all():
            row = int(np.flatnonzero(~np.isfinite(gradient.reshape(len(gradient), -1)).all(axis=1))[0])
            raise ValueError(f"loss: its gradient is NaN or infinite at the initial outputs, first in row {row}")

    def _failure(self, steps: int, end: float) -> str:
        stiffness = self.rule.lr * self.problem.hessian * end
        return (
            f"LossTrajectory: integration to t={end:.6g} failed after {steps} steps; lr · curvature · λ_max · t is "
            f"{stiffness:.3g}, and explicit steps may be a quarter of that. Ask for earlier times, a larger rtol, or "
            "solver=diffrax.Kvaerno5() for few points"
        )


def _padding(times: int) -> int:
    """How many times are missing to a power of two, at least eight."""
    return max(8, 1 << (times - 1).bit_length()) - times

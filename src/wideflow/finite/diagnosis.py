"""Whether a network, at its learning rate, trains like its linearization: in numbers and in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics import GradientDescent, HeavyBall, Loss, Nesterov, Rule
from .curvature import Curvature, max_sharpness, split_parameters
from .empirical import empirical_ntk
from .linearize import linearize
from .relative_change import relative_change
from .top_eigenvalues import top_eigenvalues
from .training import NetworkTraining

LAZY = 0.1  # changes of the NTK, and deviations of the outputs, up to which a network is called lazy
RICH = 0.5  # … and above which it is said to have left the kernel regime
BARELY_TRAINED = 0.9  # part of the loss above which training is said to have barely begun
_RECORDS = 20  # steps at which both are compared, beside the start, evenly spaced in the logarithm
_TOLERANCE = 1e-3  # relative, of the eigenvalues

Regime = Literal["kernel", "between", "not kernel", "diverged"]


@dataclass(frozen=True)
class Diagnosis:
    """How far training of one network is from training with its kernel at initialisation. Printable.

    `rule`, `steps`: the training, full batches.
    `parameter_change`: ‖θ_T − θ_0‖/‖θ_0‖. `ntk_change`: ‖Θ_T − Θ_0‖_F/‖Θ_0‖_F of the NTK on x, averaged over outputs.
    `output_change`: the largest root mean square of f_t − f_0 over recorded steps. `deviation`: the largest root mean
    square of f_t − f_lin,t over recorded steps, divided by `output_change`; f_lin is the network linearized at θ_0,
    trained alike.
    `critical_rate`: the learning rate above which the linearization diverges, from the largest eigenvalue of the
    Gauss-Newton matrix at θ_0 (of Θ/D for square loss; for others the matrix changes along training, and it is where
    it starts). `sharpness`: the largest eigenvalue of the Hessian before and after. `max_sharpness`: 2/η for gradient
    descent, 2(1 + β)/η for heavy ball. `losses`: of the network before and after. `linear_loss`: of the linearization
    after. Numbers of something that diverged are infinite.

    `regime`: "kernel" where `ntk_change` and `deviation` are at most LAZY = 0.1 and the learning rate is below
    critical; "not kernel" where one is above RICH = 0.5 or the rate is not below critical; "between"; and "diverged".
    The change of the parameters does not decide: its size depends on the parameterization.
    """

    rule: Rule
    steps: int
    parameter_change: float
    ntk_change: float
    output_change: float
    deviation: float
    critical_rate: float
    sharpness: tuple[float, float]
    losses: tuple[float, float]
    linear_loss: float

    @property
    def max_sharpness(self) -> float:
        """The sharpness at which the rule is at the edge of stability."""
        return max_sharpness(self.rule)

    @property
    def regime(self) -> Regime:
        """What the numbers say, by the thresholds above."""
        if not np.isfinite(self.losses[1]):
            return "diverged"
        change = max(self.ntk_change, self.deviation)
        if self.rule.lr >= self.critical_rate or change > RICH:
            return "not kernel"
        return "kernel" if change <= LAZY else "between"

    @property
    def barely_trained(self) -> bool:
        """Whether the loss is still above 0.9 of what it was: any network is lazy for the first steps."""
        return bool(self.losses[1] > BARELY_TRAINED * self.losses[0])

    @property
    def verdict(self) -> str:
        """The regime in words, with the numbers that decide."""
        numbers = f"the NTK changed by {self.ntk_change:.2g} of itself, "
        numbers += f"outputs are off the linearization by {self.deviation:.2g} of their change"
        said = {
            "diverged": "training diverged; take a smaller learning rate",
            "kernel": f"in the kernel regime: {numbers}, both at most {LAZY}",
            "between": f"near the kernel regime but not in it: {numbers}; at most {LAZY} would be",
            "not kernel": f"not in the kernel regime: {numbers}",
        }[self.regime]
        if self.rule.lr >= self.critical_rate:
            said += f"; the learning rate {self.rule.lr:.3g} is not below the critical {self.critical_rate:.3g}"
        if self.barely_trained and self.regime != "diverged":
            said += "; but training has barely begun, so this is about these steps only: take more"
        return said

    def __str__(self) -> str:
        (sharp, sharp_after), (loss, loss_after) = self.sharpness, self.losses
        rows = [
            ("verdict", self.verdict),
            ("training", f"{self.steps} steps of {self.rule}"),
            ("loss", f"{loss:.4g} → {loss_after:.4g}; linearization {self.linear_loss:.4g}"),
            ("parameters", f"changed by {self.parameter_change:.2e} of their norm"),
            ("ntk", f"changed by {self.ntk_change:.2e} of its norm"),
            (
                "outputs",
                f"changed by {self.output_change:.3g} (rms); off the linearization by {self.deviation:.2e} of it",
            ),
            ("rate", f"{self.rule.lr:.4g}; critical at initialisation {self.critical_rate:.4g}"),
            ("sharpness", f"{sharp:.4g} → {sharp_after:.4g}; edge of stability {self.max_sharpness:.4g}"),
        ]
        return "\n".join(f"{name:12}{value}" for name, value in rows)

    __repr__ = __str__


def diagnose(
    f: Callable[[Any, Any], Any], params: Any, x: Any, y: Any, loss: Loss, rule: Rule, steps: int
) -> Diagnosis:
    """Train a network and its linearization on the same full batch, and tell whether they are the same.

    `f(params, x [D, …])`: any JAX function of a tree of parameters, to `[D, *out]`; leaves that are not floating point
    arrays do not train. `y`: targets as `loss` wants them. `rule`: `GradientDescent`, `HeavyBall` or `Nesterov`. All
    parameters have the rule's learning rate. Computed in the dtype of the parameters.

    Cost: for each step a gradient of the network and one of its linearization, about two of the network; the NTK on x
    twice; some tens of products with the Hessian. Memory: the NTK `[D, D]`, and some tens of vectors of parameters.
    Errors: TypeError for another rule; ValueError for fewer than one step, targets in the wrong form, outputs of
    another shape than the targets, and a network that is not finite at the start.
    Source: Lee et al. 2019; Chizat et al. 2019; Cohen et al. 2021.

    ```python
    print(wf.diagnose(net.apply, params, x, y, wf.dynamics.SquareLoss(), wf.GradientDescent(0.5), steps=200))
    ```
    """
    optimizer = _optimizer(rule)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"diagnose: steps must be a whole number, at least 1, got {steps!r}")
    moving, rest = split_parameters(params)
    held, static = eqx.partition(rest, eqx.is_array)
    start = eqx.combine(moving, held)  # arrays alone: what is no array, as a function in a module, JAX cannot take

    def network(arrays: Any, inputs: Any) -> Any:
        return f(eqx.combine(arrays, static), inputs)

    before = Curvature(network, start, x, y, loss)
    critical = _critical_rate(before, rule)
    sharpness = before.sharpness(_TOLERANCE)
    records = np.unique(np.round(np.geomspace(1, steps, _RECORDS)).astype(int))
    training = NetworkTraining(loss, optimizer, np.tile(np.arange(len(x)), (steps, 1)))
    runs = [training.run(g, start, x, y, x, [0, *records]) for g in (network, linearize(network, start))]
    outputs, linear = (run.outputs for run in runs)
    end = runs[0].params
    finite = bool(np.isfinite(outputs[-1]).all())
    change, deviation = _largest_rms(outputs - outputs[0]), _largest_rms(outputs - linear)
    ntk = [np.asarray(empirical_ntk(network, params, jnp.asarray(x))) for params in ((start, end) if finite else ())]
    return Diagnosis(
        rule,
        steps,
        relative_change(end, start) if finite else np.inf,
        relative_change(ntk[1], ntk[0]) if finite else np.inf,
        change,
        deviation / change if 0 < change < np.inf else np.inf,
        critical,
        (sharpness, Curvature(network, end, x, y, loss).sharpness(_TOLERANCE) if finite else np.inf),
        (_mean(loss, outputs[0], y), _mean(loss, outputs[-1], y)),
        _mean(loss, linear[-1], y),
    )


def _optimizer(rule: Rule) -> Any:
    """The rule as an optimizer of optax."""
    import optax

    if not isinstance(rule, (GradientDescent, HeavyBall, Nesterov)):
        raise TypeError(
            f"diagnose: wanted GradientDescent, HeavyBall or Nesterov, which go in steps, got {rule!r}; "
            "for a flow take GradientDescent at a small learning rate"
        )
    return optax.sgd(rule.lr, getattr(rule, "momentum", None), nesterov=isinstance(rule, Nesterov))


def _critical_rate(curvature: Curvature, rule: Rule) -> float:
    top = top_eigenvalues(curvature.gauss_newton, tolerance=_TOLERANCE)
    return rule.max_learning_rate(float(top.values[0]))


def _largest_rms(outputs: np.ndarray) -> float:
    """The largest root mean square of all recorded steps; infinity where one is not finite."""
    with np.errstate(over="ignore"):
        rms = np.sqrt(np.mean(outputs.reshape(len(outputs), -1) ** 2, axis=1))
    return float(rms.max()) if np.isfinite(rms).all() else np.inf


def _mean(loss: Loss, outputs: np.ndarray, y: Any) -> float:
    """The mean loss in float64; infinity where outputs are not finite."""
    with jax.enable_x64(True):
        value = float(loss.mean(jnp.asarray(outputs), jnp.asarray(loss.checked(y, len(outputs)))))
    return value if np.isfinite(value) else np.inf

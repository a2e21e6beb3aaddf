"""Training a network beside its linearization, with a look at its kernels on the way."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics import GradientDescent, HeavyBall, HuberLoss, Loss, Nesterov, Rule, SquareLoss
from .after_kernel import AfterKernel, kernel_regression, score
from .curvature import Curvature, split_parameters
from .descent import Descent
from .deviation_path import DeviationPath
from .diagnosis import Diagnosis
from .empirical import empirical_ntk
from .examples import check_loss, examples_of, inputs_in, sized_loss, targets_for
from .extrapolate_width import checked_widths, extrapolate_width, network_of
from .function_check import check_function, noting, outputs_of
from .hidden import HiddenMovement, check_activations, feature_kernel, hidden_changes, preactivations_of
from .kernel_movement import KernelMovement
from .lazy_index import lazy_index
from .linearize import linearize
from .model import Model
from .optimizer import optimizer_of
from .parameter_check import check_finite, check_trainable
from .relative_change import relative_change
from .top_eigenvalues import top_eigenvalues
from .training_data import TrainingData

_RECORDS = 20  # steps at which both are compared, beside the start, evenly spaced in the logarithm
_INTERVALS = 4  # of equal length, between which the kernels are looked at
_TOLERANCE = 1e-3  # relative, of the eigenvalues


def diagnose(
    f: Callable[[Any, Any], Any],
    params: Any,
    data: Any,
    rule: Rule,
    loss: Loss = SquareLoss(),  # noqa: B008, it cannot change
    steps: int = 200,
    hidden: Callable[[Any, Any], Any] | None = None,
    family: Callable[[int], tuple[Any, Any]] | None = None,
    widths: Sequence[int] = (64, 128, 256, 512),
    wanted: float = 0.01,
) -> Diagnosis:
    """Train a network and its linearization on the same full batch, and tell whether they are the same.

    `f(params, x [D, …])`: any JAX function of a tree of parameters, to `[D, *out]`; leaves that are not floating point
    arrays do not train. `data`: `(x, y)`, `(x, y, x_test, y_test)`, `TrainingData` or a task of `wideflow.datasets`,
    targets as `loss` wants them; with held-out points the trained NTK is tested too. `rule`: `GradientDescent`,
    `HeavyBall` or `Nesterov`. All parameters have the rule's learning rate. `hidden(params, x)`: a tree of activations
    `[D, …]` to be followed, that of the last layer last; None takes those of `net.apply` of a `Serial` network, see
    `Preactivations`. `family(width)`: the function and the parameters of such a network of another width; those of
    `widths` are trained at the same fraction of their own critical rates, and the report says how wide the network
    would have to be for a deviation of `wanted`; Ctrl-C ends this part, and what is known is returned. Computed in the
    dtype of the parameters, which floating point inputs are turned to.

    Cost: for each step a gradient of the network and one of its linearization, about two of the network; the NTK on x
    five times, and on the held-out points twice; some tens of products with the Hessian. Memory: six times the NTK
    `[D, D]`, and some tens of vectors of parameters.
    Errors: TypeError for what is no function, another rule, and data in no known form; ValueError for fewer than one
    step, targets in the wrong form, outputs that are complex or of another shape than the targets, no parameters, a
    network that is not finite at the start, and one whose outputs of an example depend on the rest of the batch, as
    with batch normalisation in training mode.
    Source: Lee et al. 2019; Chizat et al. 2019; Cohen et al. 2021; Fort et al. 2020.

    ```python
    print(wf.diagnose(net.apply, params, (x, y, x_test, y_test), wf.GradientDescent(0.5)))
    ```
    """
    _check(f, params, rule, loss, steps)
    if family is not None:
        first, _ = network_of(family, int(checked_widths(family, widths, wanted)[0]))
        check_function(first, "diagnose: family")
    task = _Task.of(f, params, data, loss, preactivations_of(f) if hidden is None else hidden)
    Model(task.f, task.start).checked(task.x)
    before = task.curvature(task.start)
    critical, sharpness = _critical_rate(before, rule), before.sharpness(_TOLERANCE)
    record, end = _Record(task), task.start
    kernel_steps = np.linspace(0, steps, _INTERVALS + 1).round().astype(int).tolist()
    for step, params_now in record.walk(rule, {*_recorded(steps), *kernel_steps}):
        if step in kernel_steps and record.finite:
            record.kernels(step, params_now)
        end = params_now
    finite = record.finite

    found = Diagnosis(
        rule,
        record.path("train"),
        critical,
        (sharpness, task.curvature(end).sharpness(_TOLERANCE) if finite else np.inf),
        relative_change(end, task.start) if finite else np.inf,
        record.ntk_movement() if finite else None,
        record.hidden_movement(end) if finite and task.hidden is not None else None,
        record.path("test") if task.data.x_test is not None else None,
        record.after_kernel(end) if finite and task.data.x_test is not None else None,
        lazy_index(task.f, task.start, task.x, task.y) if isinstance(loss, SquareLoss) else None,
    )
    if family is None:
        return found
    alike = lambda g, start: measure_deviation(g, start, data, rule, loss, steps, rule.lr / critical)  # noqa: E731
    try:
        extrapolated = extrapolate_width(family, widths, alike, wanted)
    except KeyboardInterrupt:
        return replace(found, interrupted=True)
    return replace(found, widths=extrapolated, interrupted=extrapolated.interrupted)


def critical_rate(
    f: Callable[[Any, Any], Any],
    params: Any,
    data: Any,
    rule: Rule,
    loss: Loss = SquareLoss(),  # noqa: B008, it cannot change
) -> float:
    """The learning rate above which the linearization of a network diverges under a rule, `Diagnosis.critical_rate`.

    Arguments and errors as `diagnose`; the learning rate of the rule does not count. Cost: some tens of products with
    the Gauss-Newton matrix.
    """
    _check(f, params, rule, loss, 1)
    task = _Task.of(f, params, data, loss, None)
    return _critical_rate(task.curvature(task.start), rule)


def measure_deviation(
    f: Callable[[Any, Any], Any],
    params: Any,
    data: Any,
    rule: Rule,
    loss: Loss = SquareLoss(),  # noqa: B008, it cannot change
    steps: int = 200,
    fraction: float | None = None,
) -> DeviationPath:
    """The part of `diagnose` that trains: `Diagnosis.path`, for an eighth of its time; no kernels, no curvature.

    Arguments and errors as `diagnose`; held-out points do not count. `fraction`: of the network's own critical rate, to
    train at in place of the rule's learning rate.
    """
    if fraction is not None:
        rule = replace(rule, lr=fraction * critical_rate(f, params, data, rule, loss))
    _check(f, params, rule, loss, steps)
    record = _Record(_Task.of(f, params, data, loss, None))
    for _ in record.walk(rule, {0, *_recorded(steps)}):
        pass
    return record.path("train")


def _recorded(steps: int) -> list[int]:
    """About evenly spaced in the logarithm."""
    return np.geomspace(1, steps, _RECORDS).round().astype(int).tolist()


def _check(f: Any, params: Any, rule: Any, loss: Any, steps: Any) -> None:
    if not isinstance(rule, (GradientDescent, HeavyBall, Nesterov)):
        raise TypeError(
            f"diagnose: wanted GradientDescent, HeavyBall or Nesterov, which go in steps, got {rule!r}; "
            "for a flow take GradientDescent at a small learning rate"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"diagnose: steps must be a whole number, at least 1, got {steps!r}")
    check_function(f, "diagnose")
    check_loss(loss, "diagnose")
    check_trainable(params, "diagnose")
    check_finite(params, "diagnose")


def _critical_rate(curvature: Curvature, rule: Rule) -> float:
    top = top_eigenvalues(curvature.gauss_newton, tolerance=_TOLERANCE)
    return rule.max_learning_rate(float(top.values[0]))


class _OfArrays:
    """A function of all parameters as one of arrays alone: what is no array, as a function in a module, is set."""

    def __init__(self, f: Callable[[Any, Any], Any], static: Any):
        self.f, self.static = f, static

    def __call__(self, arrays: Any, x: Any) -> Any:
        return self.f(eqx.combine(arrays, self.static), x)


class _Task:
    """A network with its data: parameters `start`, arrays alone, and targets as the loss uses them."""

    def __init__(self, f: _OfArrays, start: Any, loss: Loss, data: TrainingData, hidden: _OfArrays | None):
        self.f, self.start, self.loss, self.data, self.hidden = f, start, loss, data, hidden
        self.x, self.y = data.x, data.y
        self.linear = linearize(f, start)

    @classmethod
    def of(cls, f: Any, params: Any, data: Any, loss: Loss, hidden: Any) -> "_Task":
        """From what `diagnose` is given."""
        moving, rest = split_parameters(params)
        held, static = eqx.partition(rest, eqx.is_array)
        start, network = eqx.combine(moving, held), _OfArrays(f, static)
        inputs = inputs_in(examples_of(data), jnp.result_type(*jax.tree.leaves(moving)))
        outputs = outputs_of(network, start, inputs.x, "diagnose").shape[1:]
        sized = sized_loss(loss, outputs)
        fitted = targets_for(inputs, sized, outputs)
        if hidden is None:
            return cls(network, start, sized, fitted, None)
        check_function(hidden, "diagnose: hidden", "hidden(params, x)")
        hidden = _OfArrays(hidden, static)
        with noting("diagnose: hidden", start, inputs.x):
            check_activations(eqx.filter_eval_shape(hidden, start, inputs.x), len(inputs.x))
        return cls(network, start, sized, fitted, hidden)

    def curvature(self, params: Any) -> Curvature:
        """Of the training loss."""
        return Curvature(self.f, params, self.x, self.y, self.loss)

    def descent(self, f: Any, optimizer: Any) -> Descent:
        """Training of the network or of its linearization, at the start."""
        dtype = jax.eval_shape(f, self.start, self.x).dtype
        return Descent(self.loss, optimizer, f, self.start, (self.x, jnp.asarray(self.y, dtype), None))


class _Record:
    """What is seen of a task on the way, the start included."""

    def __init__(self, task: _Task):
        self.task = task
        self.steps: list[int] = []
        self.seen: dict[str, list[np.ndarray]] = {"train": [], "test": []}
        self.kernel_steps: list[int] = []
        self.ntks: list[np.ndarray] = []
        self.features: list[np.ndarray] = []

    @property
    def finite(self) -> bool:
        """Whether the network's last outputs on the training points are."""
        return bool(np.isfinite(self.seen["train"][-1][0]).all())

    def walk(self, rule: Rule, steps: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Train the network and its linearization; their outputs are recorded, the network's parameters returned."""
        network, linear = (self.task.descent(g, optimizer_of(rule)) for g in (self.task.f, self.task.linear))
        for step in sorted(steps):
            network.advance(step)
            linear.advance(step)
            self.outputs(step, network, linear)
            yield step, network.params

    def outputs(self, step: int, network: Descent, linear: Descent) -> None:
        """Outputs of the network and of the linearization, on training and held-out points."""
        self.steps.append(step)
        for part, x in (("train", self.task.x), ("test", self.task.data.x_test)):
            if x is not None:
                self.seen[part].append(np.stack([network.outputs(x), linear.outputs(x)]))

    def kernels(self, step: int, params: Any) -> None:
        """The NTK, and the kernel of the hidden activations."""
        self.kernel_steps.append(step)
        self.ntks.append(np.asarray(empirical_ntk(self.task.f, params, self.task.x)))
        if self.task.hidden is not None:
            self.features.append(feature_kernel(self.task.hidden(params, self.task.x)))

    def path(self, part: str) -> DeviationPath:
        """Losses and deviations on the training ("train") or held-out ("test") points."""
        y = self.task.y if part == "train" else self.task.data.y_test
        return DeviationPath.of(self.task.loss, self.steps, np.stack(self.seen[part]), y)

    def ntk_movement(self) -> KernelMovement:
        """Of the NTK on the training points."""
        return KernelMovement.of(self.ntks, self.kernel_steps, self.task.y)

    def hidden_movement(self, end: Any) -> HiddenMovement:
        """Of what is hidden."""
        task = self.task
        assert task.hidden is not None
        changes = hidden_changes(task.hidden(end, task.x), task.hidden(task.start, task.x))
        return HiddenMovement(changes, KernelMovement.of(self.features, self.kernel_steps, task.y))

    def after_kernel(self, end: Any) -> AfterKernel:
        """Of both kernels on the held-out points."""
        task, x_test, y_test = self.task, self.task.data.x_test, self.task.data.y_test
        fits = isinstance(task.loss, SquareLoss | HuberLoss)
        network, linear = (score(task.loss, outputs, y_test, fits) for outputs in self.seen["test"][-1])
        regressions = []
        for ntk, params in ((self.ntks[0], task.start), (self.ntks[-1], end)):
            cross = np.asarray(empirical_ntk(task.f, params, x_test, task.x))
            predicted, ridge = kernel_regression(ntk, cross, task.y)
            regressions.append((score(task.loss, predicted, y_test, fits), ridge))
        (before, r), (after, r_after) = regressions
        return AfterKernel(network, linear, before, after, (r, r_after))

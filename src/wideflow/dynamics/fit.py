"""Hyperparameters chosen by the data: type-II maximum likelihood, or cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from ..kernels.progress import Progress
from .evidence import Criterion, Which, float64_batch, score_of_arrays
from .hyperparameters import Hyperparameters
from .targets import checked_targets


@dataclass(frozen=True)
class Ascent:
    """One start of a fit: the criterion and the hyperparameters at every evaluation, in order.

    `values [E]`; −infinity where the covariance matrix was not positive definite or not finite. `parameters [E, p]`,
    in the order of the fit's `names`. `message`: why the optimiser stopped.
    """

    values: Float[np.ndarray, " E"]
    parameters: Float[np.ndarray, "E p"]
    converged: bool
    message: str


@dataclass(frozen=True)
class HyperparameterFit:
    """The result of `fit_hyperparameters`: the best `kernel` and `noise` found, and the history.

    `value`: the criterion there. `names [p]`: what was fitted; `parameters [p]`: the values. `starts`: every start.
    """

    kernel: Any
    noise: float
    value: float
    names: tuple[str, ...]
    parameters: Float[np.ndarray, " p"]
    starts: tuple[Ascent, ...]


def fit_hyperparameters(
    kernel: Any,
    x_train: Any,
    y_train: Any,
    *,
    noise: float | None = None,
    get: Which = "nngp",
    criterion: Criterion = "evidence",
    names: Sequence[str] | None = None,
    shared: bool = False,
    starts: int = 3,
    seed: int = 0,
    max_steps: int = 200,
    progress: bool = False,
) -> HyperparameterFit:
    """The hyperparameters of a kernel and the noise under which the targets are most probable.

    Maximises `criterion` ("evidence": log marginal likelihood; "leave_one_out": sum of the leave-one-out log densities)
    of Gaussian-process regression with the NNGP kernel or the NTK, by L-BFGS in the logarithms of the hyperparameters,
    with exact gradients. The first start is the kernel as given; the others are this moved by one standard normal in
    every logarithm. Values stay within a factor of 10⁴ of the start.

    `kernel`: a `Kernel` (any PyTree that is called like one). `x_train [D, *pixels, channels]`, taken to float64;
    `y_train [D]` or `[D, out]`: outputs share the kernel and the noise; the mean is taken as zero, so centre them.
    `noise`: the variance to start from, a tenth of the mean square of the targets by default. `names`: what to fit;
    None for `w` and `b` of all layers with weights, and "noise". A name is the end of a path in the kernel: "w" is
    every w, "layers[2].w" that of one layer; what is not named stays as it is. `shared`: one value of each name for
    all layers, instead of one for each layer; alike layers in a `Repeat` always share. Which depth explains the
    targets best is a comparison of `value` between fits. `progress`: print starts done and the time left to standard
    error.

    Errors: ValueError for names that are not in the kernel, hyperparameters that start at zero, fewer than one start;
    `NotPositiveDefiniteError`, or the kernel's own, where the criterion does not exist at the first start. Elsewhere it
    then counts as −infinity. Cost: each evaluation as `score`, some tens for each start; the first one compiles.
    Source: Rasmussen and Williams 2006, section 5.4.

    ```python
    fit = wf.fit_hyperparameters(kernel, x, y)
    g = wf.Ensemble(fit.kernel, x, y, wf.GradientFlow(), ridge=fit.noise).predict(x_test, kind="nngp")
    ```
    """
    if starts < 1:
        raise ValueError(f"starts={starts}: wanted at least one")
    x_train = float64_batch(x_train)
    y_train = checked_targets(y_train, len(x_train))
    noise = _START_NOISE * float(np.mean(y_train**2)) if noise is None else noise
    if not 0 < noise < np.inf:
        raise ValueError(f"noise={noise}: the fit needs a positive and finite variance to start from")
    hyperparameters = Hyperparameters.of(kernel, names, shared)
    objective = _Objective(hyperparameters, x_train, y_train, noise, get, criterion)
    first, rng, ascents = hyperparameters.start(noise), np.random.default_rng(seed), []
    with Progress(starts, "starts", enabled=progress) as bar:
        for number in range(starts):
            moved = rng.standard_normal(first.shape) if number else np.zeros(first.shape)
            ascents.append(objective.ascend(first + moved, first, max_steps))
            bar.advance()
    best = max(ascents, key=lambda ascent: ascent.values.max())
    at = int(best.values.argmax())
    logs = np.log(best.parameters[at])
    fitted_noise = hyperparameters.noise(logs, noise)
    return HyperparameterFit(
        hyperparameters.kernel(logs),
        fitted_noise,
        float(best.values[at]),
        hyperparameters.names,
        np.exp(logs),
        tuple(ascents),
    )


_START_NOISE = 0.1  # of the mean square of the targets
_SPAN = np.log(1e4)  # how far the logarithms may go from the start: kernels of deep networks overflow further out
_SLOPE_TOLERANCE = 1e-6  # of the slope at the start, at which a search has converged


@dataclass
class _Objective:
    """The negative criterion as a function of logarithms; remembers what it was asked."""

    hyperparameters: Hyperparameters
    x: np.ndarray
    y: np.ndarray
    noise: float
    get: Which
    criterion: Criterion
    scale: float = 1.0
    values: list[float] = field(default_factory=list)
    asked: list[np.ndarray] = field(default_factory=list)

    def ascend(self, start: np.ndarray, first: np.ndarray, max_steps: int) -> Ascent:
        """L-BFGS from `start`; the error of the criterion where it does not exist at the `first` start."""
        from scipy.optimize import minimize

        self.values, self.asked, self.scale = [], [], 1.0
        slopes = self(start)[1]
        self.scale = 1 / max(1.0, float(np.linalg.norm(slopes)))  # the first step of L-BFGS-B is the slope itself
        bounds = list(zip(first - _SPAN, first + _SPAN, strict=True))
        options = {"maxiter": max_steps, "gtol": _SLOPE_TOLERANCE}
        found = minimize(self, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not np.isfinite(self.values[0]) and np.array_equal(start, first):
            self._score(start)  # raises
        return Ascent(np.array(self.values), np.exp(self.asked), bool(found.success), str(found.message))

    def __call__(self, logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and slopes; where there are none, a value worse than all before and no slope: the search turns back."""
        self.asked.append(logs.copy())
        try:
            value, kernel, noise = self._score(logs)
        except ValueError:  # not positive definite, or an overflow in the kernel
            worst = min((value for value in self.values if np.isfinite(value)), default=0.0)
            self.values.append(-np.inf)
            return self.scale * (abs(worst) - worst + 1), np.zeros_like(logs)
        self.values.append(value)
        return -self.scale * value, -self.scale * self.hyperparameters.slopes(logs, kernel, noise)

    def _score(self, logs: np.ndarray):
        kernel = self.hyperparameters.kernel(logs, as_arrays=True)
        noise = self.hyperparameters.noise(logs, self.noise)
        return score_of_arrays(kernel, self.x, self.y, noise, self.get, self.criterion)

"""Regression with finite-width NTKs by brute force."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..nn import Activation
from .hermite_constants import HermiteConstants, function_of, on_numpy, slope_on_numpy
from .isotropy import require_dimension
from .replicates import Replicates


class SimulatedErrors(NamedTuple):
    """Mean square errors, on the noisy training targets and on new noisy targets."""

    train: Replicates
    test: Replicates


@dataclass(frozen=True)
class NTKRegressionSimulation:
    """The experiment whose limit is `NTKRegression`: networks drawn, their kernels computed, ridge regression solved.

    `activation`: a layer or JAX function of Gaussian mean zero. Other fields as in `NTKRegression`; `seeds` draws of
    everything, `test_points` a draw. Near a peak errors have heavy tails: compare medians there.

    Cost: n³ + n (n + test_points)(N + d) a width and seed; 200 samples, 8 seeds: a second a width.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import NTKRegressionSimulation
    >>> simulation = NTKRegressionSimulation(jnp.tanh, samples=60, inputs=40, ridge=0.1, seeds=4)
    >>> simulation.errors([10, 100]).test.mean.shape
    (2,)
    """

    activation: Activation | Callable[[Any], Any]
    samples: int
    inputs: int
    ridge: float
    noise: float = 0.0
    first_layer: float = 1.0
    seeds: int = 8
    test_points: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        HermiteConstants.of(self.activation).require("NTKRegressionSimulation")
        require_dimension("NTKRegressionSimulation", self.inputs)
        if self.ridge <= 0 or self.noise < 0 or self.first_layer < 0:
            raise ValueError(
                "NTKRegressionSimulation: wanted ridge > 0, noise ≥ 0 and first_layer ≥ 0, got "
                f"{self.ridge}, {self.noise} and {self.first_layer}"
            )
        if min(self.seeds, self.test_points) < 2 or self.samples < 1:
            raise ValueError("NTKRegressionSimulation: wanted at least 2 seeds, 2 test points and 1 sample")

    def errors(self, width: Any) -> SimulatedErrors:
        """Errors at integer widths, a number or 1-D array; the draws of data are the same at every width."""
        widths = np.atleast_1d(width)
        if widths.ndim != 1 or not np.issubdtype(widths.dtype, np.integer) or widths.min() < 1:
            raise ValueError(f"NTKRegressionSimulation: wanted positive integer widths, got {width!r}")
        children = np.random.SeedSequence(self.seed).spawn(self.seeds)
        found = np.array([[self._one(int(n), seed) for seed in children] for n in widths])
        return SimulatedErrors(Replicates(found[..., 0]), Replicates(found[..., 1]))

    def _one(self, width: int, seed: np.random.SeedSequence) -> tuple[float, float]:
        rng, n, d = np.random.default_rng(seed), self.samples, self.inputs
        x = rng.normal(size=(n + self.test_points, d))
        y = x @ rng.normal(size=d) / np.sqrt(d) + np.sqrt(self.noise) * rng.normal(size=len(x))
        kernel = self._kernel(x, n, rng.normal(size=(width, d)))
        predicted = kernel @ np.linalg.solve(kernel[:n] + self.ridge * np.eye(n), y[:n])
        squares = (y - predicted) ** 2
        return float(squares[:n].mean()), float(squares[n:].mean())

    def _kernel(
        self, x: Float[np.ndarray, "M d"], n: int, weights: Float[np.ndarray, "N d"]
    ) -> Float[np.ndarray, "M n"]:
        """The NTK of all points with the first n of them."""
        sigma, z = function_of(self.activation), x @ weights.T / np.sqrt(self.inputs)
        features = on_numpy(sigma, z)
        kernel = features @ features[:n].T
        if self.first_layer > 0:
            slopes = slope_on_numpy(sigma, z)
            kernel += self.first_layer * (slopes @ slopes[:n].T) * (x @ x[:n].T) / self.inputs
        return kernel / len(weights)

"""Random-feature regression by brute force: draw, fit, measure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..nn import Activation
from .hermite_constants import HermiteConstants, function_of, on_numpy
from .isotropy import require_dimension
from .replicates import Replicates

Matrix = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class RandomFeatureSimulation:
    """The experiment whose limit is `RandomFeatureRegression`, at a finite dimension and with error bars.

    `activation`: a layer or JAX function of Gaussian mean zero (see `centred`). Powers and noise as in the theory; the
    nonlinear part of the target is a quadratic form with Gaussian coefficients. `dimension` d, from 20 on:
    corrections are of relative size 1/√d for one draw and about 1/d on average. `seeds` draws of everything;
    `test_points` a draw.

    Cost: min(N, n)³ a point and seed; the defaults at ψ ≤ 3 take a second a point, dimension=300 a minute.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import RandomFeatureSimulation
    >>> measured = RandomFeatureSimulation(jnp.tanh, noise=0.25, dimension=30).risk([0.5, 3.0], 2.0, 0.1)
    >>> measured.samples.shape
    (2, 10)
    """

    activation: Activation | Callable[[Any], Any]
    linear_power: float = 1.0
    nonlinear_power: float = 0.0
    noise: float = 0.0
    dimension: int = 100
    seeds: int = 10
    test_points: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        HermiteConstants.of(self.activation).require("RandomFeatureSimulation")
        require_dimension("RandomFeatureSimulation", self.dimension)
        if self.seeds < 2 or self.test_points < 2:
            raise ValueError(
                f"RandomFeatureSimulation: an error bar wants at least 2 seeds and test points, got seeds={self.seeds} "
                f"and test_points={self.test_points}"
            )

    def risk(self, psi1: Any, psi2: Any, ridge: Any) -> Replicates:
        """The risk at broadcasting 1-D arrays of ψ1 = N/d, ψ2 = n/d and λ (0: the minimum-norm fit)."""
        psi1, psi2, ridge = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (psi1, psi2, ridge)))
        if psi1.ndim != 1 or not (psi1.min() > 0 and psi2.min() > 0 and ridge.min() >= 0):
            raise ValueError("RandomFeatureSimulation: wanted 1-D arrays with psi1, psi2 > 0 and ridge ≥ 0")
        features, samples = (np.maximum(np.rint(psi * self.dimension), 1).astype(int) for psi in (psi1, psi2))
        points = list(zip(features.tolist(), samples.tolist(), ridge.tolist(), strict=True))
        children = np.random.SeedSequence(self.seed).spawn(self.seeds)
        return Replicates(np.array([[self._one(*point, seed) for seed in children] for point in points]))

    def _one(self, features: int, samples: int, ridge: float, seed: np.random.SeedSequence) -> float:
        rng, d = np.random.default_rng(seed), self.dimension
        x, x_test = on_sphere(rng, samples, d), on_sphere(rng, self.test_points, d)
        theta, form = on_sphere(rng, features, d), rng.normal(size=(d, d))
        direction = on_sphere(rng, 1, d)[0] / np.sqrt(d)
        target, target_test = (self._target(inputs, direction, form) for inputs in (x, x_test))
        y = target + np.sqrt(self.noise) * rng.normal(size=samples)
        sigma = function_of(self.activation)
        z, z_test = (on_numpy(sigma, inputs @ theta.T / np.sqrt(d)) for inputs in (x, x_test))
        weights = ridge_weights(z, y, ridge * features * samples / d)
        return float(np.mean((target_test - z_test @ weights) ** 2))

    def _target(self, x: Matrix, direction: Float[np.ndarray, " d"], form: Matrix) -> Float[np.ndarray, " n"]:
        d = self.dimension
        quadratic = (np.einsum("ni,ni->n", x @ form, x) - np.trace(form)) / d
        return np.sqrt(self.linear_power) * x @ direction + np.sqrt(self.nonlinear_power) * quadratic


def on_sphere(rng: np.random.Generator, count: int, dimension: int) -> Matrix:
    """Points uniform on the sphere of radius √d, `[count, d]`."""
    x = rng.normal(size=(count, dimension))
    return x * np.sqrt(dimension) / np.linalg.norm(x, axis=1, keepdims=True)


def ridge_weights(z: Matrix, y: Float[np.ndarray, " n"], penalty: float) -> Float[np.ndarray, " N"]:
    """argmin |y − Z a|² + penalty |a|², in the smaller of both dimensions; penalty 0: of least norm."""
    if penalty == 0:
        return np.linalg.lstsq(z, y, rcond=None)[0]
    n, N = z.shape
    if n < N:
        return z.T @ np.linalg.solve(z @ z.T + penalty * np.eye(n), y)
    return np.linalg.solve(z.T @ z + penalty * np.eye(N), z.T @ y)

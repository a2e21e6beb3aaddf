"""Regression with the NTK of a network with a few neurons, as samples and inputs grow in proportion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..nn import Activation
from .hermite_constants import function_of, on_numpy, slope_on_numpy
from .isotropy import require_dimension
from .ntk_regression import RegressionErrors

_DRAWS = 2**13  # quasi-random preactivations of one input
_LARGEST_SHARE = 0.25  # of the inputs' dimension that neurons may number: what is left out is of relative size N/d
_STARTING_RIDGE, _RIDGE_FACTOR = 100.0, 0.3
_NEWTON_STEPS, _LONGEST_STEP, _SOLVED = 60, 1.0, 1e-10

Scores = Float[np.ndarray, "k m"]


@dataclass(frozen=True)
class FewNeuronRegression:
    """`NTKRegression` at a fixed number N of neurons, as n samples and d inputs grow in proportion.

    The slopes s = (σ'(z_1) … σ'(z_N)) √(v/N) that one input meets then do not average: where they are small, so is the
    kernel. The first layer's features x ⊗ s/√d, Nd of them, are what n samples are fitted with, and the test
    error peaks where Nd = n. Only the distribution of z ~ N(0, I_N) enters, by quasi-random draws:

        G⁻¹ = γ I + (n/d) E[s sᵀ/(1 + q)],   H⁻¹ = γ I + n E[h hᵀ/(1 + q)],   q = sᵀG s + hᵀH h,   h = σ(z)/√N,
        E_test = E e,   E_train = E[e/(1 + q)²],   e(z) = noise + 1 − 2 m·s + sᵀC s + hᵀD h,

    m = (n/d) G E[s/(1 + q)], C = m mᵀ + (n/d) G E[s sᵀ e/(1 + q)²] G, D = n H E[h hᵀ e/(1 + q)²] H: all matrices are of
    the form a I + b 11ᵀ. Derivation: docs/beyond/high_dimensional_limits.md.

    `activation`: σ, a layer or a JAX function; it need not be centred. Other fields as in `NTKRegression`.
    Accuracy: about 0.5 % from the draws, N/d from what is left out (the part of an input along the N weights).
    Cost: milliseconds a width. Errors: ValueError for d below 20, widths above d/4, and numbers out of range;
    ArithmeticError where the equations were not solved.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import FewNeuronRegression
    >>> few = FewNeuronRegression(jnp.tanh, samples=200, inputs=100, ridge=1e-6, noise=0.3, first_layer=1e-3)
    >>> bool(np.argmax(few.errors([1, 2, 3, 5, 10]).test) == 1)  # the peak: N d = n
    True
    """

    activation: Activation | Callable[[Any], Any]
    samples: int
    inputs: int
    ridge: float
    noise: float = 0.0
    first_layer: float = 1.0

    def __post_init__(self) -> None:
        function_of(self.activation)
        require_dimension("FewNeuronRegression", self.inputs)
        if self.samples < 1 or not (np.isfinite(self.ridge) and self.ridge > 0):
            raise ValueError(
                f"FewNeuronRegression: wanted samples ≥ 1 and a finite ridge > 0, got {self.samples} and {self.ridge}"
            )
        if not (np.isfinite([self.noise, self.first_layer]).all() and min(self.noise, self.first_layer) >= 0):
            raise ValueError(
                f"FewNeuronRegression: noise and first_layer must be 0 or more, got {self.noise}, {self.first_layer}"
            )

    def errors(self, width: Any) -> RegressionErrors:
        """Training and test error, each `[n]`, at whole numbers of neurons, one or a 1-D array."""
        widths, most = np.atleast_1d(width), int(_LARGEST_SHARE * self.inputs)
        if widths.ndim != 1 or not np.issubdtype(widths.dtype, np.integer) or widths.min() < 1 or widths.max() > most:
            raise ValueError(
                f"FewNeuronRegression: wanted whole numbers of neurons from 1 to {most}, a quarter of the inputs, got "
                f'{width!r}. For more of them take NTKRegression(parameters="counted"), whose slopes average'
            )
        return RegressionErrors(*np.array([self._errors(int(n)) for n in widths]).T)

    def _errors(self, width: int) -> tuple[float, float]:
        z = _normal_draws(width)
        s = (self.first_layer / width) ** 0.5 * slope_on_numpy(function_of(self.activation), z)
        h = on_numpy(function_of(self.activation), z) / width**0.5
        scores = np.concatenate([_scores(s), _scores(h)])
        sizes = np.array([max(width - 1, 1), 1] * 2)
        loads = np.repeat([self.samples / self.inputs, self.samples], 2) / sizes
        g = _solve(scores, loads, self.ridge)
        left = 1 / (1 + g @ scores)  # of an input's error once it has been trained on
        along = s.sum(axis=1) / width**0.5
        slope = loads[1] * g[1] * np.mean(along * left)  # m, which is along (1 … 1)
        start = self._noise_and_bias(slope, along, scores)
        moved = loads[:, None] * g[:, None] ** 2 * scores * left**2  # of the coefficients' variance, by an error e
        variances = np.linalg.solve(np.eye(4) - moved @ scores.T / len(z), moved @ start / len(z))
        e = start + variances @ scores
        return float(np.mean(e * left**2)), float(np.mean(e))

    def _noise_and_bias(self, slope: float, along: np.ndarray, scores: Scores) -> Float[np.ndarray, " m"]:
        """The part of e that does not come from the variance of the coefficients."""
        return self.noise + 1 - 2 * slope * along + slope**2 * scores[1]


def _normal_draws(width: int) -> Float[np.ndarray, "m N"]:
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    return ndtri(Sobol(width, rng=np.random.default_rng(0)).random(_DRAWS))


def _scores(u: Float[np.ndarray, "m N"]) -> Scores:
    """|u|² of the part of u across (1 … 1), and along it."""
    along = u.sum(axis=1) ** 2 / u.shape[1]
    return np.stack([np.maximum(np.sum(u**2, axis=1) - along, 0), along])


def _solve(scores: Scores, loads: Float[np.ndarray, " k"], ridge: float) -> Float[np.ndarray, " k"]:
    """The eigenvalues g of G and H across and along (1 … 1): 1/g = γ + load · E[score/(1 + g · scores)].

    Newton's method in log g, from a large ridge down.
    """
    start = max(ridge, _STARTING_RIDGE)
    steps = max(int(np.ceil(np.log(ridge / start) / np.log(_RIDGE_FACTOR))), 1)
    log, residual = np.full(len(loads), -np.log(start)), np.inf
    for value in np.geomspace(start, ridge, steps + 1):
        for _ in range(_NEWTON_STEPS):
            g = np.exp(log)
            left = 1 / (1 + g @ scores)
            sums = value + loads * (scores @ left) / scores.shape[1]
            residual = np.max(np.abs(log + np.log(sums)))
            if residual < _SOLVED:
                break
            slopes = -(loads / sums)[:, None] * ((scores * left**2) @ scores.T / scores.shape[1]) * g
            step = np.linalg.solve(np.eye(len(loads)) + slopes, log + np.log(sums))
            log = log - np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
    if not residual < _SOLVED:
        raise ArithmeticError(
            f"FewNeuronRegression: the equations were not solved (residual {residual:.1e}); use a larger ridge"
        )
    return np.exp(log)

"""Gaussian-process regression on the training points: evidence and leave-one-out predictions."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .spectrum import checked_symmetric
from .targets import checked_targets


class LeaveOneOut(NamedTuple):
    """What the other training points predict of each target.

    `mean`, shaped like the targets; `variance [D]` of a target, noise included (of the function: less the noise);
    `log_density`, shaped like the targets: the log density of the target under that Gaussian.
    """

    mean: np.ndarray
    variance: np.ndarray
    log_density: np.ndarray


class NotPositiveDefiniteError(ValueError):
    """A covariance matrix that is singular or indefinite."""


class GaussianProcess:
    """Targets y = f(X) + ε with f ~ GP(0, k) and ε ~ N(0, noise I), independent over outputs that share both.

    Everything here follows from S = k_XX + noise I, factorised once: S = L Lᵀ, α = S⁻¹ y. `k_train [D, D]`: the
    covariance function on the training points, an NNGP kernel or an NTK. `y_train`: `[D]` or `[D, out]`. The mean is
    zero: centre the targets first. `noise`: a variance, not negative.

    Predictions at other points are those of `Ensemble` at t = ∞ with `ridge=noise`: `kind="nngp"` for the NNGP
    kernel, `kind="ntkgp"` for the NTK.

    Errors: ValueError for matrices that are not square, finite and symmetric, targets that do not match, a negative
    noise; `NotPositiveDefiniteError` (a ValueError) with the smallest eigenvalue of S where it is singular within
    rounding or indefinite; no jitter is ever added. Cost: D³/3 operations, D³ for what needs S⁻¹.
    Source: Rasmussen and Williams 2006, sections 2.3, 5.4.1 and 5.4.2.

    ```python
    gp = wf.dynamics.GaussianProcess(kernel.nngp(x), y, noise=0.1)
    gp.log_marginal_likelihood, gp.leave_one_out.log_density.sum()
    ```
    """

    def __init__(self, k_train: Any, y_train: Any, noise: float):
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise={noise}: a variance, must be finite and not negative")
        k_train, _ = checked_symmetric(k_train, "k_train")
        self.noise = float(noise)
        self.y_train = checked_targets(y_train, len(k_train))
        self._targets = self.y_train.reshape(len(k_train), -1)
        self._factor = _cholesky(k_train, self.noise)

    @cached_property
    def log_marginal_likelihood(self) -> float:
        """log p(y) = −½ Σ_o y_oᵀ S⁻¹ y_o − out (Σ_i log L_ii + D/2 log 2π), summed over outputs."""
        D, outputs = self._targets.shape
        log_root = np.sum(np.log(np.diagonal(self._factor)))
        return float(-np.sum(self._targets * self._alpha) / 2 - outputs * (log_root + D / 2 * np.log(2 * np.pi)))

    @cached_property
    def log_marginal_likelihood_slope(self) -> Float[np.ndarray, "D D"]:
        """∂ log p(y)/∂S = ½ (α αᵀ − out S⁻¹), every entry taken as free; its trace is the slope in the noise."""
        return (self._alpha @ self._alpha.T - self._targets.shape[1] * self._inverse) / 2

    @cached_property
    def leave_one_out(self) -> LeaveOneOut:
        """Predictions of each target from the other points: mean y_i − α_i/[S⁻¹]_ii, variance 1/[S⁻¹]_ii."""
        variance = 1 / np.diagonal(self._inverse)
        error = self._alpha * variance[:, None]
        log_density = -(np.log(2 * np.pi * variance)[:, None] + error**2 / variance[:, None]) / 2
        shape = self.y_train.shape
        return LeaveOneOut((self._targets - error).reshape(shape), variance, log_density.reshape(shape))

    @cached_property
    def leave_one_out_slope(self) -> Float[np.ndarray, "D D"]:
        """∂/∂S of the sum of all leave-one-out log densities, every entry taken as free.

        With v_i = 1/[S⁻¹]_ii the sum is Σ_io −½ (log 2πv_i + v_i α_io²). From dα = −S⁻¹ dS α and
        d[S⁻¹]_ii = −[S⁻¹ dS S⁻¹]_ii the slope is S⁻¹ (v α) αᵀ, made symmetric, − S⁻¹ diag(h) S⁻¹ with
        h_i = ½ Σ_o (v_i + v_i² α_io²).
        """
        variance = self.leave_one_out.variance[:, None]
        through_alpha = self._inverse @ (variance * self._alpha) @ self._alpha.T
        h = np.sum(variance + (variance * self._alpha) ** 2, axis=1) / 2
        return (through_alpha + through_alpha.T) / 2 - (self._inverse * h) @ self._inverse

    @cached_property
    def _alpha(self) -> Float[np.ndarray, "D o"]:
        from scipy.linalg import cho_solve

        return cho_solve((self._factor, True), self._targets, check_finite=False)

    @cached_property
    def _inverse(self) -> Float[np.ndarray, "D D"]:
        from scipy.linalg import get_lapack_funcs

        (invert,) = get_lapack_funcs(["potri"], (self._factor,))
        lower, _ = invert(self._factor, lower=True)
        return np.tril(lower) + np.tril(lower, -1).T


def _cholesky(k_train: Float[np.ndarray, "D D"], noise: float) -> Float[np.ndarray, "D D"]:
    """L with L Lᵀ = k + noise I, lower triangular."""
    from scipy.linalg import eigh, get_lapack_funcs

    S = k_train + noise * np.eye(len(k_train))
    (factorise,) = get_lapack_funcs(["potrf"], (S,))
    factor, failed = factorise(S, lower=True, clean=True)
    # A squared pivot is the variance of a target given those before it: of the size of rounding it means nothing.
    rounding = len(S) * np.finfo(np.float64).eps * np.diagonal(S).max()
    if failed or np.diagonal(factor).min() ** 2 <= rounding:
        smallest = float(np.asarray(eigh(S, eigvals_only=True, subset_by_index=[0, 0], check_finite=False))[0])
        raise NotPositiveDefiniteError(
            f"k_train + {noise:g} I is not positive definite: its smallest eigenvalue is {smallest:.3e}, where "
            f"rounding is {rounding:.1e}. Use a larger noise; duplicate inputs need one, and kernels computed in "
            "float32 one above their rounding"
        )
    return factor

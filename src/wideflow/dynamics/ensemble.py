"""All networks drawn from the prior, trained: a Gaussian process at every time."""

from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from ..kernels import gram
from ..kernels.batch import checked_batch
from ..kernels.gram import KernelLike
from .filter import Filter
from .rule import Rule
from .times import checked_times
from .trajectory import checked_targets

Kind = Literal["ntk", "nngp"]


class Gaussian(NamedTuple):
    """A Gaussian over functions at some points: `mean [T, n, out]`, `cov [T, n, n]` per output, or None."""

    mean: np.ndarray
    cov: np.ndarray | None


class Ensemble:
    """The ensemble of infinitely wide networks, each drawn from the prior and trained under square loss.

    At every time the outputs of the ensemble are a Gaussian process, independent over output channels. With
    L = 1/(2D) Σ_α ‖f(x_α) − y_α‖², G_t = (1 − p_t((Θ + ridge I)/D)) (Θ + ridge I)⁻¹, K the NNGP kernel:

    - `kind="ntk"`, every parameter is trained: C = Θ(T, X) G_t, mean C y,
      covariance K_TT + C K_XX Cᵀ − C K_XT − K_TX Cᵀ. At t = ∞ this is not a Bayesian posterior.
      `ridge` is weight decay of strength ridge/D towards the initial parameters.
    - `kind="nngp"`, only the last layer is trained (Θ becomes K): mean K_TX G_t y,
      covariance K_TT − K_TX (1 − p_t²) (K + ridge I)⁻¹ K_XT. `ridge` is the variance of noise on the targets, drawn
      anew for each network, with weight decay ridge/D; at t = ∞ this is the Bayesian posterior with that noise.

    `kernel`: a `Kernel`, or anything called like one. `x_train [D, *pixels, channels]`; `y_train [D]` or
    `[D, out]`. The kernels are computed in the dtype of the inputs, everything after in float64.

    Errors: as `Trajectory`. Cost: kernels and one `eigh` of size D for each kind, once; then per time 2 n D² operations
    for the covariance at n points. Source: Lee et al. 2019, equations 14 to 16 and appendix.

    ```python
    ens = wf.Ensemble(kernel, x_train, y_train, wf.GradientDescent(lr=0.5))
    g = ens.predict(x_test, t=None)  # g.mean [n], g.cov [n, n]
    ```
    """

    def __init__(
        self,
        kernel: KernelLike,
        x_train: Any,
        y_train: Any,
        rule: Rule,
        ridge: float = 0.0,
        allow_unstable: bool = False,
    ):
        self.kernel, self.rule = kernel, rule
        self.ridge, self.allow_unstable = ridge, allow_unstable
        self.x_train = np.asarray(checked_batch(x_train, "x_train"))
        self.y_train = checked_targets(y_train, len(self.x_train))

    def predict(self, x_test: Any, t: Any = None, kind: Kind = "ntk", cov: bool = True) -> Gaussian:
        """Mean and covariance of the trained ensemble at `x_test [n, *pixels, channels]`.

        `t`: a time (lr × steps), times `[T]`, or None for infinity. Shapes: `mean [T, n, out]`, `cov [T, n, n]`
        (the same for every output), less the axes that were not given.
        """
        if kind not in ("ntk", "nngp"):
            raise ValueError(f'kind must be "ntk" or "nngp", got {kind!r}')
        times, single = checked_times(t, self.rule)
        x_test = np.asarray(checked_batch(x_test, "x_test"))
        trained = self._ntk_filter if kind == "ntk" else self._nngp_filter
        cross = self._cross(x_test, kind, trained)
        targets = trained.spectrum.vectors.T @ self.y_train.reshape(len(self.y_train), -1)
        weights = [trained.weights(one) for one in times]
        mean = np.stack([(cross * w) @ targets for w in weights])
        mean = mean.reshape(len(times), len(x_test), *self.y_train.shape[1:])
        covariances = self._ntk_covariances if kind == "ntk" else self._nngp_covariances
        covs = np.stack(covariances(x_test, cross, weights)) if cov else None
        return Gaussian(mean[0], None if covs is None else covs[0]) if single else Gaussian(mean, covs)

    @cached_property
    def ntk_train(self) -> np.ndarray:
        """Θ on the training points, `[D, D]`."""
        return gram(self.kernel, self.x_train, get="ntk")

    @cached_property
    def nngp_train(self) -> np.ndarray:
        """K on the training points, `[D, D]`."""
        return gram(self.kernel, self.x_train, get="nngp")

    @cached_property
    def _ntk_filter(self) -> Filter:
        return Filter.of(self.ntk_train, self.rule, self.ridge, "the NTK on x_train", self.allow_unstable)

    @cached_property
    def _nngp_filter(self) -> Filter:
        return Filter.of(self.nngp_train, self.rule, self.ridge, "the NNGP kernel on x_train", self.allow_unstable)

    def _cross(self, x_test: np.ndarray, kind: Kind, trained: Filter) -> np.ndarray:
        """The kernel between test and training points, its second axis in the eigenbasis of what is trained."""
        return gram(self.kernel, x_test, self.x_train, get=kind).astype(np.float64) @ trained.spectrum.vectors

    def _ntk_covariances(self, x_test: np.ndarray, cross: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
        vectors = self._ntk_filter.spectrum.vectors
        prior = gram(self.kernel, x_test, get="nngp").astype(np.float64)
        prior_cross = self._cross(x_test, "nngp", self._ntk_filter)  # [n, D]
        prior_train = vectors.T @ self.nngp_train.astype(np.float64) @ vectors  # [D, D]
        covariances = []
        for w in weights:
            C = cross * w
            half = C @ prior_cross.T
            covariances.append(_symmetric(prior + C @ prior_train @ C.T - half - half.T))
        return covariances

    def _nngp_covariances(self, x_test: np.ndarray, cross: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
        prior = gram(self.kernel, x_test, get="nngp").astype(np.float64)
        eigenvalues = self._nngp_filter.spectrum.values + self.ridge
        # (1 − p²)/μ = 2 (1 − p)/μ − μ ((1 − p)/μ)²: no division, and right at μ = 0 too.
        shrinks = [2 * w - eigenvalues * w**2 for w in weights]
        return [_symmetric(prior - (cross * shrink) @ cross.T) for shrink in shrinks]


def _symmetric(cov: np.ndarray) -> np.ndarray:
    """Exactly symmetric, its diagonal not negative (it is a difference, and zero at fitted points up to rounding)."""
    cov = (cov + cov.T) / 2
    np.fill_diagonal(cov, np.maximum(np.diagonal(cov), 0))
    return cov

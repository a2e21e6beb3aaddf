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
        modes = self._modes(x_test, kind)
        means = np.stack([modes.mean(one) for one in times])
        covs = np.stack([modes.cov(one) for one in times]) if cov else None
        means = means.reshape(len(times), len(x_test), *self.y_train.shape[1:])
        return Gaussian(means[0], None if covs is None else covs[0]) if single else Gaussian(means, covs)

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

    def _modes(self, x_test: np.ndarray, kind: Kind) -> "_Modes":
        targets = self.y_train.reshape(len(self.y_train), -1)
        nngp_test = gram(self.kernel, x_test, get="nngp").astype(np.float64)
        nngp_cross = gram(self.kernel, x_test, self.x_train, get="nngp").astype(np.float64)
        if kind == "nngp":
            return _ReadoutModes(self._nngp_filter, targets, nngp_cross, nngp_cross, nngp_test, self.nngp_train)
        ntk_cross = gram(self.kernel, x_test, self.x_train, get="ntk").astype(np.float64)
        return _Modes(self._ntk_filter, targets, ntk_cross, nngp_cross, nngp_test, self.nngp_train)


class _Modes:
    """The ensemble in the eigenbasis of its kernel: after one rotation each time costs only rescaling and a product."""

    def __init__(self, rule_filter: Filter, targets, cross, nngp_cross, nngp_test, nngp_train):
        vectors = rule_filter.spectrum.vectors
        self.filter = rule_filter
        self.targets = vectors.T @ targets  # [D, out]
        self.cross = cross @ vectors  # [n, D], of the kernel that trains
        self.nngp_cross = nngp_cross @ vectors  # [n, D]
        self.nngp_test = nngp_test
        self.nngp_train = vectors.T @ nngp_train.astype(np.float64) @ vectors  # [D, D]

    def mean(self, t: float) -> np.ndarray:
        return (self.cross * self.filter.weights(t)) @ self.targets

    def cov(self, t: float) -> np.ndarray:
        C = self.cross * self.filter.weights(t)
        half = C @ self.nngp_cross.T
        return _symmetric(self.nngp_test + C @ self.nngp_train @ C.T - half - half.T)


class _ReadoutModes(_Modes):
    """Training of the last layer alone, with noise of variance ridge on the targets."""

    def cov(self, t: float) -> np.ndarray:
        rates = self.filter.rates * len(self.filter.rates)
        weights = self.filter.weights(t)
        # (1 − p²)/μ = 2 (1 − p)/μ − μ ((1 − p)/μ)²: no division, and right at μ = 0 too.
        shrink = 2 * weights - rates * weights**2
        return _symmetric(self.nngp_test - (self.cross * shrink) @ self.cross.T)


def _symmetric(cov: np.ndarray) -> np.ndarray:
    """Exactly symmetric, its diagonal not negative (it is a difference, and zero at fitted points up to rounding)."""
    cov = (cov + cov.T) / 2
    np.fill_diagonal(cov, np.maximum(np.diagonal(cov), 0))
    return cov

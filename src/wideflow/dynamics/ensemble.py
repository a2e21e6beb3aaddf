"""All networks drawn from the prior, trained: a Gaussian process, jointly over points and times."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

from ..kernels import gram
from ..kernels.batch import checked_batch
from ..kernels.gram import KernelLike
from .filter import Filter, Training
from .gaussian import Gaussian, draws
from .rule import Rule
from .solver import Solver, filter_of
from .spread import Spread
from .targets import checked_targets
from .times import checked_times
from .variant import Kind, Variant, variant_of


class Ensemble:
    """The ensemble of infinitely wide networks, each drawn from the prior and trained under square loss.

    Jointly over points and times the outputs of the ensemble are a Gaussian process, independent over output channels.
    Each member starts at a draw f₀ ~ GP(0, A) and is trained on its own targets y + ε, ε ~ N(0, noise I). With
    L = 1/(2D) Σ_α ‖f(x_α) − y_α − ε_α‖², Θ the kernel of what is trained, G_t = (1 − p_t((Θ + ridge I)/D))
    (Θ + ridge I)⁻¹ and C_t = Θ(T, X) G_t,

        f_t = f₀ − C_t (f₀(X) − y − ε),   mean C_t y,
        Cov[f_t, f_t'] = A_TT + C_t (A_XX + noise I) C_t'ᵀ − C_t A_XT − A_TX C_t'ᵀ.

    The kinds differ in what is trained and in A (K: the NNGP kernel):

    | kind | trained | A | noise, unless given | at t = ∞ |
    |---|---|---|---|---|
    | "ntk" | everything (Θ) | K | 0 | the NTK-GP, not a posterior |
    | "nngp" | the last layer (K) | K | `ridge` | the Bayesian posterior with kernel K |
    | "centred" | everything | 0: each network minus its own f₀ | 0 | mean of "ntk", no spread |
    | "ntkgp" | everything | Θ: an untrained draw of GP(0, Θ − K) added | `ridge` | the posterior with kernel Θ |
    | a `Variant` | its `trained` | its `nngp` K + its `ntk` Θ | `ridge` if `noisy`, else 0 | |

    `ridge` is always weight decay of strength ridge/D towards the initial parameters; it says nothing about the
    targets. `noise` is the variance of noise on the targets, drawn anew for each member and kept during training; the
    covariances are of the functions f_t, so a new observation at a test point has `noise` more. Where A is the trained
    kernel and noise = ridge, the limit is Gaussian-process regression with that noise: hence the defaults.

    `kernel`: a `Kernel`, or anything called like one. `x_train [D, *pixels, channels]`; `y_train [D]` or
    `[D, out]`. The kernels are computed in the dtype of the inputs, everything after in float64.

    Errors: as `Trajectory`, and ValueError for a negative `noise`. Cost: kernels and one `eigh` of size D for each
    trained kernel, once; then per time 6 n D² operations for the covariance at n points.
    Source: Lee et al. 2019, equations 14 to 16 and appendix; He, Lakshminarayanan, Teh 2020 ("ntkgp" is their
    NTKGP-param); the joint covariance is derived in docs/derivations.md.

    ```python
    ens = wf.Ensemble(kernel, x_train, y_train, wf.GradientDescent(lr=0.5))
    g = ens.predict(x_test, t=None)  # g.mean [n], g.cov [n, n]
    paths = ens.sample(0, x_test, t=[0.5, 5.0, np.inf], count=3)  # [3, T, n]
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
        noise: float | None = None,
        solver: Solver | None = None,
    ):
        if noise is not None and not 0 <= noise < np.inf:
            raise ValueError(f"noise={noise}: a variance, must be finite and not negative")
        self.kernel, self.rule, self.noise = kernel, rule, noise
        self.ridge, self.allow_unstable, self.solver = ridge, allow_unstable, solver
        self.x_train = np.asarray(checked_batch(x_train, "x_train"))
        self.y_train = checked_targets(y_train, len(self.x_train))

    def predict(self, x_test: Any, t: Any = None, kind: Kind | Variant = "ntk", cov: bool = True) -> Gaussian:
        """Mean and covariance of the trained ensemble at `x_test [n, *pixels, channels]`, each time for itself.

        `t`: a time (lr × steps), times `[T]`, or None for infinity. Shapes: `mean [T, n, out]`, `cov [T, n, n]`
        (the same for every output), less the axes that were not given.
        """
        times, single = checked_times(t, self.rule)
        points = self._points(x_test, kind)
        mean, covs = self._means(points, times), None
        if cov:
            spread = self._spread(points)
            covs = np.stack([spread.covariance(one) for some in points.in_groups(times) for one in points.maps(some)])
        return Gaussian(mean[0], None if covs is None else covs[0]) if single else Gaussian(mean, covs)

    def joint(self, x_test: Any, t: Any = None, kind: Kind | Variant = "ntk") -> Gaussian:
        """Mean and covariance jointly over times and points: `cov[i, a, j, b]` is Cov[f_tᵢ(x_a), f_tⱼ(x_b)].

        Arguments as `predict`. Shapes: `mean [T, n, out]`, `cov [T, n, T, n]`; a single time has no axes. Cost: as
        `predict`, and 2 (T n)² D operations.
        """
        times, single = checked_times(t, self.rule)
        points = self._points(x_test, kind)
        mean, cov = self._means(points, times), self._spread(points).covariance(np.concatenate(points.maps(times)))
        n = len(points.x)
        return Gaussian(mean[0], cov) if single else Gaussian(mean, cov.reshape(len(times), n, len(times), n))

    def sample(self, seed: Any, x_test: Any, t: Any = None, count: int = 1, kind: Kind | Variant = "ntk") -> np.ndarray:
        """Draw `count` members of the ensemble at `x_test`, each along all times: `[count, T, n, out]`.

        A draw is one network's function at every point and time together, from the joint covariance. `seed`: what
        `numpy.random.default_rng` takes, or a JAX key. The covariance is singular where functions are certain; its
        negative eigenvalues are set to zero and nothing is added to it. Other arguments as `predict`.

        Raises ValueError where an eigenvalue is further below zero than rounding explains, and for `count` below 1.
        Cost: as `joint`, and an `eigh` of size T n.
        """
        if count < 1:
            raise ValueError(f"count={count}: wanted at least one draw")
        times, single = checked_times(t, self.rule)
        points = self._points(x_test, kind)
        mean, spread = self._means(points, times), self._spread(points)
        cov = spread.covariance(np.concatenate(points.maps(times)))
        negligible = float(np.sqrt(np.finfo(self.x_train.dtype).eps)) * spread.scale
        functions = draws(_generator(seed), mean.reshape(len(cov), -1), cov, count, negligible)
        functions = functions.reshape(count, *mean.shape)
        return functions[:, 0] if single else functions

    @cached_property
    def ntk_train(self) -> np.ndarray:
        """Θ on the training points, `[D, D]`."""
        return gram(self.kernel, self.x_train, get="ntk")

    @cached_property
    def nngp_train(self) -> np.ndarray:
        """K on the training points, `[D, D]`."""
        return gram(self.kernel, self.x_train, get="nngp")

    @property
    def _training(self) -> Training:
        return Training(self.rule, self.ridge, self.allow_unstable)

    @cached_property
    def _ntk_filter(self) -> Filter:
        return filter_of(self.ntk_train, self._training, "the NTK on x_train", self.solver)

    @cached_property
    def _nngp_filter(self) -> Filter:
        return filter_of(self.nngp_train, self._training, "the NNGP kernel on x_train", self.solver)

    def _points(self, x_test: Any, kind: str | Variant) -> "_Points":
        """The test points, checked before any kernel is computed, and the kernel that ties them to the training."""
        variant = variant_of(kind)
        x = np.asarray(checked_batch(x_test, "x_test"))
        trained = self._ntk_filter if variant.trained == "ntk" else self._nngp_filter
        cross = gram(self.kernel, x, self.x_train, get=variant.trained).astype(np.float64)
        return _Points(x, variant, trained, cross)

    def _means(self, points: "_Points", times: list[float]) -> np.ndarray:
        """C_t y at every time, shaped like the targets."""
        targets = self.y_train.reshape(len(self.y_train), -1)
        means = points.cross @ points.trained.solutions(times, targets)
        return means.reshape(*means.shape[:2], *self.y_train.shape[1:])

    def _spread(self, points: "_Points") -> Spread:
        variant = points.variant
        drawn = self.ridge if variant.noisy else 0.0
        return Spread(
            _start(variant, lambda get: gram(self.kernel, points.x, get=get), (len(points.x),) * 2),
            _start(variant, lambda get: self._cross(points, get), points.cross.shape),
            _start(variant, lambda get: self.ntk_train if get == "ntk" else self.nngp_train, (len(self.x_train),) * 2),
            float(drawn if self.noise is None else self.noise),
        )

    def _cross(self, points: "_Points", get: Literal["ntk", "nngp"]) -> np.ndarray:
        """A kernel between test and training points; the one of the training is known."""
        return points.cross if get == points.variant.trained else gram(self.kernel, points.x, self.x_train, get=get)


@dataclass(frozen=True)
class _Points:
    """Test points, what is trained, and the trained kernel between test and training points."""

    x: np.ndarray
    variant: Variant
    trained: Filter
    cross: Float[np.ndarray, "n D"]

    def maps(self, times: list[float]) -> Float[np.ndarray, "T n D"]:
        """C_t = Θ(T, X) G_t at every time."""
        return np.swapaxes(self.trained.solutions(times, self.cross.T), 1, 2)

    def in_groups(self, times: list[float]) -> list[list[float]]:
        """The times, as many together as their maps may take memory."""
        size = max(1, _MAPS_BYTES // (8 * self.cross.size))
        return [times[start : start + size] for start in range(0, len(times), size)]


_MAPS_BYTES = 2**28  # of the maps C_t that are held at once


def _start(variant: Variant, kernel: Callable[[Any], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """A = a K + b Θ; kernels with the factor zero are not computed, and one with the factor one is not copied."""
    if {variant.nngp, variant.ntk} == {0.0, 1.0}:
        return kernel("nngp" if variant.nngp else "ntk")
    start = np.zeros(shape)
    for get, factor in (("nngp", variant.nngp), ("ntk", variant.ntk)):
        if factor:
            start += factor * kernel(get)
    return start


def _generator(seed: Any) -> np.random.Generator:
    """NumPy's generator for a seed of its own or a JAX key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(seed)) if isinstance(seed, jax.Array) else seed)

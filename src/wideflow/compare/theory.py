"""What the theory says about the probes: no training, only kernels."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from ..dynamics import Ensemble, GradientDescent, GradientFlow, Rule, Spectrum
from ..dynamics.ensemble import Kind
from ..kernels import Kernel, Kernels
from .network import network
from .probes import Probes
from .settings import Settings, SettingsError

_COVARIANCE_BYTES = 2 * 2**30


class Table:
    """Kernels on a fixed list of points, computed once; its inputs are the points' numbers `[n, 1]`."""

    def __init__(self, kernels: Kernels):
        self.nngp, self.ntk = (np.asarray(k) for k in kernels)

    def __call__(self, x1: Any, x2: Any = None) -> Kernels:
        """Both kernels between the points with these numbers."""
        rows = np.asarray(x1)[:, 0].astype(int)
        columns = rows if x2 is None else np.asarray(x2)[:, 0].astype(int)
        return Kernels(self.nngp[np.ix_(rows, columns)], self.ntk[np.ix_(rows, columns)])


@dataclass(frozen=True)
class Prediction:
    """The trained ensemble at the probes: `mean [T, P]`, `var [T, P]`, and `cov [T, h, h]` on the held-out ones."""

    mean: Float[np.ndarray, "T P"]
    var: Float[np.ndarray, "T P"]
    cov: Float[np.ndarray, "T h h"]

    def loss(self, part: slice, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " T"]:
        """The expected loss E 1/(2n) Σ (f − y)² of a network of the ensemble on a part of the probes."""
        return np.mean((self.mean[:, part] - y) ** 2 + self.var[:, part], axis=1) / 2


class Theory:
    """The infinite network of some settings on some probes, in float64."""

    def __init__(self, settings: Settings, probes: Probes):
        self.settings, self.probes = settings, probes
        self.kernel = Kernel(network(settings, settings.width))  # the width drops out of the kernel
        self.numbers = np.arange(len(probes.x), dtype=np.float64)[:, None]
        self.y = probes.task.y_train

    @cached_property
    def table(self) -> Table:
        """Both kernels on all probes."""
        return Table(self.kernel(self.probes.x))

    @property
    def ntk_train(self) -> Float[np.ndarray, "D D"]:
        """Θ on the training points."""
        return self.table.ntk[self.probes.train, self.probes.train]

    @property
    def nngp_train(self) -> Float[np.ndarray, "D D"]:
        """K on the training points."""
        return self.table.nngp[self.probes.train, self.probes.train]

    @cached_property
    def spectrum(self) -> Spectrum:
        """The eigendecomposition of Θ on the training points, eigenvalues ascending."""
        return Spectrum.of(self.ntk_train, "the NTK on the training points")

    @property
    def top_mode(self) -> Float[np.ndarray, " D"]:
        """The eigenvector of the largest eigenvalue, which sets the critical rate."""
        return self.spectrum.vectors[:, -1]

    @cached_property
    def critical_rate(self) -> float:
        """2/λ_max(Θ/D): gradient descent diverges above it."""
        return float(2 * len(self.y) / self.spectrum.values[-1])

    @cached_property
    def rule(self) -> GradientDescent:
        """Gradient descent at the chosen rate, or half the critical one; SettingsError where it is too large."""
        lr = self.settings.lr or self.critical_rate / 2
        if lr >= self.critical_rate and not self.settings.force:
            raise SettingsError(
                f"--lr {lr:.6g}: at or above the critical rate 2/λ_max = {self.critical_rate:.6g} of this kernel "
                f"and data, so training diverges; use --lr {self.critical_rate / 2:.6g}, or --force to see it happen"
            )
        return GradientDescent(lr)

    @cached_property
    def steps(self) -> list[int]:
        """When snapshots are taken: 0, then about √2 apart, up to the last step."""
        last = self.settings.steps
        ladder = {round(2 ** (k / 2)) for k in range(2 * last.bit_length() + 1)}
        return sorted({0, last} | {step for step in ladder if step < last})

    @property
    def times(self) -> list[float]:
        """The same in units of time, lr × steps."""
        return [self.rule.lr * step for step in self.steps]

    @cached_property
    def ntk(self) -> Prediction:
        """Every parameter trained, step by step as the networks are: the NTK-GP."""
        return self._predict("ntk", self.rule)

    @cached_property
    def flow(self) -> Prediction:
        """The same in continuous time, for a vanishing rate."""
        return self._predict("ntk", GradientFlow())

    @cached_property
    def nngp(self) -> Prediction:
        """Only the last layer trained: the NNGP."""
        return self._predict("nngp", self.rule)

    def _predict(self, kind: Kind, rule: Rule) -> Prediction:
        ensemble = Ensemble(self.table, self.numbers[self.probes.train], self.y, rule, allow_unstable=True)
        g = ensemble.predict(self.numbers, self.times, kind=kind)
        assert g.cov is not None
        held_out = self.probes.held_out
        return Prediction(g.mean, np.diagonal(g.cov, axis1=1, axis2=2), g.cov[:, held_out[:, None], held_out])

    def mode_residuals(
        self, vectors: Float[np.ndarray, "D m"], values: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m T"]:
        """E (vᵀ(f_t − y))² along eigenvectors v of Θ with these eigenvalues: p_t² (vᵀ K v + (vᵀ y)²)."""
        initial = np.sum(vectors * (self.nngp_train @ vectors), axis=0) + (vectors.T @ self.y) ** 2
        left = [self.rule.residual(values / len(self.y), t) ** 2 for t in self.times]
        return np.stack(left, axis=1) * initial[:, None]

    def check_size(self) -> None:
        """SettingsError where the covariances would not fit, before any work."""
        needed = 3 * 8 * len(self.steps) * len(self.probes.x) ** 2
        if needed > _COVARIANCE_BYTES:
            raise SettingsError(
                f"--train {self.settings.train} --test {self.settings.test}: the covariances at {len(self.steps)} "
                f"times need {needed / 2**30:.1f} GiB, the limit is {_COVARIANCE_BYTES / 2**30:.0f} GiB; use fewer "
                "points or steps"
            )

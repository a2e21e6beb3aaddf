"""Eigenvalues of rotation-invariant kernels on the sphere."""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..duals.nodes import legendre_rule
from ..kernels.gram import KernelLike

_NODES = 400  # of Gauss and Legendre in the angle, more for high degrees
_HALVES = ((0.0, np.pi / 2), (np.pi / 2, np.pi))  # of the angle, for targets that jump where t changes sign
_ROUNDING = 64  # eigenvalues smaller than this many roundings, √E P_k² = N^−½ each, are zero
_INVARIANCE = 1e-8  # what rounding may change under a rotation, relative


@dataclass(frozen=True)
class SphereSpectrum:
    """Eigenvalues of k(x, x') = κ(cos ∠(x, x')) over the uniform law on the sphere in d dimensions, by degree.

    Eigenfunctions are spherical harmonics. `eigenvalues [m]`: λ_k of degree k = 0 … m − 1, each of `multiplicity [m]`
    N(d, k); `total`: κ(1) = Σ N λ over all degrees. λ_k = E κ(t) P_k(t), with t the first coordinate of a uniform
    point on the unit sphere and P_k Gegenbauer's polynomial with P_k(1) = 1.

    Accuracy: absolute 1e-15 κ(1), where κ is smooth as a function of the angle, as kernels of ReLU-like networks are.
    Source: Müller, Spherical Harmonics (Funk–Hecke); Bach 2017 for neural kernels.

    >>> from wideflow.beyond import SphereSpectrum
    >>> spectrum = SphereSpectrum.of_function(lambda t: t**2, dimension=3, degrees=4)
    >>> print(spectrum.eigenvalues.round(6) + 0.0, spectrum.multiplicity)
    [0.333333 0.       0.133333 0.      ] [1. 3. 5. 7.]
    """

    dimension: int
    eigenvalues: Float[np.ndarray, " m"]
    multiplicity: Float[np.ndarray, " m"]
    total: float

    @staticmethod
    def of_function(
        function: Callable[[np.ndarray], np.ndarray], dimension: int, degrees: int = 20
    ) -> "SphereSpectrum":
        """Of a NumPy function κ(t) of the cosine, for degrees 0 … degrees − 1."""
        _check(dimension, degrees)
        theta = np.append(_angles(degrees)[0], 0.0)
        return _projected(np.asarray(function(np.cos(theta)), np.float64), dimension, degrees)

    @staticmethod
    def of(
        kernel: KernelLike,
        dimension: int,
        degrees: int = 20,
        get: Literal["ntk", "nngp"] = "ntk",
        radius: float | None = None,
    ) -> "SphereSpectrum":
        """Of `Kernel` on vectors `[n, d]` of length `radius`, by default √d: coordinates of mean square one.

        Errors: ValueError where the kernel changes under a rotation of its inputs.
        """
        _check(dimension, degrees)
        theta = np.append(_angles(degrees)[0], 0.0)
        scale = np.sqrt(dimension) if radius is None else radius
        turned = np.linalg.qr(np.random.default_rng(0).normal(size=(dimension, 2)))[0].T
        few = theta[:: len(theta) // 8]
        points = np.concatenate([_circle(np.eye(dimension)[:2], theta), _circle(turned, few)])
        starts = np.stack([np.eye(dimension)[0], turned[0]])
        matrix = np.asarray(getattr(kernel(scale * points, scale * starts), get), np.float64)  # one compilation
        axes, rotated = matrix[: len(theta), 0], matrix[len(theta) :, 1]
        if not np.allclose(rotated, axes[:: len(theta) // 8], rtol=0, atol=_INVARIANCE * abs(axes[-1])):
            raise ValueError(
                "SphereSpectrum: the kernel changes under rotations of its inputs, so that spherical harmonics are not "
                "its eigenfunctions. Use KernelSpectrum on data"
            )
        return _projected(axes, dimension, degrees)

    def eigenfunctions(self, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m n"]:
        """√N(d, k) P_k(t) of the cosine t with any axis: one eigenfunction of each degree, of mean square one.

        They are those that do not change under rotations about the axis; turning the axis gives all others. The kernel
        is Σ_k λ_k N(d, k) P_k(t).
        """
        return np.sqrt(self.multiplicity)[:, None] * gegenbauer(self.dimension, len(self.eigenvalues), np.asarray(t))

    def coefficients(self, target: Callable[[np.ndarray], np.ndarray]) -> Float[np.ndarray, " m"]:
        """v_k = E g(t) √N(d, k) P_k(t) of a target g(t), a function of one direction, t the first coordinate on the
        unit sphere. With `multiplicity` they are what `EigenLearning` takes; what Σ v_k² lacks of E g² has a higher
        degree and acts as noise.

        Accuracy: as for kernels where g is smooth in the angle but at t = 0, where it may jump or bend.
        """
        halves = [legendre_rule(*ends, _NODES + 2 * len(self.eigenvalues)) for ends in _HALVES]
        theta, weights = (np.concatenate(parts) for parts in zip(*halves, strict=True))
        weights = weights * np.sin(theta) ** (self.dimension - 2)
        values = np.asarray(target(np.cos(theta)), np.float64)
        if values.shape != theta.shape or not np.isfinite(values).all():
            raise ValueError("SphereSpectrum: the target must give one finite number for each cosine")
        return self.eigenfunctions(np.cos(theta)) @ (weights * values) / weights.sum()

    @property
    def tail(self) -> float:
        """Σ N λ over the degrees left out: κ(1) less the trace of those kept."""
        return self.total - float(self.multiplicity @ self.eigenvalues)


def multiplicity(dimension: int, degree: int) -> int:
    """N(d, k), the number of spherical harmonics of degree k on the sphere in d dimensions, exact."""
    below = comb(degree + dimension - 3, dimension - 1) if degree >= 2 else 0
    return comb(degree + dimension - 1, dimension - 1) - below


def gegenbauer(dimension: int, degrees: int, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m n"]:
    """P_k(t) with P_k(1) = 1 for k < degrees: (k + d − 2) P_{k+1} = (2k + d − 2) t P_k − k P_{k−1}."""
    rows = [np.ones_like(t), t]
    for k in range(1, degrees - 1):
        rows.append(((2 * k + dimension - 2) * t * rows[k] - k * rows[k - 1]) / (k + dimension - 2))
    return np.stack(rows[:degrees])


def _angles(degrees: int) -> tuple[np.ndarray, np.ndarray]:
    return legendre_rule(0.0, np.pi, _NODES + 2 * degrees)


def _projected(values: Float[np.ndarray, " n"], dimension: int, degrees: int) -> SphereSpectrum:
    """The spectrum from κ at the nodes, and last at angle zero."""
    theta, weights = _angles(degrees)
    if values.shape != (len(theta) + 1,) or not np.isfinite(values).all():
        raise ValueError("SphereSpectrum: the function must give one finite number for each cosine")
    weights = weights * np.sin(theta) ** (dimension - 2)
    eigenvalues = gegenbauer(dimension, degrees, np.cos(theta)) @ (weights * values[:-1]) / weights.sum()
    counts = np.array([float(multiplicity(dimension, k)) for k in range(degrees)])
    zero = _ROUNDING * np.finfo(np.float64).eps * np.abs(values).max() / np.sqrt(counts)
    eigenvalues = np.where(np.abs(eigenvalues) > zero, eigenvalues, 0.0)
    return SphereSpectrum(dimension, eigenvalues, counts, float(values[-1]))


def _circle(axes: Float[np.ndarray, "2 d"], theta: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Unit vectors at the angles `theta` from the first axis towards the second."""
    return np.stack([np.cos(theta), np.sin(theta)], axis=1) @ axes


def _check(dimension: int, degrees: int) -> None:
    if dimension < 2 or degrees < 1:
        raise ValueError(f"SphereSpectrum: wanted dimension ≥ 2 and degrees ≥ 1, got {dimension} and {degrees}")

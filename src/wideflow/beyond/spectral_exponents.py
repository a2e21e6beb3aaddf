"""Power laws of a kernel's eigenvalues and of a target's coefficients: capacity and source exponents."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..kernels.gram import KernelLike
from .kernel_spectrum import KernelSpectrum
from .slope import Slope, fit_slope

_RANKS = 8  # ranks on a geometric grid
_LARGEST_SHARE = 0.25  # of a part's points; eigenvalues of higher rank are those of the sample


@dataclass(frozen=True)
class SpectralExponents:
    """λ_i ∝ i^−α and Σ_{j ≥ i} v_j² ∝ i^−2αr: the capacity α and the source r of a kernel and a target.

    `eigenvalues`: the fitted exponent −α. `coefficients`: the fitted exponent −2αr of the power left from rank i on.
    Both are `Slope`s with bootstrap intervals over disjoint parts of the data, widened at both ends by what parts
    of half the size change: finite samples make small eigenvalues too large.

    ```python
    exponents = SpectralExponents.fit(wf.Kernel(net), x, y)
    exponents.capacity, exponents.source, exponents.learning
    ```
    Source: Caponnetto & De Vito 2007; Cui, Loureiro, Krzakala & Zdeborová 2021 for `learning`.
    """

    eigenvalues: Slope
    coefficients: Slope

    @staticmethod
    def fit(
        kernel: KernelLike,
        x: Any,
        targets: Any,
        ranks: tuple[int, int] = (3, 50),
        get: Literal["ntk", "nngp"] = "ntk",
    ) -> "SpectralExponents":
        """Fit both over ranks in `ranks`, on as many disjoint parts of the data as allow them, at most 8.

        A part has at least four times as many points as the highest rank, and at least 4 parts are wanted. That a
        spectrum is no power law shows as exponents that move with `ranks`. Cost: an `eigh` of every part.
        Errors: ValueError for shapes, ranks and too few points.
        """
        x, y = np.asarray(x), np.asarray(targets, np.float64)
        low, high = ranks
        parts = min(8, int(len(x) * _LARGEST_SHARE) // max(high, 1))
        if not 1 <= low < high or y.shape != (len(x),) or parts < 4:
            raise ValueError(
                f"SpectralExponents: wanted inputs [M, …], targets [M] and ranks 1 ≤ low < high with M ≥ 16 · high "
                f"(four parts of four times as many points), got {len(x)} inputs, targets {y.shape}, ranks {ranks}"
            )
        grid = np.unique(np.rint(np.geomspace(low, high, _RANKS)).astype(int))
        order = np.random.default_rng(0).permutation(len(x))
        full, half = ([(x[rows], y[rows]) for rows in np.array_split(order, count)] for count in (parts, 2 * parts))
        pairs = zip(_slopes(kernel, full, grid, get), _slopes(kernel, half, grid, get), strict=True)
        return SpectralExponents(*(slope.widened(abs(slope.value - coarse.value)) for slope, coarse in pairs))

    @property
    def capacity(self) -> float:
        """α."""
        return -self.eigenvalues.value

    @property
    def source(self) -> float:
        """r: a target is a typical function of the kernel's space at ½ and smoother above."""
        return -self.coefficients.value / (2 * self.capacity)

    @property
    def learning(self) -> float:
        """2α min(r, 1): the test error without noise and ridge falls as n to minus this."""
        return 2 * self.capacity * min(self.source, 1.0)


def _slopes(kernel: KernelLike, parts: list, grid: np.ndarray, get: Literal["ntk", "nngp"]) -> tuple[Slope, Slope]:
    """Exponents of the eigenvalues and of the power left, from spectra over the parts."""
    values, powers = [], []
    for x, y in parts:
        spectrum = KernelSpectrum.of(kernel, x, get)
        values.append(spectrum.eigenvalues[grid - 1])
        powers.append(np.cumsum(spectrum.coefficients(y)[::-1] ** 2)[::-1][grid - 1])
    return (
        fit_slope(grid, np.stack(values, axis=1), statistic=_mean),
        fit_slope(grid, np.stack(powers, axis=1), statistic=_mean),
    )


def _mean(samples: np.ndarray) -> np.ndarray:
    return samples.mean(axis=-1)

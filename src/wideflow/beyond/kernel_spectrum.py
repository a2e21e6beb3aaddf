"""Eigenvalues and eigenfunctions of a kernel over data."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..kernels import gram
from ..kernels.gram import KernelLike

Matrix = Float[np.ndarray, "_ _"]


@dataclass(frozen=True)
class KernelSpectrum:
    """Eigenvalues and eigenfunctions of a kernel over the uniform law on M points of data (Nyström's method).

    `eigenvalues [M]`: of K/M, largest first; those within rounding of zero are exactly 0. `eigenfunctions [M, M]`:
    φ_i(x_j) as columns, with mean square one over the data, so that K = Σ_i λ_i φ_i φ_iᵀ.

    The leading ones estimate those of the law that the data are drawn from, with an error of order √(λ_1²/M);
    eigenvalues of rank near M are those of the sample alone.

    >>> import numpy as np
    >>> from wideflow.beyond import KernelSpectrum
    >>> x = np.linspace(0, 1, 5)[:, None]
    >>> spectrum = KernelSpectrum.of_gram(np.exp(-np.abs(x - x.T)))
    >>> print(f"{spectrum.eigenvalues.sum():.6f}")
    1.000000
    """

    eigenvalues: Float[np.ndarray, " M"]
    eigenfunctions: Float[np.ndarray, "M M"]

    @staticmethod
    def of(kernel: KernelLike, x: Any, get: Literal["ntk", "nngp"] = "ntk") -> "KernelSpectrum":
        """The spectrum of `Kernel`, `EmpiricalKernel` or anything called like them, over the batch `x`."""
        return KernelSpectrum.of_gram(gram(kernel, x, get=get))

    @staticmethod
    def of_gram(kernel_matrix: Any) -> "KernelSpectrum":
        """The spectrum of a kernel matrix `[M, M]`.

        Cost: one `eigh` in float64. Errors: ValueError for matrices that are not square, symmetric and finite, or have
        an eigenvalue further below zero than rounding explains.
        """
        from scipy.linalg import eigh  # the package itself loads no SciPy

        given = np.asarray(kernel_matrix)
        k = given.astype(np.float64)
        if k.ndim != 2 or k.shape[0] != k.shape[1] or k.size == 0 or not np.isfinite(k).all():
            raise ValueError(f"KernelSpectrum: wanted a finite square kernel matrix, got shape {k.shape}")
        scale = np.abs(k).max()
        rounding = 16 * np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps
        if np.abs(k - k.T).max() > rounding * scale:
            raise ValueError("KernelSpectrum: the kernel matrix is not symmetric")
        values, vectors = eigh((k + k.T) / 2)
        zero = (rounding + len(k) * np.finfo(np.float64).eps) * max(values[-1], 0.0)
        if values[0] < -zero:
            raise ValueError(
                f"KernelSpectrum: the kernel matrix has the eigenvalue {values[0]:.3g}, further below zero than "
                f"rounding explains ({zero:.1g}); it is no kernel matrix"
            )
        values = np.where(values > zero, values, 0.0)[::-1] / len(k)
        return KernelSpectrum(values, vectors[:, ::-1] * np.sqrt(len(k)))

    @property
    def rank(self) -> int:
        """The number of eigenvalues above rounding."""
        return int(np.count_nonzero(self.eigenvalues))

    def coefficients(self, targets: Float[np.ndarray, "M *out"]) -> Float[np.ndarray, "M *out"]:
        """v_i = mean over the data of φ_i y; Σ v_i² is the mean square of the targets."""
        if len(targets) != len(self.eigenvalues):
            raise ValueError(f"coefficients: wanted {len(self.eigenvalues)} targets, got {len(targets)}")
        return self.eigenfunctions.T @ targets / len(targets)

    def extend(self, cross: Float[np.ndarray, "n M"], modes: int) -> Float[np.ndarray, "n modes"]:
        """The first eigenfunctions at new points, φ_i(x) = Σ_j k(x, x_j) φ_i(x_j)/(M λ_i), from `cross` k(x, x_j).

        Errors: ValueError for more modes than `rank`, whose functions are rounding.
        """
        if not 1 <= modes <= self.rank:
            raise ValueError(f"extend: wanted 1 to {self.rank} modes (those above rounding), got {modes}")
        return cross @ self.eigenfunctions[:, :modes] / (len(self.eigenvalues) * self.eigenvalues[:modes])

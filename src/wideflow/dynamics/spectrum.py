"""The eigendecomposition of a kernel matrix on the training points, in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (ascending, never negative) and eigenvectors of a symmetric positive semidefinite matrix.

    `rounding` is the size of an eigenvalue that cannot be told from zero in the dtype the matrix was computed in.
    """

    values: Float[np.ndarray, " D"]
    vectors: Float[np.ndarray, "D D"]
    rounding: float

    @classmethod
    def of(cls, matrix: Any, name: str) -> "Spectrum":
        """Decompose `matrix`; LAPACK in float64, cost about 9 D³ operations.

        Raises ValueError where the matrix is not square, finite, symmetric or positive semidefinite (beyond
        rounding).
        """
        from scipy.linalg import eigh

        matrix, epsilon = checked_symmetric(matrix, name)
        values, vectors = eigh(matrix, driver="evd", check_finite=False)
        rounding = epsilon * len(matrix) * max(values[-1], 0)
        if values[0] < -_INDEFINITE * rounding:
            raise ValueError(
                f"{name}: not positive semidefinite, its smallest eigenvalue is {values[0]:.3e} beside a largest "
                f"of {values[-1]:.3e}, which no kernel matrix can have: look for an error in it"
            )
        return cls(np.maximum(values, 0), vectors, rounding)

    @property
    def null(self) -> Bool[np.ndarray, " D"]:
        """Which eigenvalues are zero within rounding: these modes are never learned."""
        return self.values <= self.rounding


_INDEFINITE = 8  # multiples of the rounding error that a computed eigenvalue may lie below zero


def checked_symmetric(matrix: Any, name: str) -> tuple[Float[np.ndarray, "D D"], float]:
    """The matrix in float64, exactly symmetric, and the machine epsilon of the dtype it came in."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"{name}: wanted a square matrix [D, D], got shape {matrix.shape}")
    epsilon = float(np.finfo(matrix.dtype).eps) if matrix.dtype.kind == "f" else float(np.finfo(float).eps)
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise ValueError(f"{name}: holds NaN or infinity, first in row {row}")
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > _ASYMMETRY * epsilon * np.abs(matrix).max():
        raise ValueError(f"{name}: not symmetric, entries differ from the transpose by up to {asymmetry:.3e}")
    return (matrix + matrix.T) / 2, epsilon


_ASYMMETRY = 1e3  # machine epsilons by which a computed kernel matrix may differ from its transpose

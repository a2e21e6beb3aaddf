"""The eigendecomposition of a kernel matrix on the training points, in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from .duplicates import Groups, kernel_duplicates, named


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (ascending, never negative) and eigenvectors of a symmetric positive semidefinite matrix.

    `rounding` is the size of an eigenvalue that cannot be told from zero in the dtype the matrix was computed in, see
    `rounding_of`.
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
        rounding = rounding_of(len(matrix), epsilon, values[-1])
        check_definite(values[0], values[-1], rounding, name, lambda: kernel_duplicates(matrix))
        return cls(np.maximum(values, 0), vectors, rounding)

    @property
    def null(self) -> Bool[np.ndarray, " D"]:
        """Which eigenvalues are zero within rounding: these modes are never learned."""
        return self.values <= self.rounding


_ENTRIES = 16  # machine epsilons of independent rounding in an entry of a computed kernel; about 1 was measured
_INDEFINITE = 8  # multiples of the rounding error that a computed eigenvalue may lie below zero


def rounding_of(points: int, epsilon: float, largest: float) -> float:
    """The size of an eigenvalue that cannot be told from zero: (16 ε + D ε₆₄) λ_max.

    Independent relative errors c ε of the entries change eigenvalues by about 2 c ε ‖Θ‖_F/√D, which is at most
    2 c ε λ_max whatever D; the second term is LAPACK's own error.
    """
    return (_ENTRIES * epsilon + points * float(np.finfo(np.float64).eps)) * max(float(largest), 0.0)


def check_definite(
    smallest: float, largest: float, rounding: float, name: str, duplicates: Callable[[], Groups] = list
) -> None:
    """Raise ValueError for an eigenvalue further below zero than rounding explains, naming duplicates in the data."""
    if smallest < -_INDEFINITE * rounding:
        equal = named(duplicates())
        raise ValueError(
            f"{name}: not positive semidefinite, its smallest eigenvalue is {smallest:.3e} beside a largest "
            f"of {largest:.3e}, which no kernel matrix can have: look for an error in it"
            + (f" (points that it cannot tell apart: {equal})" if equal else "")
        )


def checked_symmetric(matrix: Any, name: str) -> tuple[Float[np.ndarray, "D D"], float]:
    """The matrix in float64, exactly symmetric, and the machine epsilon of the dtype it came in."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"{name}: wanted a square matrix [D, D], got shape {matrix.shape}")
    epsilon = float(np.finfo(matrix.dtype).eps) if matrix.dtype.kind == "f" else float(np.finfo(float).eps)
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        raise not_finite(matrix, name)
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > ASYMMETRY * epsilon * np.abs(matrix).max():
        raise ValueError(f"{name}: not symmetric, entries differ from the transpose by up to {asymmetry:.3e}")
    return (matrix + matrix.T) / 2, epsilon


ASYMMETRY = 1e3  # machine epsilons by which a computed kernel matrix may differ from its transpose


def not_finite(matrix: np.ndarray, name: str) -> ValueError:
    """The error that names the first row with NaN or infinity."""
    row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
    return ValueError(f"{name}: holds NaN or infinity, first in row {row}")

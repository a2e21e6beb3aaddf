"""A kernel matrix on the training points that is known by its products with vectors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..kernels import gram
from ..kernels.gram import KernelLike
from .duplicates import Groups, equal_rows, kernel_duplicates
from .spectrum import ASYMMETRY, not_finite

FLOAT64 = float(np.finfo(np.float64).eps)
_PANEL_BYTES = 64 * 2**20  # float64 rows of a matrix that are held at once


class Operator(ABC):
    """A symmetric matrix `[D, D]` that is never held in float64, only multiplied with blocks of vectors.

    `epsilon`: the machine epsilon of the dtype that its entries were computed in. `name`: for error messages. Products
    are accumulated in float64. A matrix of your own is a subclass with `product`, or a `ProductOperator`.
    """

    def __init__(self, points: int, epsilon: float, name: str):
        self.points, self.epsilon, self.name = points, epsilon, name

    @abstractmethod
    def product(self, vectors: Float[np.ndarray, "D m"]) -> Float[np.ndarray, "D m"]:
        """The matrix times some vectors, in float64."""

    def duplicates(self) -> Groups:
        """Groups of training points that are known to be equal, each of which makes the matrix singular."""
        return []

    def __len__(self) -> int:
        return self.points

    def checked(self) -> "Operator":
        """Itself, where products with random vectors are finite and symmetric up to rounding.

        |uᵀ(Av) − vᵀ(Au)| of two random vectors is about the Frobenius norm of A − Aᵀ. Raises ValueError with the first
        row that holds NaN or infinity, or with the size of the asymmetry. Cost: one product with two vectors.
        """
        pair = np.random.default_rng(0).standard_normal((len(self), 2))
        products = self.product(pair)
        if not np.isfinite(products).all():
            raise not_finite(products, self.name)
        asymmetry = abs(pair[:, 0] @ products[:, 1] - pair[:, 1] @ products[:, 0])
        scale = np.linalg.norm(products) * np.linalg.norm(pair) / len(self) ** 0.5
        if asymmetry > ASYMMETRY * self.epsilon * scale:
            raise ValueError(f"{self.name}: not symmetric, uᵀAv and vᵀAu of random u, v differ by {asymmetry:.3e}")
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.points:,} points)"


class MatrixOperator(Operator):
    """A matrix in memory or in a memory-mapped file, float32 or float64; a panel of rows is converted at a time.

    Raises ValueError where it is not square.
    """

    def __init__(self, matrix: Any, name: str = "ntk_train"):
        self.matrix = matrix if isinstance(matrix, np.ndarray) else np.asarray(matrix)
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1] or not self.matrix.size:
            raise ValueError(f"{name}: wanted a square matrix [D, D], got shape {self.matrix.shape}")
        floating = self.matrix.dtype.kind == "f"
        super().__init__(len(self.matrix), float(np.finfo(self.matrix.dtype).eps) if floating else FLOAT64, name)

    def product(self, vectors: Float[np.ndarray, "D m"]) -> Float[np.ndarray, "D m"]:
        """2 D² m operations, and one pass through the matrix."""
        result = np.empty(vectors.shape)
        rows = max(1, _PANEL_BYTES // (8 * len(self)))
        for i in range(0, len(self), rows):
            result[i : i + rows] = np.asarray(self.matrix[i : i + rows], dtype=np.float64) @ vectors
        return result

    def duplicates(self) -> Groups:
        """Points whose distance in the kernel is zero within rounding; one pass through the matrix."""
        return kernel_duplicates(self.matrix)


class KernelOperator(Operator):
    """The matrix of a kernel on the points `x [D, …]`, evaluated tile by tile in every product and never held.

    `tile`: rows and columns of a tile; one triangle is evaluated. Every product costs a whole kernel matrix, so hold
    the matrix (`gram`, with `out=` a file) where it fits.
    """

    def __init__(self, kernel: KernelLike, x: Any, get: Literal["ntk", "nngp"] = "ntk", tile: int = 1024):
        self.kernel, self.x, self.tile = kernel, np.asarray(x), tile
        self.get: Literal["ntk", "nngp"] = get
        super().__init__(len(self.x), float(np.finfo(self.x.dtype).eps), f"the {get} of x")

    def product(self, vectors: Float[np.ndarray, "D m"]) -> Float[np.ndarray, "D m"]:
        """D²/2 entries of the kernel and 2 D² m operations."""
        result = np.zeros(vectors.shape)
        for rows, columns, values in self._tiles():
            result[rows] += values @ vectors[columns]
            if rows != columns:
                result[columns] += values.T @ vectors[rows]
        return result

    def duplicates(self) -> Groups:
        """Equal inputs."""
        return equal_rows(self.x)

    def _tiles(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        parts = [slice(i, i + self.tile) for i in range(0, len(self), self.tile)]
        for i, rows in enumerate(parts):
            for columns in parts[i:]:
                other = None if rows == columns else self.x[columns]  # one batch with itself has an exact diagonal
                values = gram(self.kernel, self.x[rows], other, get=self.get, tile=self.tile)
                yield rows, columns, values.astype(np.float64)


class ProductOperator(Operator):
    """A matrix of `points` rows behind a function `[D, m] → [D, m]`.

    `epsilon`: relative rounding of the matrix's entries; for float32 products pass `np.finfo(np.float32).eps`.

    ```python
    tr = wf.Trajectory(ProductOperator(lambda v: features @ (features.T @ v), len(features)), y, rule)
    ```
    """

    def __init__(
        self, product: Callable[[np.ndarray], Any], points: int, epsilon: float = FLOAT64, name: str = "ntk_train"
    ):
        self.function = product
        super().__init__(points, epsilon, name)

    def product(self, vectors: Float[np.ndarray, "D m"]) -> Float[np.ndarray, "D m"]:
        """The function's value, in float64."""
        result = np.asarray(self.function(vectors), dtype=np.float64)
        if result.shape != vectors.shape:
            raise ValueError(f"{self.name}: wanted products of shape {vectors.shape}, got {result.shape}")
        return result


def as_operator(matrix: Any, name: str = "ntk_train") -> Operator:
    """An operator as it is, anything else as the matrix it holds."""
    return matrix if isinstance(matrix, Operator) else MatrixOperator(matrix, name)

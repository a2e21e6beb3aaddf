"""Block Krylov spaces of a kernel matrix, from its products with vectors alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .operator import FLOAT64, Operator

_PANEL = 256  # columns of the basis that lie in one array, so that it grows without being copied
_DEPENDENT = 10.0  # multiples of √D ε below which a new direction is rounding, and is left out


@dataclass(frozen=True)
class Ritz:
    """The kernel matrix restricted to a Krylov space, diagonalised: T = S diag(values) Sᵀ.

    `values [K]`: Ritz values, ascending. `vectors [K, K]`: S. `start [K, o]`: Sᵀ Qᵀ B of the starting block B.
    `boundary [w, K]`: (I − QQᵀ)Θ applied to each Ritz vector, in the basis of the block that comes next.
    """

    values: Float[np.ndarray, " K"]
    vectors: Float[np.ndarray, "K K"]
    start: Float[np.ndarray, "K o"]
    boundary: Float[np.ndarray, "w K"]

    @property
    def tails(self) -> Float[np.ndarray, " K"]:
        """Norms of (Θ − value) applied to the Ritz vectors: an eigenvalue lies within that distance."""
        return np.linalg.norm(self.boundary, axis=0)

    def apply(self, weights: Float[np.ndarray, " K"]) -> Float[np.ndarray, "K o"]:
        """Coefficients Qᵀ g(Θ) B for g with these values at the Ritz values."""
        return self.vectors @ (weights[:, None] * self.start)


class KrylovSpace:
    """span{B, ΘB, Θ²B, …} with an orthonormal basis Q `[D, K]` and T = QᵀΘQ, for a starting block B `[D, o]`.

    Block Lanczos with full reorthogonalisation (twice), so that Q is orthonormal to rounding. Columns of B that depend
    on the others, and directions that are exhausted, are left out. Memory 8 D K bytes; cost per column one product and
    8 D K operations. Source: Golub and Underwood 1977; O'Leary 1980.
    """

    def __init__(self, operator: Operator, start: Float[np.ndarray, "D o"]):
        self.operator, self.start = operator, np.array(start, dtype=np.float64)
        self._panels: list[np.ndarray] = []
        self._used = 0  # columns of the last panel
        self._diagonal: list[np.ndarray] = []
        self._below: list[np.ndarray] = []
        self._block, self._factor = _independent(self.start, np.linalg.norm(self.start, axis=0).max(initial=0.0))
        self.dimension, self.products = 0, 0

    @property
    def exhausted(self) -> bool:
        """Whether the space is invariant: functions of Θ on B are then exact in it."""
        return self._block.shape[1] == 0

    @property
    def width(self) -> int:
        """Columns that the next step adds."""
        return self._block.shape[1]

    def step(self) -> None:
        """Add the next block to the basis: one product with `width` vectors."""
        block = self._block
        image = self.operator.product(block)
        scale = float(np.linalg.norm(image, axis=0).max())
        diagonal = block.T @ image
        self._append(block)
        self._diagonal.append((diagonal + diagonal.T) / 2)
        following, factor = _independent(self._orthogonal(image), scale)
        room = len(self.operator) - self.dimension
        following, factor = following[:, :room], factor[:room]
        if following.shape[1]:
            following, again = np.linalg.qr(self._orthogonal(following))
            factor = again @ factor
        self._block = following
        self._below.append(factor)
        self.products += block.shape[1]

    def ritz(self) -> Ritz:
        """T diagonalised; cost about 9 K³ operations."""
        from scipy.linalg import eigh

        T, at = np.zeros((self.dimension, self.dimension)), 0
        for diagonal, below in zip(self._diagonal, self._below, strict=True):
            end = at + len(diagonal)
            T[at:end, at:end] = diagonal
            rows = T[end : end + len(below), at:end]  # the last block's lie outside of T
            rows[:] = below[: len(rows)]
            at = end
        values, vectors = eigh(T, driver="evd", lower=True, overwrite_a=True, check_finite=False)
        last = self._below[-1]
        boundary = last @ vectors[self.dimension - last.shape[1] :]
        return Ritz(values, vectors, vectors[: len(self._factor)].T @ self._factor, boundary)

    def expand(self, coefficients: Float[np.ndarray, "k m"]) -> Float[np.ndarray, "D m"]:
        """Q times coefficients of its first columns."""
        result, at = np.zeros((len(self.operator), coefficients.shape[1])), 0
        for panel in self._columns():
            part = coefficients[at : at + panel.shape[1]]
            result += panel[:, : len(part)] @ part
            at += panel.shape[1]
        return result

    def _columns(self) -> list[np.ndarray]:
        return [*self._panels[:-1], self._panels[-1][:, : self._used]] if self._panels else []

    def _orthogonal(self, block: np.ndarray) -> np.ndarray:
        """The block less its components in the basis."""
        for panel in self._columns():
            block = block - panel @ (panel.T @ block)
        return block

    def _append(self, block: np.ndarray) -> None:
        count = block.shape[1]
        if not self._panels or self._used + count > self._panels[-1].shape[1]:
            if self._panels:
                self._panels[-1] = self._panels[-1][:, : self._used]
            self._panels.append(np.empty((len(self.operator), max(_PANEL, count)), order="F"))
            self._used = 0
        self._panels[-1][:, self._used : self._used + count] = block
        self._used += count
        self.dimension += count


def _independent(block: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis Q of the columns and R with block = QR, without directions of the size of rounding."""
    from scipy.linalg import qr

    factors: Any = qr(block, mode="economic", pivoting=True, check_finite=False)
    Q, R, order = factors
    small = _DEPENDENT * len(block) ** 0.5 * FLOAT64 * scale
    rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > small))
    factor = np.empty((rank, block.shape[1]))
    factor[:, order] = R[:rank]
    return Q[:, :rank], factor

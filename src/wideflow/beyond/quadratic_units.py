"""The mean field of quadratic units: a closed equation for a matrix, at every width."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

_TOLERANCE = 1e-9  # relative error of the integration in time


@dataclass(frozen=True)
class QuadraticUnits:
    """f(x) = 1/N Σ_i (w_i·x)² = xᵀ A x, trained towards xᵀ A* x on inputs x ~ N(0, C) by the population's flow.

        R = ½ E (f − f*)² = tr(E C E C) + ½ (tr E C)²,  E = A − A*,
        ẇ_i = −N ∂R/∂w_i = −2 G w_i,  G = 2 C E C + tr(E C) C,   so that   Ȧ = −2 (G A + A G).

    The width enters by A(0) = 1/N Σ w_i w_iᵀ alone, which tends to σ² I for w_i ~ N(0, σ² I). This is the mean field of
    `ParticleNetwork` with exponent 1 and infinitely many examples.

    `teacher [d, d]`: A*, symmetric. `covariance [d, d]`: C, positive semi-definite; None: I.
    Errors: ValueError for matrices that are not square, symmetric and finite, or of different sizes, and a covariance
    with a negative eigenvalue. Cost: O(d³) a step of the integration.

    >>> import numpy as np
    >>> from wideflow.beyond import QuadraticUnits
    >>> units = QuadraticUnits(np.diag([1.0, 0.5]))
    >>> bool(units.risk(units.path(np.eye(2), [100.0]))[0] < 1e-12)  # learned
    True
    """

    teacher: Any
    covariance: Any = None

    def __post_init__(self):
        object.__setattr__(self, "teacher", _symmetric(self.teacher, "teacher"))
        if self.covariance is None:
            return
        object.__setattr__(self, "covariance", _symmetric(self.covariance, "covariance"))
        if self._c.shape != self.teacher.shape:
            raise ValueError(f"covariance: wanted the shape of the teacher, {self.teacher.shape}, got {self._c.shape}")
        if np.linalg.eigvalsh(self._c)[0] < -1e-12 * np.abs(self._c).max():
            raise ValueError("covariance: has a negative eigenvalue; no inputs have it")

    def matrix(self, weights: Any) -> Float[np.ndarray, "d d"]:
        """A = 1/N Σ w_i w_iᵀ of weights `[N, d]`."""
        w = np.asarray(weights, np.float64)
        return w.T @ w / len(w)

    def risk(self, matrices: Any) -> Any:
        """R of A `[…, d, d]`, with the ½: tr(E C E C) + ½ (tr E C)²."""
        error = (np.asarray(matrices, np.float64) - self.teacher) @ self._c
        trace = np.trace(error, axis1=-2, axis2=-1)
        return np.einsum("...ij,...ji", error, error) + trace**2 / 2

    def field(self, matrix: np.ndarray) -> np.ndarray:
        """G of A `[…, d, d]`: particles move by ẇ_i = −2 G w_i."""
        error = self._c @ (matrix - self.teacher)
        return 2 * error @ self._c + np.trace(error, axis1=-2, axis2=-1)[..., None, None] * self._c

    def path(self, start: Any, times: Any) -> Float[np.ndarray, "T *networks d d"]:
        """A(t) `[T, …, d, d]` from A(0) = `start [d, d]`, or several `[…, d, d]`, at ascending times from 0 on.

        A root B of A = B Bᵀ follows Ḃ = −2 G B, as the weights do: A keeps its rank and never turns indefinite, where
        rounding in Ȧ would grow without bound. Errors: ValueError for a start that is not positive semi-definite.
        """
        roots = self._solve(self._root_velocity, self._root(start), times)
        return roots @ np.swapaxes(roots, -1, -2)

    def fluctuations(self, x: Any, std: float, times: Any) -> Float[np.ndarray, "T n"]:
        """N Var f_N(x, t) as N → ∞ over draws w_i ~ N(0, σ² I), for inputs `x [n, d]`: `[T, n]`.

        Fluctuations of A(0), of covariance N E δA_ij δA_kl = σ⁴ (δ_ik δ_jl + δ_il δ_jk), are carried along the flow to
        first order: N Var f_N(x, t) = 2 σ⁴ ‖Φ_tᵀ(x xᵀ)‖_F². Here σ is `std`. Cost: O(d⁵) a step.
        Source: the law of large numbers and central limit theorem of Rotskoff & Vanden-Eijnden 2018, in this example.
        """
        x, d = np.asarray(x, np.float64), len(self.teacher)
        basis = _symmetric_basis(d)
        start = np.concatenate([std**2 * np.eye(d)[None], basis])
        seen = self._solve(self._tangent, start, times)[:, 1:]
        return 2 * std**4 * np.sum(np.einsum("ni,tbij,nj->tbn", x, seen, x) ** 2, axis=1)

    def _root_velocity(self, b: np.ndarray) -> np.ndarray:
        return -2 * self.field(b @ np.swapaxes(b, -1, -2)) @ b

    def _tangent(self, state: np.ndarray) -> np.ndarray:
        """Velocities of A, the first of `state`, and of small changes of it, the others."""
        a, changes = state[0], state[1:]
        g, error = self.field(a), self._c @ changes
        trace = np.trace(error, axis1=1, axis2=2)[:, None, None]
        change_of_g = 2 * error @ self._c + trace * self._c
        moved = change_of_g @ a + a @ change_of_g + g @ changes + changes @ g
        return -2 * np.concatenate([(g @ a + a @ g)[None], moved])

    def _solve(self, velocity: Any, start: np.ndarray, times: Any) -> np.ndarray:
        from scipy.integrate import solve_ivp

        t = np.atleast_1d(np.asarray(times, np.float64))
        if t.ndim != 1 or not np.isfinite(t).all() or (np.diff(t) <= 0).any() or t[0] < 0:
            raise ValueError(f"times: wanted ascending times from 0 on, got {times!r}")
        if t[-1] == 0:
            return start[None].copy()
        slope = lambda _, flat: velocity(flat.reshape(start.shape)).ravel()  # noqa: E731
        done = solve_ivp(slope, (0.0, t[-1]), start.ravel(), "DOP853", t, rtol=_TOLERANCE, atol=1e-2 * _TOLERANCE)
        if not done.success:
            raise ValueError(f"QuadraticUnits: the integration failed: {done.message}")
        return done.y.T.reshape(len(t), *start.shape)

    def _root(self, start: Any) -> np.ndarray:
        start = np.asarray(start, np.float64)
        if start.ndim < 2 or start.shape[-2:] != self.teacher.shape or not np.isfinite(start).all():
            raise ValueError(f"start: wanted the shape of the teacher, {self.teacher.shape}, finite, got {start.shape}")
        values, vectors = np.linalg.eigh((start + np.swapaxes(start, -1, -2)) / 2)
        rounding = 1e-14 * len(self.teacher) * np.abs(values).max(axis=-1, keepdims=True)
        if (values < -rounding).any():
            raise ValueError("start: has a negative eigenvalue; 1/N Σ w_i w_iᵀ of no weights does")
        return vectors * np.sqrt(np.where(values > rounding, values, 0))[..., None, :]

    @property
    def _c(self) -> np.ndarray:
        return np.eye(len(self.teacher)) if self.covariance is None else self.covariance


def _symmetric(matrix: Any, name: str) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"{name}: wanted a finite square matrix, got shape {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-12 * max(np.abs(matrix).max(), 1e-300)):
        raise ValueError(f"{name}: wanted a symmetric matrix; a quadratic form sees (M + Mᵀ)/2 alone, pass that")
    return (matrix + matrix.T) / 2


def _symmetric_basis(d: int) -> np.ndarray:
    """An orthonormal basis of the symmetric matrices, `[d(d+1)/2, d, d]`."""
    rows, columns = np.triu_indices(d)
    basis = np.zeros((len(rows), d, d))
    size = np.where(rows == columns, 1.0, 0.5**0.5)
    basis[np.arange(len(rows)), rows, columns] = size
    basis[np.arange(len(rows)), columns, rows] = size
    return basis

"""How alike two kernel matrices are, and how a kernel matrix fits its targets."""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

_SMALLEST = 1e-13  # of a norm: what is left of a centred matrix below this is rounding


def kernel_distance(one: Any, two: Any) -> float:
    """S(K, K') = 1 − tr(K K'ᵀ)/(‖K‖_F ‖K'‖_F): 0 for proportional matrices, at most 1 for two kernels.

    `one`, `two`: matrices `[n1, n2]` of one shape. Evaluated as ½ ‖K/‖K‖ − K'/‖K'‖‖², which keeps the digits of a small
    distance; it is quadratic in the relative change of the kernel. Float64.
    Errors: ValueError for matrices of different shapes, not finite or zero.
    Source: Fort et al. 2020, equation 4.
    """
    one, two = _matched(one, two)
    return _distance(_unit(one, "one"), _unit(two, "two"))


def kernel_velocity(kernels: Any, times: Any) -> Float[np.ndarray, " intervals"]:
    """Distances of successive kernels by time, S(K_i, K_{i+1})/(t_{i+1} − t_i), one for each interval.

    `kernels [T, n1, n2]`, `times [T]` ascending, in units of your own (steps, or lr × steps). S is quadratic in a small
    change, so that values are comparable for equal intervals only.
    Errors: ValueError for fewer than two kernels, times that do not ascend, and as `kernel_distance`.
    Source: Fort et al. 2020, section 3.
    """
    t = np.asarray(times, dtype=np.float64)
    if len(kernels) < 2 or t.shape != (len(kernels),) or not (np.diff(t) > 0).all():
        raise ValueError(
            f"kernel_velocity: wanted at least two kernels and as many ascending times, got {len(kernels)} kernels "
            f"and times {times!r}"
        )
    return np.array([kernel_distance(one, two) for one, two in pairwise(kernels)]) / np.diff(t)


def kernel_alignment(one: Any, two: Any, centred: bool = True) -> float:
    """Centred kernel alignment (CKA): tr(K_c K'_c)/(‖K_c‖_F ‖K'_c‖_F) with K_c = H K H, H = I − 11ᵀ/n.

    `one`, `two`: kernel matrices `[n, n]` on the same inputs. `centred=False`: without H, 1 − `kernel_distance`. In
    [0, 1] for kernels. Float64.
    Errors: ValueError for matrices that are not square and alike, not finite, or constant (zero after centring).
    Source: Cortes, Mohri and Rostamizadeh 2012, definition 4; Kornblith et al. 2019.
    """
    one, two = _matched(_square(one, "one"), _square(two, "two"))
    if centred:
        one, two = _centred(one), _centred(two)
    return 1 - _distance(_unit(one, "one"), _unit(two, "two"))


def target_alignment(kernel: Any, y: Any, centred: bool = False) -> float:
    """How much of a kernel is the one its targets ask for: yᵀ K y/(‖K‖_F ‖y‖²), 1 for K = y yᵀ.

    `kernel [n, n]`; `y [n]` or `[n, out]`, numbers (classes as one-hot rows). For several outputs tr(Yᵀ K Y)/(‖K‖_F
    ‖Y Yᵀ‖_F), which is 1 for K = Y Yᵀ. `centred`: of H K H and H y, H = I − 11ᵀ/n, so that a constant in either counts
    for nothing. Float64.
    Errors: ValueError for a kernel that is not square, targets of another length, and zero or (centred) constant ones.
    Source: Cristianini et al. 2001; Cortes, Mohri and Rostamizadeh 2012.
    """
    kernel = _square(kernel, "kernel")
    targets = np.asarray(y, dtype=np.float64)
    if targets.ndim not in (1, 2) or len(targets) != len(kernel) or not np.isfinite(targets).all():
        raise ValueError(f"y: wanted finite targets [{len(kernel)}] or [{len(kernel)}, out], got shape {targets.shape}")
    targets = targets.reshape(len(targets), -1)
    return kernel_alignment(kernel, _target_kernel(targets, centred), centred)


def _target_kernel(targets: Float[np.ndarray, "n out"], centred: bool) -> Float[np.ndarray, "n n"]:
    seen = targets - targets.mean(axis=0) if centred else targets
    if np.linalg.norm(seen) <= _SMALLEST * np.linalg.norm(targets):
        raise ValueError("y: targets are all equal or zero, nothing is aligned with them; take targets that differ")
    return seen @ seen.T


def effective_rank(kernel: Any) -> float:
    """(tr K)²/‖K‖_F² = (Σλ)²/Σλ², the participation ratio of the eigenvalues: n for the identity, 1 for rank one.

    `kernel [n, n]`, symmetric; no eigenvalues are computed. (The exponential of the eigenvalues' entropy, which has the
    same name, is another number.) Errors: ValueError for a matrix that is not square, not finite or zero.
    """
    kernel = _square(kernel, "kernel")
    return float(np.trace(_unit(kernel, "kernel")) ** 2)


def _matched(one: Any, two: Any) -> tuple[np.ndarray, np.ndarray]:
    one, two = _matrix(one, "one"), _matrix(two, "two")
    if one.shape != two.shape:
        raise ValueError(f"wanted two kernel matrices on the same inputs, got shapes {one.shape} and {two.shape}")
    return one, two


def _matrix(kernel: Any, name: str) -> np.ndarray:
    matrix = np.asarray(kernel, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(
            f"{name}: wanted a finite kernel matrix [n1, n2], got shape {matrix.shape}"
            + ("" if np.isfinite(matrix).all() else " with NaN or infinity")
        )
    return matrix


def _square(kernel: Any, name: str) -> np.ndarray:
    matrix = _matrix(kernel, name)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: wanted a square kernel matrix [n, n] of one batch, got shape {matrix.shape}")
    return matrix


def _centred(matrix: np.ndarray) -> np.ndarray:
    """H K H; exactly zero where only rounding is left."""
    centred = matrix - matrix.mean(axis=0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    left = np.linalg.norm(centred) > _SMALLEST * np.linalg.norm(matrix)
    return centred if left else np.zeros_like(matrix)


def _unit(matrix: np.ndarray, name: str) -> np.ndarray:
    scale = np.abs(matrix).max()  # squares of tiny and huge entries must not underflow or overflow
    if scale == 0:
        raise ValueError(
            f"{name}: the kernel matrix is zero, or constant where centred; it has no direction to compare. "
            "Check that the network depends on its inputs and on the parameters chosen"
        )
    return matrix / scale / np.linalg.norm(matrix / scale)


def _distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.sum((one - two) ** 2) / 2)

"""Targets and outputs handed in by a user, in the form that a loss needs."""

from typing import Any

import numpy as np
from jaxtyping import Float

_ROW_SUM = 1e-5  # by which the probabilities of a row may miss one: rounding of float32 targets


def checked_targets(y_train: Any, points: int) -> np.ndarray:
    """Targets `[D]` or `[D, out]` in float64, finite and as many as the training points."""
    y = np.asarray(y_train, dtype=np.float64)
    if y.ndim not in (1, 2) or len(y) != points:
        raise ValueError(f"y_train: wanted [D] or [D, out] with D = {points} training points, got shape {y.shape}")
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y.reshape(points, -1)).all(axis=1))[0])
        raise ValueError(f"y_train: holds NaN or infinity, first in row {row}")
    return y


def checked_labels(y_train: Any, points: int, classes: int | None) -> Float[np.ndarray, "D k"]:
    """Integer labels `[D]` or probabilities `[D, k]` as probabilities `[D, k]` in float64, rows summing to one."""
    y = np.asarray(y_train)
    if y.ndim == 2 and len(y) == points:
        return _checked_probabilities(y, classes)
    if y.ndim != 1 or len(y) != points:
        raise ValueError(
            f"y_train: wanted integer labels [D] or probabilities [D, k] with D = {points} training points, "
            f"got shape {y.shape}"
        )
    if y.dtype.kind not in "iu":
        raise ValueError(
            f"y_train: labels of classes must be integers, got {y.dtype}; use y.astype(int), or probabilities [D, k]"
        )
    k = int(y.max()) + 1 if classes is None else classes
    wrong = np.flatnonzero((y < 0) | (y >= k))
    if len(wrong):
        raise ValueError(f"y_train: labels must be in 0 … {k - 1}, got {y[wrong[0]]} in row {wrong[0]}")
    _check_classes(k)
    return np.eye(k)[y]


def _checked_probabilities(y: np.ndarray, classes: int | None) -> Float[np.ndarray, "D k"]:
    y = checked_targets(y, len(y))
    if classes is not None and y.shape[1] != classes:
        raise ValueError(f"y_train: wanted {classes} columns, one for each class, got shape {y.shape}")
    _check_classes(y.shape[1])
    sums = y.sum(axis=1)
    wrong = np.flatnonzero((y < 0).any(axis=1) | (np.abs(sums - 1) > _ROW_SUM))
    if len(wrong):
        raise ValueError(
            f"y_train: rows must be probabilities, not negative and of sum 1; row {wrong[0]} is {y[wrong[0]]}. "
            "Labels that are numbers of classes go in as integers of shape [D]"
        )
    return y / sums[:, None]


def _check_classes(k: int) -> None:
    if k < 2:
        raise ValueError(f"y_train: cross-entropy needs at least two classes, got {k}; LogisticLoss has one output")


def checked_signs(y_train: Any, points: int) -> np.ndarray:
    """Targets −1 or +1, `[D]` or `[D, out]`, in float64."""
    y = checked_targets(y_train, points)
    if not np.isin(y, (-1.0, 1.0)).all():
        found = ", ".join(f"{one:g}" for one in np.unique(y)[:5])
        raise ValueError(
            f"y_train: labels of the logistic loss must be -1 or +1, got {found}; for labels 0 and 1 use 2 * y - 1"
        )
    return y


def checked_numbers(y_train: Any, points: int) -> np.ndarray:
    """Finite numbers `[D, …]`, as many as training points; integers stay integers, the rest becomes float64."""
    y = np.asarray(y_train)
    if y.ndim < 1 or len(y) != points or y.dtype.kind not in "iuf":
        raise ValueError(
            f"y_train: wanted numbers [D, …] with D = {points} training points, got shape {y.shape} of {y.dtype}"
        )
    if y.dtype.kind in "iu":
        return y.astype(np.int64)
    return checked_targets(y.reshape(points, -1), points).reshape(y.shape)


def checked_outputs(f: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Outputs at initialisation in float64, zero where None is given; ValueError that names what does not match."""
    f = np.zeros(shape) if f is None else np.asarray(f, dtype=np.float64)
    if f.shape != shape:
        raise ValueError(f"{name}: wanted outputs of shape {shape}, points first, got {f.shape}")
    if not np.isfinite(f).all():
        row = int(np.flatnonzero(~np.isfinite(f.reshape(len(f), -1)).all(axis=1))[0])
        raise ValueError(f"{name}: holds NaN or infinity, first in row {row}")
    return f


def checked_cross(ntk_test_train: Any, points: int) -> Float[np.ndarray, "M D"]:
    """Θ between other points and the training points, in float64."""
    cross = np.asarray(ntk_test_train, dtype=np.float64)
    if cross.ndim != 2 or cross.shape[1] != points:
        raise ValueError(
            f"ntk_test_train: wanted [M, D] with D = {points} training points as its columns, got shape {cross.shape}"
        )
    if not np.isfinite(cross).all():
        row = int(np.flatnonzero(~np.isfinite(cross).all(axis=1))[0])
        raise ValueError(f"ntk_test_train: holds NaN or infinity, first in row {row}")
    return cross

"""The normalised features of a task."""

from dataclasses import dataclass

import numpy as np

from .checks import column_name
from .dataset import Dataset
from .errors import DataError, listed
from .rows import Rows
from .scaling import Scaling, check_scaling, image_scaling, table_scaling


@dataclass(frozen=True, eq=False)
class Features:
    """Normalised rows x_train [D, d], x_test [M, d] float64, their scaling, and what is worth knowing."""

    x_train: np.ndarray
    x_test: np.ndarray
    scaling: Scaling
    names: tuple[str, ...]
    notes: tuple[str, ...]


def features(dataset: Dataset, rows: Rows, drop_constant: bool) -> Features:
    """Return the chosen rows, flat and normalised by the training rows.

    Pictures: each pixel's mean is subtracted, then all are divided by one std: |x|²/d is 1 on average.
    Tables: each feature is standardised; a feature that is constant over the training rows is an error, or is
    dropped with a note.
    """
    x_train = _flat(dataset.x[rows.train])
    x_test = _flat(test_rows(dataset.x, dataset.x_test, rows))
    notes = _duplicate_notes(x_train, x_test)
    names = dataset.feature_names
    constant = np.ptp(x_train, axis=0) == 0
    _check_varies(dataset, constant)
    if constant.any() and not dataset.is_image:
        _check_droppable(dataset, constant, drop_constant)
        notes += (f"dropped constant features: {_named(dataset, constant)}",)
        x_train, x_test = x_train[:, ~constant], x_test[:, ~constant]
        names = tuple(n for n, c in zip(names, constant, strict=True) if not c) if names else ()
    scaling = image_scaling(x_train) if dataset.is_image else table_scaling(x_train)
    check_scaling(f"data set {dataset.name!r}, features", scaling)
    return Features(scaling.apply(x_train), scaling.apply(x_test), scaling, names, notes)


def test_rows(values: np.ndarray, own: np.ndarray | None, rows: Rows) -> np.ndarray:
    """Return the test rows out of the set's own test values, or out of those it also trains on."""
    return own[rows.test] if own is not None and rows.own_test else values[rows.test]


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)  # [n, d]


def _named(dataset: Dataset, constant: np.ndarray) -> str:
    return listed(column_name(int(c), dataset.feature_names) for c in np.flatnonzero(constant))


def _check_varies(dataset: Dataset, constant: np.ndarray) -> None:
    if constant.all():
        raise DataError(
            f"data set {dataset.name!r}: features that vary wanted, all {len(constant)} are constant over "
            "the training rows. Draw more rows or use other data."
        )


def _check_droppable(dataset: Dataset, constant: np.ndarray, drop_constant: bool) -> None:
    if not drop_constant:
        raise DataError(
            f"data set {dataset.name!r}: features that vary over the training rows wanted, constant: "
            f"{_named(dataset, constant)}. Drop them with drop_constant=True (--drop-constant), "
            "or draw more rows."
        )


def _duplicate_notes(x_train: np.ndarray, x_test: np.ndarray) -> tuple[str, ...]:
    """Count rows that repeat an earlier one (a kernel matrix of them is singular)."""
    seen = {row.tobytes() for row in x_train + 0.0}  # + 0.0: minus zero equals zero
    repeated = len(x_train) - len(seen)
    shared = sum(row.tobytes() in seen for row in x_test + 0.0)
    notes = [f"{repeated} of {len(x_train)} training rows repeat the features of an earlier one"] if repeated else []
    notes += [f"{shared} of {len(x_test)} test rows have the features of a training row"] if shared else []
    return tuple(notes)

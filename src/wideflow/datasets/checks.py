"""What arrays must satisfy before they are called a data set."""

import numpy as np

from .errors import DataError, listed


def check_pair(where: str, x: np.ndarray, y: np.ndarray, names: tuple[str, ...] = ()) -> None:
    """Check features x [n, *S] and targets y [n]: shapes, types and finite values."""
    _check_shapes(where, x, y)
    _check_types(where, x, y)
    _check_finite_features(where, x, names)
    _check_finite_target(where, y)


def check_test_pair(where: str, x: np.ndarray, x_test: np.ndarray | None, y_test: np.ndarray | None) -> None:
    """Check that test features and targets come together and that test rows look like training rows."""
    if (x_test is None) != (y_test is None):
        missing = "x_test" if x_test is None else "y_test"
        raise DataError(f"{where}: x_test and y_test belong together, got only one. Add {missing} or drop both.")
    if x_test is not None and x_test.shape[1:] != x.shape[1:]:
        raise DataError(
            f"{where}: training and test rows must have one shape, got {x.shape[1:]} and {x_test.shape[1:]}. "
            "Give both the same features."
        )


def _check_shapes(where: str, x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim < 2 or y.ndim != 1:
        raise DataError(
            f"{where}: features [n, ...] and targets [n] wanted, got shapes {x.shape} and {y.shape}. "
            "Reshape a single feature with x.reshape(-1, 1), one-hot targets with y.argmax(axis=1)."
        )
    if len(x) != len(y):
        raise DataError(
            f"{where}: features and targets must have the same number of rows, "
            f"got {len(x)} and {len(y)}. Remove the rows that lack a partner."
        )
    if x.size == 0:
        raise DataError(f"{where}: at least one row and one feature wanted, got shape {x.shape}. Check the file.")


def _check_types(where: str, x: np.ndarray, y: np.ndarray) -> None:
    if x.dtype.kind not in "buif":
        raise DataError(f"{where}: features must be real numbers, got dtype {x.dtype}. Convert with x.astype(float).")
    if y.dtype.kind not in "buifU":
        raise DataError(
            f"{where}: targets must be real numbers or text labels, got dtype {y.dtype}. "
            "Convert with y.astype(float) or y.astype(str)."
        )


def _check_finite_features(where: str, x: np.ndarray, names: tuple[str, ...]) -> None:
    bad = np.argwhere(~np.isfinite(x)) if x.dtype.kind == "f" else np.empty((0, x.ndim), int)
    if len(bad) == 0:
        return
    columns = f" in {_columns(np.unique(bad[:, 1]), names)}" if x.ndim == 2 else ""
    raise DataError(f"{where}: features must be finite, got NaN or infinity{columns}. {_rows(bad[:, 0])}")


def _check_finite_target(where: str, y: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(y)) if y.dtype.kind == "f" else np.empty(0, int)
    if len(bad):
        raise DataError(f"{where}: targets must be finite, got NaN or infinity. {_rows(bad)}")


def _columns(columns: np.ndarray, names: tuple[str, ...]) -> str:
    return "columns " + listed(column_name(int(c), names) for c in columns)


def column_name(column: int, names: tuple[str, ...]) -> str:
    """Return the quoted name of a feature, or its index (from 0) where the set has no names."""
    return repr(names[column]) if names else str(column)


def _rows(rows: np.ndarray) -> str:
    found = np.unique(rows)
    noun = "row" if len(found) == 1 else "rows"
    return f"{len(found)} bad {noun}, counted from 0: {listed(found)}. Remove these rows or fill in the values."


def check_whole(where: str, argument: str, value: object, least: int) -> None:
    """Check that an argument is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(
            f"{where}({argument}={value!r}): a whole number of at least {least} wanted, got {value!r}. "
            f"Use {argument}={least} or more."
        )

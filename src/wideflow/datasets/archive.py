"""Data sets in NumPy's npz files."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from .dataset import Dataset
from .errors import DataError, listed

KEYS = (("x", "y"), ("X", "y"), ("x_train", "y_train"))
UNREADABLE = (OSError, EOFError, ValueError, BadZipFile, zlib.error, NotImplementedError)


def read_npz(path: Path) -> Dataset:
    """Return the data set in an npz file: x, y or X, y or x_train, y_train, with x_test, y_test if there."""
    return archive_dataset(path.stem, path, read_arrays(path))


def archive_dataset(name: str, path: Path, arrays: dict[str, np.ndarray]) -> Dataset:
    """Return the data set in the arrays of an npz file."""
    pair = next((keys for keys in KEYS if all(key in arrays for key in keys)), None)
    if pair is None:
        raise DataError(
            f"load({str(path)!r}): arrays x, y or X, y or x_train, y_train (and x_test, y_test) wanted, "
            f"found {listed(sorted(arrays), 20) or 'none'}. Save with numpy.savez(path, x=..., y=...)."
        )
    x_test = arrays.get("x_test", arrays.get("X_test"))
    y_test = arrays.get("y_test")
    return Dataset(
        name=name,
        x=_rows(arrays[pair[0]]),
        y=_column(arrays[pair[1]]),
        x_test=None if x_test is None else _rows(x_test),
        y_test=None if y_test is None else _column(y_test),
    )


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an npz file; raises DataError when it is missing, unreadable or holds objects."""
    if not path.is_file():
        raise DataError(f"load({str(path)!r}): an existing file wanted, there is none. Check the path.")
    try:
        # np.load given a path leaves the file open when the archive is broken
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        if "allow_pickle" in str(error) and "Object arrays" in str(error):
            raise _objects(path) from error
        raise _unreadable(path, str(error)) from error
    except (AttributeError, TypeError) as error:  # a bare npy array is no context manager
        raise _unreadable(path, "it holds one bare array") from error


def _objects(path: Path) -> DataError:
    return DataError(
        f"load({str(path)!r}): arrays of numbers wanted, found an array of Python objects, which could "
        "run code when read. Save it again with numpy.savez(path, x=numpy.asarray(x, dtype=float), y=...)."
    )


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(
        f"load({str(path)!r}): a file written by numpy.savez wanted, it cannot be read ({reason}). Write it again."
    )


def _rows(x: np.ndarray) -> np.ndarray:
    return x[:, None] if x.ndim == 1 else x  # [n] -> [n, 1]


def _column(y: np.ndarray) -> np.ndarray:
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y  # [n, 1] -> [n]

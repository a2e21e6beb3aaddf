"""Class labels: which are present, and which two a task is about."""

from collections.abc import Sequence

import numpy as np

from .dataset import Dataset
from .errors import DataError, listed

Label = str | int | float | np.generic

CONTINUOUS = 100  # more distinct values than this, not all whole, are measurements and not classes
FEW = 10  # up to so many distinct values are taken for classes however few rows there are


def class_pair(dataset: Dataset, classes: Sequence[Label] | None) -> tuple[Label, Label]:
    """Return the two targets that `classes` names (number, text or class name; None: the first two there)."""
    values, counts = np.unique(dataset.y, return_counts=True)
    _check_discrete(dataset, values)
    if classes is None:
        classes = [label(dataset, v) for v in values[:2]]
    if len(classes) != 2 or isinstance(classes, str):
        raise DataError(
            f"binary(classes={classes!r}): two classes wanted, got {len(classes)}. "
            f"{_present(dataset, values, counts)} Name two of them."
        )
    first, second = (_find(dataset, values, asked) for asked in classes)
    if first is None or second is None:
        absent = classes[0] if first is None else classes[1]
        raise DataError(
            f"binary(classes={tuple(classes)!r}): class {absent!r} is absent. "
            f"{_present(dataset, values, counts)} Choose two of them."
        )
    if first == second:
        raise DataError(f"binary(classes={tuple(classes)!r}): two different classes wanted, got one twice. Change one.")
    return first, second


def label(dataset: Dataset, value: Label) -> str:
    """Return how a target value is called: its class name where the set has names, else the value."""
    if isinstance(value, str) or not float(value).is_integer():
        return str(value)
    index = int(value)
    return dataset.class_names[index] if 0 <= index < len(dataset.class_names) else str(index)


def is_continuous(y: np.ndarray, values: np.ndarray) -> bool:
    """Whether targets y with these distinct values look like measurements rather than classes."""
    if y.dtype.kind not in "uif":
        return False
    whole = y.dtype.kind != "f" or bool(np.all(values == np.round(values)))
    return (not whole and len(values) > CONTINUOUS) or len(values) > max(len(y) / 2, FEW)


def _find(dataset: Dataset, values: np.ndarray, asked: Label) -> Label | None:
    """Return the target value meant by a name, a number or the text of a number; None when absent."""
    names = [label(dataset, v) for v in values]
    if str(asked) in names:
        return values[names.index(str(asked))]
    number = _number(asked)
    matches = values[values == number] if values.dtype.kind != "U" and number is not None else []
    return matches[0] if len(matches) else None


def _number(asked: Label) -> float | None:
    try:
        return float(asked)
    except ValueError:
        return None


def _present(dataset: Dataset, values: np.ndarray, counts: np.ndarray) -> str:
    pairs = zip(values, counts, strict=True)
    return f"Present (with counts): {listed((f'{label(dataset, v)} ({n})' for v, n in pairs), 20)}."


def _check_discrete(dataset: Dataset, values: np.ndarray) -> None:
    if is_continuous(dataset.y, values):
        raise DataError(
            f"binary(dataset={dataset.name!r}): class labels wanted, got {len(values)} distinct target "
            f'values in {len(dataset.y)} rows. Use regression(dataset), target="regression".'
        )
    if len(values) < 2:
        raise DataError(
            f"binary(dataset={dataset.name!r}): two classes wanted, every row has target {values[0]}. "
            "Use a file with two classes."
        )

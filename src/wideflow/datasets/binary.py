"""Two classes as targets -1 and +1."""

from collections.abc import Sequence

import numpy as np

from .dataset import Dataset
from .features import features, test_rows
from .labels import Label, class_pair, label
from .rows import Draw, binary_rows
from .scaling import IDENTITY
from .task import Task, describe


def binary(
    dataset: Dataset,
    classes: Sequence[Label] | None = None,
    train: int | None = 128,
    test: int | None = 128,
    seed: int = 0,
    drop_constant: bool = False,
) -> Task:
    """Return the task of telling two classes apart: the first becomes -1, the second +1.

    Training rows are balanced between the classes as far as possible, drawn with
    `numpy.random.default_rng(seed)`. Test rows come from the set's own test rows, or else from rows that are
    not trained on. `train` or `test` None: every row there is. `classes` default: the first two present.
    Raises DataError for absent classes, too few rows, measurements in place of labels and constant features.
    """
    pair = class_pair(dataset, classes)
    rows = binary_rows(dataset, pair, Draw("binary", train, test, seed))
    inputs = features(dataset, rows, drop_constant)
    y_train = _signs(dataset.y[rows.train], pair)
    y_test = _signs(test_rows(dataset.y, dataset.y_test, rows), pair)
    names = label(dataset, pair[0]), label(dataset, pair[1])
    return Task(
        name=dataset.name,
        description=describe(f"{names[0]} (-1) or {names[1]} (+1)", inputs.x_train, inputs.x_test, seed),
        x_train=inputs.x_train,
        y_train=y_train,
        x_test=inputs.x_test,
        y_test=y_test,
        scaling=inputs.scaling,
        target_scaling=IDENTITY,
        rows=rows,
        image_shape=dataset.image_shape,
        feature_names=inputs.names,
        classes=names,
        notes=dataset.notes + inputs.notes + _balance_notes(names, y_train, y_test),
    )


def _signs(y: np.ndarray, pair: tuple[Label, Label]) -> np.ndarray:
    return np.where(y == pair[1], 1.0, -1.0)


def _balance_notes(names: tuple[str, str], y_train: np.ndarray, y_test: np.ndarray) -> tuple[str, ...]:
    """Say when the training rows are not balanced, and when the test rows lack a class."""
    second = int(np.sum(y_train > 0))
    first = len(y_train) - second
    notes = [f"training rows are not balanced: {names[0]} {first}, {names[1]} {second}"]
    notes = notes if abs(first - second) > 1 else []
    notes += [f"no test row has class {names[i]}" for i in (0, 1) if not np.any(y_test == (-1.0, 1.0)[i])]
    return tuple(notes)

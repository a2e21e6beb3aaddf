"""A standardised number as target."""

import numpy as np

from .dataset import Dataset
from .errors import DataError
from .features import features, test_rows
from .labels import is_continuous
from .rows import Draw, regression_rows
from .scaling import check_scaling, table_scaling
from .task import Task, describe


def regression(
    dataset: Dataset,
    train: int | None = 128,
    test: int | None = 128,
    seed: int = 0,
    drop_constant: bool = False,
) -> Task:
    """Return the task of predicting the target, standardised by its mean and std over the training rows.

    Rows are drawn uniformly with `numpy.random.default_rng(seed)`. Test rows come from the set's own test
    rows, or else from rows that are not trained on. `train` or `test` None: every row there is.
    `Task.denormalise_target` undoes the standardisation. Raises DataError for text targets, a constant
    target, too few rows and constant features.
    """
    _check_numbers(dataset)
    rows = regression_rows(dataset, Draw("regression", train, test, seed))
    inputs = features(dataset, rows, drop_constant)
    y_train = dataset.y[rows.train].astype(np.float64)
    _check_target_varies(dataset, y_train)
    scaling = table_scaling(y_train)
    check_scaling(f"data set {dataset.name!r}, target", scaling)
    return Task(
        name=dataset.name,
        description=describe("regression", inputs.x_train, inputs.x_test, seed),
        x_train=inputs.x_train,
        y_train=scaling.apply(y_train),
        x_test=inputs.x_test,
        y_test=scaling.apply(test_rows(dataset.y, dataset.y_test, rows).astype(np.float64)),
        scaling=inputs.scaling,
        target_scaling=scaling,
        rows=rows,
        image_shape=dataset.image_shape,
        feature_names=inputs.names,
        notes=dataset.notes + inputs.notes + _label_notes(dataset.y),
    )


def _check_numbers(dataset: Dataset) -> None:
    if dataset.y.dtype.kind == "U":
        raise DataError(
            f"regression(dataset={dataset.name!r}): a numeric target wanted, got text such as "
            f"{str(dataset.y[0])!r}. Use binary(dataset), or convert the target to numbers."
        )


def _check_target_varies(dataset: Dataset, y: np.ndarray) -> None:
    if np.ptp(y) == 0:
        raise DataError(
            f"regression(dataset={dataset.name!r}): a target that varies wanted, it is {y[0]:g} in all "
            f"{len(y)} training rows. Draw more rows or use another target."
        )


def _label_notes(y: np.ndarray) -> tuple[str, ...]:
    """Say when the target looks like class numbers."""
    values = np.unique(y)
    if is_continuous(y, values) or len(values) > 10 or np.any(values != np.round(values)):
        return ()
    return (f"the target has only {len(values)} distinct whole values: perhaps class labels, for binary(...)",)

"""A task: normalised training and test rows, ready for a kernel or a network."""

from dataclasses import dataclass

import numpy as np

from .rows import Rows
from .scaling import Scaling


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """Training rows x_train [D, d], y_train [D] and test rows x_test [M, d], y_test [M], all float64.

    `image_shape` is (height, width, channels) where rows are pictures, else None. `classes` are the labels of
    targets -1 and +1, empty for a regression. `scaling` and `target_scaling` are what was applied to features
    and targets. `rows` says which rows of the data set these are; `notes` what is worth knowing about them.

    >>> from wideflow import datasets
    >>> task = datasets.binary(datasets.load("digits"), classes=(3, 8), train=64, test=32)
    >>> task
    Task('digits': 3 (-1) or 8 (+1), 64 training and 32 test rows of 64 features, seed 0)
    >>> task.denormalise(task.x_train).shape
    (64, 8, 8, 1)
    """

    name: str
    description: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    scaling: Scaling
    target_scaling: Scaling
    rows: Rows
    image_shape: tuple[int, ...] | None = None
    feature_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Task({self.name!r}: {self.description})"

    def denormalise(self, x: np.ndarray) -> np.ndarray:
        """Return rows x [n, d] in raw units; pictures come as [n, height, width, channels]."""
        raw = self.scaling.undo(x)
        return raw if self.image_shape is None else raw.reshape(*x.shape[:-1], *self.image_shape)

    def denormalise_target(self, y: np.ndarray) -> np.ndarray:
        """Return targets or predictions y [n] in the raw units of the data set (-1 and +1 stay)."""
        return self.target_scaling.undo(y)


def describe(target: str, x_train: np.ndarray, x_test: np.ndarray, seed: int) -> str:
    """Return one line about the rows of a task."""
    d = x_train.shape[1]
    noun = "feature" if d == 1 else "features"
    return f"{target}, {len(x_train)} training and {len(x_test)} test rows of {d} {noun}, seed {seed}"

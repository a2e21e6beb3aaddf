"""The points at which networks and theory are compared."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ..datasets import DataError, Task, binary, load, regression
from .settings import Settings

_LINE_POINTS = 33


@dataclass(frozen=True)
class Probes:
    """Training points, test points and a line between two training points, as rows of one array.

    `x [P, d]`; `line_ends`: the rows x₁, x₂ of the training set; on the line x(α) = α x₁ + (1 − α) x₂ for `alpha [A]`.
    Slices `train`, `test`, `line` select the parts; `held_out` the points no network was trained on.
    """

    task: Task
    x: Float[np.ndarray, "P d"]
    line_ends: tuple[int, int]
    alpha: Float[np.ndarray, " A"]

    @classmethod
    def of(cls, task: Task) -> "Probes":
        """The probes of a task; the line joins the first point of the lowest target and the first of the highest."""
        first, second = int(np.argmin(task.y_train)), int(np.argmax(task.y_train))
        alpha = np.linspace(0, 1, _LINE_POINTS)
        line = alpha[:, None] * task.x_train[first] + (1 - alpha[:, None]) * task.x_train[second]
        return cls(task, np.concatenate([task.x_train, task.x_test, line]), (first, second), alpha)

    @property
    def train(self) -> slice:
        """The training points."""
        return slice(0, len(self.task.x_train))

    @property
    def test(self) -> slice:
        """The test points."""
        return slice(self.train.stop, self.train.stop + len(self.task.x_test))

    @property
    def line(self) -> slice:
        """The points on the line."""
        return slice(self.test.stop, len(self.x))

    @property
    def held_out(self) -> Int[np.ndarray, " h"]:
        """Test points and the line without its ends, which are training points."""
        return np.r_[self.test, self.line.start + 1 : self.line.stop - 1]


def task_of(settings: Settings) -> Task:
    """Load the data and make the task; DataError where that cannot be done."""
    dataset, size = load(settings.data), (settings.train, settings.test, settings.seed, settings.drop_constant)
    if settings.target == "regression":
        return regression(dataset, *size)
    try:
        return binary(dataset, settings.classes, *size)
    except DataError as error:
        measurements = settings.target == "auto" and settings.classes is None and 'target="regression"' in str(error)
        if not measurements:
            raise
        return regression(dataset, *size)

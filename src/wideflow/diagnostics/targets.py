"""The targets of a task in the form that a loss and a network's outputs want."""

from typing import Any, NamedTuple

import numpy as np

from ..compare.settings import SettingsError
from ..datasets import Task
from ..dynamics import LogisticLoss, Loss, SoftmaxCrossEntropy, SquareLoss


class Targets(NamedTuple):
    """A loss with training and held-out targets."""

    loss: Loss
    train: Any
    test: Any


def targets_of(task: Task, loss: str, outputs: tuple[int, ...]) -> Targets:
    """For a network whose outputs of one input have this shape.

    "square": the numbers of the task. "cross-entropy", of two classes: the logistic loss of one output, or the softmax
    of two. SettingsError for outputs of another shape, and for cross-entropy without classes.
    """
    single = outputs in ((), (1,))
    if loss == "square":
        if not single:
            raise SettingsError(f"--loss square: the network must have one output for each input, got {list(outputs)}")
        return Targets(SquareLoss(), task.y_train, task.y_test)
    if not task.classes:
        raise SettingsError("--loss cross-entropy: the targets are numbers, not classes; use --loss square")
    if single:
        return Targets(LogisticLoss(), task.y_train, task.y_test)
    if outputs != (2,):
        raise SettingsError(f"--loss cross-entropy: the network must have one output, or two, got {list(outputs)}")
    train, test = ((y > 0).astype(np.int64) for y in (task.y_train, task.y_test))
    return Targets(SoftmaxCrossEntropy(), train, test)

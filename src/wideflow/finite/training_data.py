"""The data of a training run, and how often outputs are right about it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..dynamics import LogisticLoss, Loss, SoftmaxCrossEntropy


@dataclass(frozen=True)
class TrainingData:
    """Training points `x [D, …]` with targets `y` as the loss wants them, and test points where there are any.

    Raises ValueError for one of `x_test`, `y_test` without the other, inputs of another shape or without rows.
    """

    x: Any
    y: Any
    x_test: Any = None
    y_test: Any = None

    def __post_init__(self):
        if (self.x_test is None) != (self.y_test is None):
            raise ValueError("TrainingData: x_test and y_test go together; give both, or neither")
        shapes = [np.shape(x) for x in (self.x, self.x_test) if x is not None]
        if any(not shape or shape[0] == 0 or shape[1:] != shapes[0][1:] for shape in shapes):
            raise ValueError(f"TrainingData: wanted inputs [D, …] and [M, …] of one shape each, got shapes {shapes}")

    @property
    def inputs(self) -> np.ndarray:
        """All inputs, training points first."""
        return np.asarray(self.x) if self.x_test is None else np.concatenate([self.x, self.x_test])


def accuracies(loss: Loss, outputs: Float[np.ndarray, "T n *out"], targets: np.ndarray) -> np.ndarray | None:
    """The share of points whose class the outputs have right, `[T]`; None where targets are not classes.

    `targets`: as `loss.checked` gives them. Classes are: those of cross-entropy, by the largest output; targets −1 and
    +1 of one output or of `LogisticLoss`, by the sign (every output of several tasks counts; an output 0 is wrong); and
    rows of two values of which the larger stands once (one-hot), by the largest output. NaN where outputs are not
    finite.
    """
    if isinstance(loss, SoftmaxCrossEntropy) or _is_one_hot(loss, targets):
        right = outputs.argmax(axis=-1) == targets.argmax(axis=-1)
    elif np.isin(targets, (-1, 1)).all() and (isinstance(loss, LogisticLoss) or targets.size == len(targets)):
        right = np.sign(outputs) == targets
    else:
        return None
    flat = outputs.reshape(len(outputs), -1)
    return np.where(np.isfinite(flat).all(axis=1), right.reshape(len(outputs), -1).mean(axis=1), np.nan)


def _is_one_hot(loss: Loss, targets: np.ndarray) -> bool:
    if isinstance(loss, LogisticLoss) or targets.ndim != 2 or targets.shape[1] < 2:
        return False
    low, *more = np.unique(targets)
    return len(more) == 1 and bool(((targets > low).sum(axis=1) == 1).all())

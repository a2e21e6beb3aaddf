"""What the kernel of a trained network is worth: regression with it, beside the kernel before and the network."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..dynamics import GradientFlow, Loss, Trajectory, suggested_ridge
from .training_data import accuracies


class Score(NamedTuple):
    """Of predictions on held-out points: `error`, the mean square of f − y, and `accuracy`, the share of right classes.

    None where targets have no classes (`accuracies`), or the outputs are not meant to equal the targets.
    """

    error: float | None
    accuracy: float | None


@dataclass(frozen=True)
class AfterKernel:
    """Scores on held-out points: of the trained network, its linearization, and regression with its kernels.

    `before`, `after`: kernel ridge regression of the targets with Θ_0 and with Θ_T, from the training points alone,
    each with the ridge that generalized cross-validation chooses, `ridges`. Where Θ_T is nearly as good as the network
    and better than Θ_0, training has put what it learned into the kernel; in the kernel regime both are alike.
    Source: Long 2021; Fort et al. 2020.
    """

    network: Score
    linearization: Score
    before: Score
    after: Score
    ridges: tuple[float, float]


def kernel_regression(
    ntk_train: Any, ntk_test_train: Any, y_train: Float[np.ndarray, "D *out"], ridge: float | None = None
) -> tuple[Float[np.ndarray, "M *out"], float]:
    """Predictions Θ(x, X) (Θ + rI)⁻¹ y on other points, and the ridge r: that of `suggested_ridge` where None is given.

    `ntk_train [D, D]`, `ntk_test_train [M, D]`. Float64. Errors: those of `Trajectory`. Cost: two `eigh` of size D.
    """
    r = suggested_ridge(ntk_train, y_train) if ridge is None else ridge
    return Trajectory(ntk_train, y_train, GradientFlow(), ridge=r).test(None, ntk_test_train), r


def score(loss: Loss, outputs: Float[np.ndarray, "M *out"], y: Float[np.ndarray, "M *out"], fits: bool) -> Score:
    """The score of outputs against checked targets; `fits`: whether outputs are meant to equal the targets."""
    right = accuracies(loss, outputs[None], y)
    error = float(np.mean((outputs - y) ** 2)) if fits else None
    return Score(error, None if right is None else float(right[0]))

"""Whatever form data come in, as inputs and targets that fit a network."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..dynamics import Loss, SoftmaxCrossEntropy
from .training_data import TrainingData


def examples_of(data: Any) -> TrainingData:
    """`(x, y)`, `(x, y, x_test, y_test)`, `TrainingData` or a task of `wideflow.datasets` as `TrainingData`.

    TypeError for another form.
    """
    if isinstance(data, TrainingData):
        return data
    if isinstance(data, tuple | list):
        if len(data) in (2, 4):
            return TrainingData(*data)
    elif all(hasattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")):
        return TrainingData(data.x_train, data.y_train, data.x_test, data.y_test)
    length = f" of length {len(data)}" if isinstance(data, tuple | list) else ""
    raise TypeError(
        f"data: wanted (x, y), (x, y, x_test, y_test), TrainingData or a task of wideflow.datasets, "
        f"got {type(data).__name__}{length}"
    )


def inputs_in(data: TrainingData, dtype: Any) -> TrainingData:
    """The same with inputs as JAX arrays, floating point ones in a dtype."""
    return replace(data, x=_array(data.x, dtype), x_test=None if data.x_test is None else _array(data.x_test, dtype))


def targets_for(data: TrainingData, loss: Loss, outputs: tuple[int, ...]) -> TrainingData:
    """The same with targets as the loss uses them, for a network whose outputs of one input have this shape.

    Targets `[D]` are `[D, 1]` for outputs `[1]`. ValueError for targets in the wrong form or of another shape.
    """
    y_test = None
    if data.y_test is not None:
        try:
            y_test = _targets(loss, data.y_test, len(data.x_test), outputs)
        except ValueError as error:
            raise ValueError(f"held-out points: {error}") from None
    return replace(data, y=_targets(loss, data.y, len(data.x), outputs), y_test=y_test)


def check_loss(loss: Any, name: str) -> None:
    """TypeError for what is no loss of `wideflow.dynamics`."""
    if not isinstance(loss, Loss):
        raise TypeError(
            f"{name}: wanted a loss, as SquareLoss() or SoftmaxCrossEntropy() of wideflow.dynamics, got {loss!r}; "
            "CustomLoss makes one of a function"
        )


def sized_loss(loss: Loss, outputs: tuple[int, ...]) -> Loss:
    """The loss with as many classes as the network has outputs: some points may lack the last class."""
    if isinstance(loss, SoftmaxCrossEntropy) and loss.classes is None and len(outputs) == 1:
        return SoftmaxCrossEntropy(outputs[0])
    return loss


def _array(x: Any, dtype: Any) -> Any:
    array = jnp.asarray(x)
    return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _targets(loss: Loss, y: Any, points: int, outputs: tuple[int, ...]) -> np.ndarray:
    targets = loss.checked(y, points)
    if loss.output_shape(targets) == () and outputs == (1,):
        targets = targets[:, None]
    if loss.output_shape(targets) != outputs:
        raise ValueError(
            f"data: the network's outputs for one input have shape {outputs}, the targets want "
            f"{loss.output_shape(targets)}; change the last layer, or the shape of the targets"
        )
    return targets

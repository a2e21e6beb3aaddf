"""The tensors of a hierarchy with outputs and targets, checked, as its integration in time starts from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..dynamics.targets import checked_numbers, checked_outputs


@dataclass(frozen=True)
class TrainingTensors:
    """Square loss L = 1/(2D) Σ_α ‖f(x_α) − y_α‖² in float64, every pair of an input and an output being one argument.

    `tensors`: O_2 … O_p, shapes `[P, M]`, `[P, M, M]` …, the M training arguments being the first of the P. `f0 [P]`:
    outputs at the start. `y [M]`. `points`: D, the number of inputs among the M. `shape`: of the outputs as they came
    in. `dtype`: in which O_2 came in, which says how far it may be from a kernel by rounding.
    """

    tensors: tuple[np.ndarray, ...]
    f0: Float[np.ndarray, " P"]
    y: Float[np.ndarray, " M"]
    points: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, tensors: Mapping[int, Any], f0: Any, y_train: Any) -> "TrainingTensors":
        """Check what came in; ValueError for orders with gaps and for shapes that do not match."""
        if sorted(tensors) != list(range(2, len(tensors) + 2)) or not tensors:
            raise ValueError(f"tensors: wanted O_2, O_3 … without gaps, got the orders {sorted(tensors)}")
        y = checked_numbers(y_train, len(y_train)).astype(np.float64)
        f0 = checked_outputs(f0, np.shape(f0), "f0")
        if f0.ndim not in (1, 2) or f0.shape[1:] != y.shape[1:] or len(f0) < len(y):
            raise ValueError(
                f"f0: wanted outputs on the {len(y)} training points first, then on others, each of shape "
                f"{y.shape[1:]} like a target, got shape {f0.shape}"
            )
        axes = y.shape[1:] if y.shape[1:] != (1,) else ()
        arrays = []
        for s in sorted(tensors):
            wanted = (len(f0), *axes) + (s - 1) * (len(y), *axes)
            tensor = checked_outputs(tensors[s], wanted, f"tensors[{s}]")
            arrays.append(tensor.reshape(f0.size, *(s - 1) * [y.size]))
        return cls(tuple(arrays), f0.reshape(-1), y.reshape(-1), len(y), f0.shape, np.asarray(tensors[2]).dtype)


def checked_times(t: Any) -> tuple[Float[np.ndarray, " T"], bool]:
    """Times that are not negative, and whether a single one was given."""
    times = np.atleast_1d(np.asarray(t, dtype=np.float64))
    if times.ndim != 1 or not (times >= 0).all():
        raise ValueError(f"t: wanted a number or one axis of times [T], none negative, got {t!r}")
    return times, np.ndim(t) == 0

"""The outputs of one network along training."""

from typing import Any

import numpy as np

from .filter import Filter
from .rule import Rule
from .times import checked_times


class Trajectory:
    """How a network with the kernel `ntk_train` trains under square loss, at any time, in closed form.

    L = 1/(2D) Σ_α ‖f(x_α) − y_α‖² over the D training points; no division by the number of outputs. With
    Θ̃ = (Θ + ridge I)/D and the rule's filter p_t,

        f_t(x) = f_0(x) − Θ(x, X) (Θ + ridge I)⁻¹ (1 − p_t(Θ̃)) (f_0(X) − y),

    which on the training points without ridge is y + p_t(Θ̃)(f_0(X) − y). Exact for a linear model with this kernel, and
    for networks in the limit of infinite width.

    `ntk_train [D, D]`: Θ on the training points, infinite or empirical. `y_train`: `[D]` or `[D, out]`. `rule`:
    `GradientFlow`, `GradientDescent` … `ridge`: weight decay of strength ridge/D towards the initial parameters.
    `allow_unstable`: permit a learning rate beyond the limit. Results are float64, whatever JAX's flags say.

    Times are lr × steps, or None for infinity; with times `[T]` results have a leading axis T.
    Errors: ValueError for shapes that do not match, a kernel that is not symmetric positive semidefinite, a learning
    rate beyond the limit, negative times. Cost: one `eigh` of size D, then 2 D² a time and output.
    Source: Lee et al. 2019, equations 8 to 11.

    ```python
    tr = wf.Trajectory(kernel.ntk(x_train), y_train, wf.GradientFlow())
    outputs = tr.test([0.0, 1.0, np.inf], kernel.ntk(x_test, x_train))
    ```
    """

    def __init__(self, ntk_train: Any, y_train: Any, rule: Rule, ridge: float = 0.0, allow_unstable: bool = False):
        self.y_train = checked_targets(y_train, len(np.asarray(ntk_train)))
        self.filter = Filter.of(ntk_train, rule, ridge, "ntk_train", allow_unstable)
        self.rule = rule

    def train(self, t: Any, f0: Any = None) -> np.ndarray:
        """Outputs on the training points, `[T, D, out]` less the axes that were not given.

        `f0`: outputs at initialisation, shaped like the targets; None means zero.
        """
        times, single = checked_times(t, self.rule)
        start = self._outputs(f0, len(self.y_train), "f0")
        residual = start - self._columns(self.y_train)
        return self._series([start - self.filter.fit(one, residual) for one in times], single)

    def test(self, t: Any, ntk_test_train: Any, f0_train: Any = None, f0_test: Any = None) -> np.ndarray:
        """Outputs on other points, `[T, M, out]` less the axes that were not given.

        `ntk_test_train [M, D]`: Θ between these points and the training points. `f0_train`, `f0_test`: outputs at
        initialisation on both; None means zero.
        """
        times, single = checked_times(t, self.rule)
        cross = self._checked_cross(ntk_test_train)
        residual = self._outputs(f0_train, len(self.y_train), "f0_train") - self._columns(self.y_train)
        start = self._outputs(f0_test, len(cross), "f0_test")
        return self._series([start - cross @ self.filter.solve(one, residual) for one in times], single)

    def _series(self, outputs: list[np.ndarray], single: bool) -> np.ndarray:
        """Outputs at every time, shaped like the targets."""
        result = np.stack([f.reshape(len(f), *self.y_train.shape[1:]) for f in outputs])
        return result[0] if single else result

    def _checked_cross(self, ntk_test_train: Any) -> np.ndarray:
        cross = np.asarray(ntk_test_train, dtype=np.float64)
        if cross.ndim != 2 or cross.shape[1] != len(self.y_train):
            raise ValueError(
                f"ntk_test_train: wanted [M, D] with D = {len(self.y_train)} training points as its columns, "
                f"got shape {cross.shape}"
            )
        return cross

    def _outputs(self, f0: Any, n: int, name: str) -> np.ndarray:
        shape = (n, *self.y_train.shape[1:])
        f0 = np.zeros(shape) if f0 is None else np.asarray(f0, dtype=np.float64)
        if f0.shape != shape:
            raise ValueError(f"{name}: wanted outputs of shape {shape}, like the targets, got {f0.shape}")
        return self._columns(f0)

    @staticmethod
    def _columns(f: np.ndarray) -> np.ndarray:
        return f.reshape(len(f), -1)


def checked_targets(y_train: Any, points: int) -> np.ndarray:
    """Targets `[D]` or `[D, out]` in float64, finite and as many as the training points."""
    y = np.asarray(y_train, dtype=np.float64)
    if y.ndim not in (1, 2) or len(y) != points:
        raise ValueError(f"y_train: wanted [D] or [D, out] with D = {points} training points, got shape {y.shape}")
    if not np.isfinite(y).all():
        row = int(np.flatnonzero(~np.isfinite(y.reshape(points, -1)).all(axis=1))[0])
        raise ValueError(f"y_train: holds NaN or infinity, first in row {row}")
    return y

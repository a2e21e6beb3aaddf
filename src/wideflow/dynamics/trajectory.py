"""The outputs of one network along training."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .filter import DenseFilter, Training
from .first_time import first_time
from .rule import Rule
from .solver import Solver, filter_of
from .targets import checked_cross, checked_outputs, checked_targets
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
    `allow_unstable`: permit a learning rate beyond the limit. `solver`: `Dense()` or `Krylov(tolerance=…)`, by default
    what `plan` says: the eigenvectors of up to 8,000 points, products alone above, and for an `Operator`, which can
    stand for the matrix. Results are float64, whatever JAX's flags say.

    Times are lr × steps, or None for infinity; with times `[T]` results have a leading axis T.
    Errors: ValueError for shapes that do not match, a kernel that is not symmetric positive semidefinite, a learning
    rate beyond the limit, negative times. Cost: one `eigh` of size D, then 2 D² a time and output; without eigenvectors
    see `KrylovFilter`.
    Source: Lee et al. 2019, equations 8 to 11.

    ```python
    tr = wf.Trajectory(kernel.ntk(x_train), y_train, wf.GradientFlow())
    outputs = tr.test([0.0, 1.0, np.inf], kernel.ntk(x_test, x_train))
    ```
    """

    def __init__(
        self,
        ntk_train: Any,
        y_train: Any,
        rule: Rule,
        ridge: float = 0.0,
        allow_unstable: bool = False,
        solver: Solver | None = None,
    ):
        self.y_train = checked_targets(y_train, len(ntk_train))
        self.filter = filter_of(ntk_train, Training(rule, ridge, allow_unstable), "ntk_train", solver)
        self.rule = rule

    def train(self, t: Any, f0: Any = None) -> np.ndarray:
        """Outputs on the training points, `[T, D, out]` less the axes that were not given.

        `f0`: outputs at initialisation, shaped like the targets; None means zero.
        """
        times, single = checked_times(t, self.rule)
        start = self._outputs(f0, len(self.y_train), "f0")
        residual = start - self._columns(self.y_train)
        return self._shaped(start - self.filter.fits(times, residual), single)

    def test(self, t: Any, ntk_test_train: Any, f0_train: Any = None, f0_test: Any = None) -> np.ndarray:
        """Outputs on other points, `[T, M, out]` less the axes that were not given.

        `ntk_test_train [M, D]`: Θ between these points and the training points. `f0_train`, `f0_test`: outputs at
        initialisation on both; None means zero.
        """
        times, single = checked_times(t, self.rule)
        cross = checked_cross(ntk_test_train, len(self.y_train))
        residual = self._outputs(f0_train, len(self.y_train), "f0_train") - self._columns(self.y_train)
        start = self._outputs(f0_test, len(cross), "f0_test")
        return self._shaped(start - cross @ self.filter.solutions(times, residual), single)

    def dual_weights(self, t: Any, f0: Any = None) -> np.ndarray:
        """a_t = (Θ + ridge I)⁻¹ (1 − p_t(Θ̃)) (f_0 − y), `[T, D, out]` less the axes that were not given.

        All outputs follow from them, f_t(x) = f_0(x) − Θ(x, X) a_t, and the parameters of a network with the
        Jacobian J: θ_t − θ_0 = −Jᵀ a_t (`finite.displacement`).
        """
        times, single = checked_times(t, self.rule)
        residual = self._outputs(f0, len(self.y_train), "f0") - self._columns(self.y_train)
        return self._shaped(self.filter.solutions(times, residual), single)

    def loss(self, t: Any, f0: Any = None) -> Any:
        """The training loss 1/(2D) Σ ‖f_t(x_α) − y_α‖², without the ridge's part: a number, or `[T]`."""
        times, single = checked_times(t, self.rule)
        outputs = self.train(times, f0)
        losses = 0.5 * ((outputs - self.y_train) ** 2).reshape(len(times), -1).sum(axis=1) / len(self.y_train)
        return float(losses[0]) if single else losses

    def modes(self, t: Any, f0: Any = None) -> np.ndarray:
        """What is left of the residual along each eigenvector of Θ, slowest first: Vᵀ (f_t − y), `[T, D, out]`.

        Less the axes that were not given. ValueError where the solver has no eigenvectors (`Krylov`).
        """
        vectors = self._dense().spectrum.vectors
        residual = self.train(t, f0) - self.y_train
        return np.einsum("di,td...->ti..." if np.ndim(t) else "di,d...->i...", vectors, residual)

    def time_to_loss(self, loss: float, f0: Any = None) -> float:
        """The first time at which the training loss is at most `loss`, infinity where it never is.

        For rules that go in steps, the time of a whole step; for continuous ones, to a relative 1e-12. Losses that
        oscillate (momentum) are looked at on times one per cent apart. ValueError where the solver has no
        eigenvectors.
        """
        dense = self._dense()
        residual = self._outputs(f0, len(self.y_train), "f0") - self._columns(self.y_train)
        modes = dense.spectrum.vectors.T @ residual

        def is_reached(t: float) -> bool:
            left = 1 - dense.spectrum.values * dense.weights(t)
            return bool(0.5 * np.sum((left[:, None] * modes) ** 2) / len(modes) <= loss)

        return first_time(self.rule, is_reached, float(dense.rates[-1]))

    def _dense(self) -> DenseFilter:
        if not isinstance(self.filter, DenseFilter):
            raise ValueError("this needs the eigenvectors of ntk_train: pass solver=Dense()")
        return self.filter

    def _shaped(self, outputs: Float[np.ndarray, "T n o"], single: bool) -> np.ndarray:
        """Outputs at every time, shaped like the targets."""
        result = outputs.reshape(*outputs.shape[:2], *self.y_train.shape[1:])
        return result[0] if single else result

    def _outputs(self, f0: Any, n: int, name: str) -> np.ndarray:
        return self._columns(checked_outputs(f0, (n, *self.y_train.shape[1:]), name))

    @staticmethod
    def _columns(f: np.ndarray) -> np.ndarray:
        return f.reshape(len(f), -1)

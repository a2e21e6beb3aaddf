"""Any loss on the outputs of a linear model that is known by its kernel alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .loss import Loss
from .spectrum import check_definite, checked_symmetric, rounding_of
from .targets import checked_cross, checked_outputs


@dataclass(frozen=True)
class DualProblem:
    """Training points, their kernel Θ, targets and a loss: what training under any loss starts from.

    Parameters that start at θ₀ and move along gradients stay at θ = θ₀ − Jᵀ B, with dual weights B `[D, *out]`. So all
    outputs are f(x) = f_0(x) − Θ(x, X) B, and the gradient of L + ridge/(2D) ‖θ − θ₀‖² is Jᵀ (∇ℓ(f) − ridge B)/D:
    training never needs the parameters. Outputs share one kernel, Θ ⊗ I, which is never formed.

    `fastest`: the largest eigenvalue of Θ/D.
    """

    loss: Loss
    theta: Float[np.ndarray, "D D"]
    targets: np.ndarray
    output_shape: tuple[int, ...]
    ridge: float
    fastest: float

    @classmethod
    def of(cls, loss: Any, ntk_train: Any, y_train: Any, ridge: float) -> "DualProblem":
        """Check everything; cost: the eigenvalues of Θ, 4/3 D³ operations.

        Raises TypeError for a loss that is a plain function, ValueError for a kernel that is not square, finite,
        symmetric and positive semidefinite, targets in the wrong form, and a negative ridge.
        """
        from scipy.linalg import eigvalsh

        if not isinstance(loss, Loss):
            raise TypeError(f"loss: wanted a Loss, got {loss!r}; wrap a function of (outputs, target) in CustomLoss")
        if not 0 <= ridge < np.inf:
            raise ValueError(f"ridge={ridge}: must be finite and not negative")
        theta, epsilon = checked_symmetric(ntk_train, "ntk_train")
        targets = loss.checked(y_train, len(theta))
        values = np.asarray(eigvalsh(theta, check_finite=False))
        check_definite(values[0], values[-1], rounding_of(len(theta), epsilon, values[-1]), "ntk_train")
        fastest = max(float(values[-1]), 0.0) / len(theta)
        return cls(loss, theta, targets, loss.output_shape(targets), float(ridge), fastest)

    @property
    def hessian(self) -> float:
        """A bound on the largest eigenvalue of the Hessian of the loss with its ridge, in the directions that train."""
        return self.loss.curvature * self.fastest + self.ridge / len(self.theta)

    def start(self, f0: Any, name: str) -> np.ndarray:
        """Outputs on the training points at initialisation, `[D, *out]`; None means zero."""
        return checked_outputs(f0, (len(self.theta), *self.output_shape), name)

    def test(self, dual: Float[np.ndarray, "T D *out"], ntk_test_train: Any, f0_test: Any) -> np.ndarray:
        """Outputs on other points for several dual weights, `[T, M, *out]`: 2 M D operations a time and output."""
        cross = checked_cross(ntk_test_train, len(self.theta))
        start = checked_outputs(f0_test, (len(cross), *self.output_shape), "f0_test")
        return start - np.moveaxis(np.tensordot(cross, dual, axes=(1, 1)), 0, 1)

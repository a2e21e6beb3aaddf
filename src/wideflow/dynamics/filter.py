"""A training rule applied to a kernel matrix: the one place where the square-loss formulas are evaluated."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .rule import Rule
from .spectrum import Spectrum


@dataclass(frozen=True)
class Training:
    """How a network is trained: a rule, and weight decay of strength ridge/D towards the initial parameters.

    Raises ValueError for a ridge that is negative or not finite.
    """

    rule: Rule
    ridge: float = 0.0
    allow_unstable: bool = False

    def __post_init__(self):
        if not 0 <= self.ridge < np.inf:
            raise ValueError(f"ridge={self.ridge}: must be finite and not negative")

    def check_stable(self, largest: float, name: str) -> None:
        """Raise ValueError for a learning rate beyond the limit at the largest eigenvalue of (Θ + rI)/D."""
        limit = self.rule.max_learning_rate(largest)
        if self.rule.lr >= limit and not self.allow_unstable:
            raise ValueError(
                f"{self.rule!r}: the learning rate is beyond the stability limit {limit:.6g} of {name}; "
                "use a smaller one, or pass allow_unstable=True to see the divergence"
            )


class Filter(ABC):
    """Dual weights of training with the kernel Θ, ridge r and a rule, at any time.

    Training moves the parameters to θ₀ − Jᵀ a_t, with dual weights a_t = G_t (f₀ − y) and
    G_t = (1 − p_t((Θ + rI)/D)) (Θ + rI)⁻¹ on the training points. All outputs follow: f_t = f₀ − Θ(·, X) a_t.

    At t = ∞, and when a mode of the size of rounding would be half learned, eigenvalues that are zero within rounding
    are left out (the pseudo-inverse): such modes are not seen by any test point and are never learned.

    `points`: D. `largest`: the largest eigenvalue of Θ. `rounding`: the size of an eigenvalue that cannot be told from
    zero. Raises ValueError for a learning rate beyond the stability limit.
    """

    def __init__(self, training: Training, points: int, largest: float, rounding: float, name: str = "ntk_train"):
        training.check_stable((largest + training.ridge) / points, name)
        self.rule, self.ridge = training.rule, training.ridge
        self.points, self.rounding, self.name = points, rounding, name

    @abstractmethod
    def solutions(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """G_t · residual at every time."""

    @abstractmethod
    def fits(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """Θ G_t · residual at every time: how far the outputs on the training points have moved."""

    def solve(self, t: float, residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "D o"]:
        """G_t · residual."""
        return self.solutions([t], residual)[0]

    def fit(self, t: float, residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "D o"]:
        """Θ G_t · residual; exact for zero modes."""
        return self.fits([t], residual)[0]

    def weights_at(self, values: Float[np.ndarray, " K"], t: float) -> Float[np.ndarray, " K"]:
        """G_t as a function of eigenvalues of Θ."""
        rates = (np.maximum(values, 0) + self.ridge) / self.points
        if not self.is_late(t):
            return self.rule.progress(rates, t) / self.points
        learned = (values > self.rounding) | (self.ridge > 0)
        return np.where(learned, self.rule.progress(np.where(learned, rates, 1), t), 0) / self.points

    def is_late(self, t: float) -> bool:
        """Whether a mode of the size of rounding would be half learned: from then on it is all rounding."""
        if not np.isfinite(t):
            return True
        blurred = np.array([self.rounding / self.points])
        return bool(self.rule.residual(blurred, t)[0] < 0.5)


class DenseFilter(Filter):
    """The filter through all eigenvectors of the kernel matrix: one `eigh`, then 4 D² operations a time and output."""

    def __init__(self, spectrum: Spectrum, training: Training, name: str = "ntk_train"):
        super().__init__(training, len(spectrum.values), float(spectrum.values[-1]), spectrum.rounding, name)
        self.spectrum = spectrum

    @property
    def rates(self) -> Float[np.ndarray, " D"]:
        """Eigenvalues of (Θ + rI)/D."""
        return (self.spectrum.values + self.ridge) / self.points

    def weights(self, t: float) -> Float[np.ndarray, " D"]:
        """Eigenvalues of G_t."""
        return self.weights_at(self.spectrum.values, t)

    def solutions(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """Every time in one matrix product."""
        return self._from_modes(np.stack([self.weights(t) for t in times]), residual)

    def fits(self, times: Sequence[float], residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "T D o"]:
        """Every time in one matrix product."""
        return self._from_modes(np.stack([self.spectrum.values * self.weights(t) for t in times]), residual)

    def _from_modes(self, weights: Float[np.ndarray, "T D"], residual: Float[np.ndarray, "D o"]) -> np.ndarray:
        """V diag(weights) Vᵀ · residual for all rows of weights."""
        vectors = self.spectrum.vectors
        modes = vectors.T @ residual  # [D, o]
        weighted = weights.T[:, :, None] * modes[:, None]  # [D, T, o]
        outputs = vectors @ weighted.reshape(self.points, -1)
        return np.moveaxis(outputs.reshape(self.points, *weighted.shape[1:]), 1, 0)

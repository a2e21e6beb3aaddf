"""How well a kernel matrix can be trained with: its spectrum, rates, times and duplicates, as numbers and in words."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .duplicates import Groups, named
from .extremes import extremes
from .learning_times import learning_times
from .operator import Operator, as_operator
from .rule import Rule
from .solver import DENSE_POINTS
from .spectrum import checked_symmetric, rounding_of


@dataclass(frozen=True)
class Conditioning:
    """What the spectrum of Θ on the training points says about training with it.

    `eigenvalues [K]`, ascending and as computed: all D of a matrix (`complete`), or the two ends as far as products
    show them. `rounding`: the size of an eigenvalue that cannot be told from zero. `duplicates`: groups of training
    points that the kernel cannot tell apart. Nothing is ever added to a matrix: a ridge is what its user asks for.

    ```python
    report = conditioning(kernel.ntk(x_train))
    print(report)
    report.learning_times(wf.GradientFlow(), 0.9)
    ```
    """

    points: int
    eigenvalues: Float[np.ndarray, " K"]
    complete: bool
    rounding: float
    duplicates: Groups
    ridge: float = 0.0

    @property
    def largest(self) -> float:
        """The largest eigenvalue of Θ; from products, an upper estimate."""
        return float(self.eigenvalues[-1])

    @property
    def smallest(self) -> float:
        """The smallest eigenvalue of Θ as computed; from products, an upper bound of it."""
        return float(self.eigenvalues[0])

    @property
    def singular(self) -> bool:
        """Whether an eigenvalue is zero within rounding: its mode is never learned."""
        return self.smallest <= self.rounding

    @property
    def indefinite(self) -> bool:
        """Whether an eigenvalue is below zero by more than rounding, which no kernel matrix has."""
        return self.smallest < -self.rounding

    @property
    def condition(self) -> float:
        """(λ_max + r)/(λ_min + r); infinite where λ_min + r is zero within rounding. From products, at least this."""
        bottom = self.smallest + self.ridge
        return (self.largest + self.ridge) / bottom if bottom > self.rounding else np.inf

    @property
    def jitter(self) -> float:
        """The smallest ridge with which no eigenvalue is zero within rounding; it is not added."""
        return max(0.0, 2 * self.rounding - self.smallest)

    def stable_ridge(self, accuracy: float = 1e-3) -> float:
        """The smallest ridge for which rounding of Θ changes the dual weights at t = ∞ by at most `accuracy`.

        A change of Θ by E changes (Θ + rI)⁻¹ y by at most ‖E‖/(λ_min + r) of itself, to first order; ‖E‖ is `rounding`.
        Source: Golub and Van Loan, section 2.6. What generalises best is another question: `suggested_ridge`.
        """
        return max(0.0, self.rounding / accuracy - self.smallest)

    def max_learning_rate(self, rule: Rule) -> float:
        """The rate above which the rule diverges."""
        return rule.max_learning_rate((self.largest + self.ridge) / self.points)

    def learning_times(self, rule: Rule, fraction: float = 0.5) -> Float[np.ndarray, " K"]:
        """When a `fraction` of each mode is learned, in the order of `eigenvalues`; infinite for zero modes."""
        learned = self.eigenvalues > self.rounding
        return learning_times(rule, np.where(learned, (self.eigenvalues + self.ridge) / self.points, 0), fraction)

    def __str__(self) -> str:
        least = "" if self.complete else "at most "
        rows = [
            ("points", f"{self.points:,}"),
            ("largest", f"{self.largest:.4g}; 2/λ_max of Θ/D: {2 * self.points / max(self.largest, 1e-300):.4g}"),
            ("smallest", f"{least}{self.smallest:.3e}; zero within rounding below {self.rounding:.1e}"),
            ("condition", f"{'' if self.complete else 'at least '}{self.condition:.2e}, ridge {self.ridge:g}"),
            ("verdict", self._verdict()),
            ("jitter", "none was added" + (f"; {self.jitter:.1e} would be needed" if self.jitter else "")),
            ("ridge", f"{self.stable_ridge():.1e} keeps rounding of the kernel below 0.1 % of the dual weights"),
        ]
        if self.duplicates:
            rows.append(("duplicates", f"the kernel cannot tell apart {named(self.duplicates)}"))
        return "\n".join(f"{name:12}{value}" for name, value in rows)

    __repr__ = __str__

    def _verdict(self) -> str:
        if self.indefinite:
            return "indefinite beyond rounding: no kernel matrix is, look for an error in it"
        if not self.singular:
            return "positive definite" if self.complete else "no zero eigenvalue was met"
        zero = int(np.count_nonzero(self.eigenvalues <= self.rounding))
        return f"singular: {zero if self.complete else 'some'} modes are never learned without ridge"


def conditioning(ntk_train: Any, ridge: float = 0.0) -> Conditioning:
    """The conditioning of a kernel matrix `[D, D]` or an `Operator`, trained with this ridge.

    All eigenvalues of up to 8,000 points; the ends from products above, and for operators. Raises ValueError for a
    matrix that is not square, finite and symmetric; an indefinite one is reported. Cost: 4/3 D³ operations, or 60
    products with 4 vectors.
    """
    operator = as_operator(ntk_train)
    if isinstance(ntk_train, Operator) or len(operator) > DENSE_POINTS:
        ends = extremes(operator.checked())
        smallest = min(ends.smallest, 0.0) if operator.duplicates() else ends.smallest
        values, complete = np.array([smallest, ends.largest + ends.error]), False
    else:
        from scipy.linalg import eigh

        values = eigh(checked_symmetric(ntk_train, operator.name)[0], eigvals_only=True, check_finite=False)
        complete = True
    rounding = rounding_of(len(operator), operator.epsilon, values[-1])
    return Conditioning(len(operator), values, complete, rounding, operator.duplicates(), float(ridge))

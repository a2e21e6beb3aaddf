"""Gradient descent with a learning rate that changes from step to step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
from jaxtyping import Float

from .rule import STEP_TOLERANCE, GradientDescent, Rule

Array = np.ndarray


@dataclass(frozen=True, init=False)
class Schedule(Rule):
    """Full-batch gradient descent with the rates η_1, η_2, … one a step: p_k(λ) = Π_{j ≤ k} (1 − η_j λ).

    Time is the sum of the rates of the steps taken, so that it is that of gradient flow; t = ∞ is the end of the
    schedule, for training that stops early. Steps of one rate in a row cost as much as one step.

    `rates`: positive numbers. `lr` is the largest of them: beyond 2/λ_max single steps enlarge the residual, which a
    schedule may do for a while with `allow_unstable=True`. Raises ValueError for rates that are not positive and
    finite, and for times that are not those of a step.

    ```python
    rule = wf.dynamics.Schedule([1.0] * 100 + [0.1] * 50)
    wf.Trajectory(ntk_train, y_train, rule).train(rule.times)  # after every step
    ```
    """

    rates: tuple[float, ...] = field(default=(), repr=False)

    def __init__(self, rates: Sequence[float]):
        values = tuple(float(rate) for rate in rates)
        if not values or not all(0 < rate < np.inf for rate in values):
            raise ValueError("Schedule: wanted at least one learning rate, all of them positive and finite")
        object.__setattr__(self, "rates", values)
        object.__setattr__(self, "lr", max(values))

    def __repr__(self) -> str:
        return f"Schedule({len(self.rates)} rates, the largest {self.lr:g})"

    @cached_property
    def times(self) -> Float[Array, " T"]:
        """The time after every step, 0 before the first."""
        return np.concatenate([[0.0], np.cumsum(self.rates)])

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """Π (1 − η_j λ) over the steps until `t`."""
        left = np.ones_like(lam, dtype=np.float64)
        for rate, count in self._runs(t):
            left = left * GradientDescent(rate).residual(lam, rate * count)
        return left

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − Π (1 − η_j λ))/λ, as the sum of what every run of equal rates adds."""
        left, total = np.ones_like(lam, dtype=np.float64), np.zeros_like(lam, dtype=np.float64)
        for rate, count in self._runs(t):
            descent = GradientDescent(rate)
            total = total + left * descent.progress(lam, rate * count)
            left = left * descent.residual(lam, rate * count)
        return total

    def max_learning_rate(self, lam_max: float) -> float:
        """2/λ_max, for the largest rate."""
        return 2 / lam_max if lam_max > 0 else np.inf

    def check_time(self, t: float) -> None:
        """Raise ValueError unless `t` is the time after a whole number of steps, or infinite."""
        super().check_time(t)
        self._steps(t)

    def _steps(self, t: float) -> int:
        if not np.isfinite(t):
            return len(self.rates)
        step = int(np.argmin(np.abs(self.times - t)))
        if abs(self.times[step] - t) > STEP_TOLERANCE * max(t, self.rates[0]):
            raise ValueError(
                f"{self!r}: t={t} is not the time after a step; take one of `.times`, the nearest is "
                f"{self.times[step]:.6g}"
            )
        return step

    def _runs(self, t: float) -> list[tuple[float, int]]:
        """Rates in a row that are equal, and how many, until `t`."""
        return [(rate, len(list(steps))) for rate, steps in groupby(self.rates[: self._steps(t)])]

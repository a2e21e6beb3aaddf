"""The largest learning rate at which a network trains, by bisection."""

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..dynamics import GradientDescent, Loss, Rule, SquareLoss, batch_order
from ..finite import Curvature, top_eigenvalues
from .descent import Descent, Model, Network, Tasks, momentum_of, prepared, trainable
from .swept_rates import SMALLEST_LOSS

_TOGETHER = 6  # rates tried in a round, which are one compiled call
_TOLERANCE = 1e-4  # relative, of λ_0
_UNSETTLED = 2.0  # a run that ends above this many times its first loss has not settled


@dataclass(frozen=True, eq=False)
class UpperBoundary:
    """Where training first diverges: between `low` and `high`, in c = ηλ_0. Printable.

    `low` is 0 where the smallest rate diverged, `high` infinite where none did. `c [R]`, ascending: every rate that was
    tried; `diverged [R]`: whether the loss overflowed; `peak [R]`: the largest loss divided by the first; `final [R]`:
    the last one divided by the first. `lam0`: λ_0. Rates above `high` may train again: what follows a large peak is
    chaotic.
    """

    low: float
    high: float
    lam0: float
    c: Float[np.ndarray, " R"]
    peak: Float[np.ndarray, " R"]
    final: Float[np.ndarray, " R"]

    @property
    def diverged(self) -> np.ndarray:
        """Whether the loss overflowed, `[R]`."""
        return np.isinf(self.final)

    @property
    def unsettled(self) -> Float[np.ndarray, " k"]:
        """Rates without an overflow whose last loss was above twice the first: slow to diverge, or slow to settle."""
        return self.c[np.isfinite(self.final) & (self.final > _UNSETTLED)]

    def __str__(self) -> str:
        said = f"diverges first between c = {self.low:.4g} and {self.high:.4g} (η = c/λ₀, λ₀ = {self.lam0:.4g})"
        if len(self.unsettled):
            said += f"; not settled at c = {', '.join(f'{c:.4g}' for c in self.unsettled)}: take more steps"
        return said

    __repr__ = __str__


@dataclass(frozen=True)
class BoundarySearch:
    """The search for the smallest c = ηλ_0 at which a network diverges, within a relative `tolerance`.

    λ_0 is the largest eigenvalue of the Gauss-Newton matrix at the start (of Θ/D for square loss). A rate diverges
    where the loss overflows within `steps` steps, and not where it is large: peaks of a catapult grow like the width.
    `batch`: the size of minibatches, in one order for all rates (`batch_order` of `seed`), whose losses are then those
    that are seen; None for full batches. Rates between `low` and `high` are tried six at a time, evenly in the
    logarithm; the next round's bracket is that around the first that diverges. Runs that end above twice their first
    loss are reported as unsettled: just above a boundary divergence takes longer, like the logarithm of the inverse
    distance.

    Source: Lewkowycz et al. 2020, who find 4 for linear networks, about 12 for ReLU networks on images.

    ```python
    boundary = BoundarySearch(high=20).run(net.apply, params, x, y)
    ```
    """

    loss: Loss = field(default_factory=SquareLoss)
    rule: Rule = field(default_factory=GradientDescent)
    steps: int = 300
    low: float = 1.0
    high: float = 32.0
    tolerance: float = 0.05
    batch: int | None = None
    seed: int = 0

    def __post_init__(self):
        if not (0 < self.low < self.high < np.inf and self.tolerance > 0 and self.steps >= 1):
            raise ValueError(f"BoundarySearch: wanted 0 < low < high, a positive tolerance and steps, got {self!r}")

    def run(self, f: Network, params: Any, x: Any, y: Any) -> UpperBoundary:
        """Search for `f(params, x)` on `x [D, …]` and targets `y` as the loss wants them.

        Cost: `steps` gradients for six rates a round, a round for each factor of seven in the wanted precision.
        """
        moving, rest = trainable(params)
        model = Model(f, moving, rest)
        x, y = prepared(self.loss, model, x, y)
        gauss_newton = Curvature(model, moving, x, y, self.loss).gauss_newton
        lam0 = float(top_eigenvalues(gauss_newton, 1, _TOLERANCE).values[0])
        batches = None
        if self.batch is not None:
            batches = jnp.asarray(batch_order(len(x), self.batch, self.steps + 1, self.seed))
        descent = Descent(model, self.loss, x, y, batches, *momentum_of(self.rule))
        seen = self._tried(descent, lam0, np.geomspace(self.low, self.high, _TOGETHER))
        low, high = _bracket(seen)
        while low > 0 and high < np.inf and high / low > 1 + self.tolerance:
            between = np.geomspace(low, high, _TOGETHER + 2)[1:-1]
            seen = np.concatenate([seen, self._tried(descent, lam0, between)])
            low, high = _bracket(seen)
        seen = seen[np.argsort(seen[:, 0])]
        return UpperBoundary(low, high, lam0, *seen.T)

    def _tried(self, descent: Descent, lam0: float, c: np.ndarray) -> np.ndarray:
        """c, peak and last loss relative to the first, `[k, 3]`; infinite where one overflowed."""
        tasks = Tasks.begin([descent.model.start], np.zeros(len(c), int), c / lam0, self.steps + 1)
        losses = np.asarray(descent.advance(tasks, np.full(len(c), self.steps + 1)).losses, np.float64)
        finite, first = np.isfinite(losses).all(axis=1), np.maximum(losses[:, 0], SMALLEST_LOSS)
        peak, final = (np.where(finite, one / first, np.inf) for one in (losses.max(axis=1), losses[:, -1]))
        return np.stack([c, peak, final], axis=1)


def _bracket(seen: np.ndarray) -> tuple[float, float]:
    """The first rate that diverged, and the last below it: 0 and infinity where there is none."""
    c, final = seen[:, 0], seen[:, 2]
    high = float(np.min(c[np.isinf(final)], initial=np.inf))
    return float(np.max(c[c < high], initial=0.0)), high

"""Sharpness along training, beside the largest that is stable."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..dynamics import Loss, Rule, SquareLoss
from ..finite import Curvature, max_sharpness
from .descent import Descent, Model, Network, Tasks, momentum_of, prepared, trainable

_TOLERANCE = 1e-3  # relative, of the sharpness
_HOVERING = 0.1  # relative distance from the threshold that counts as at the edge


@dataclass(frozen=True, eq=False)
class SharpnessPath:
    """The sharpness λ_max(∂²L/∂θ²) `[R]` after each of `steps [R]`, and the losses before every step, `[T]`. Printable.

    What overflowed is infinite.
    """

    rule: Rule
    steps: Int[np.ndarray, " R"]
    sharpness: Float[np.ndarray, " R"]
    losses: Float[np.ndarray, " T"]

    @property
    def threshold(self) -> float:
        """The largest stable sharpness: 2/η, heavy ball 2(1 + β)/η, Nesterov 2(1 + β)/((1 + 2β)η)."""
        return max_sharpness(self.rule)

    @property
    def ratio(self) -> Float[np.ndarray, " R"]:
        """Sharpness in units of the threshold."""
        return self.sharpness / self.threshold

    @property
    def reached(self) -> int | None:
        """The first recorded step at the edge, within a tenth of the threshold; None where there is none."""
        at_edge = np.flatnonzero(np.abs(self.ratio - 1) <= _HOVERING)
        return int(self.steps[at_edge[0]]) if len(at_edge) else None

    @property
    def rises(self) -> int:
        """In how many steps the loss rose: none in stable descent, many at the edge."""
        return int(np.sum(np.diff(self.losses) > 0))

    def __str__(self) -> str:
        rows = [f"sharpness under {self.rule}; stable below {self.threshold:.4g}"]
        rows.append(f"{'step':>7}{'sharpness':>12}{'ratio':>8}")
        rows += [f"{t:>7}{s:>12.4g}{r:>8.3f}" for t, s, r in zip(self.steps, self.sharpness, self.ratio, strict=True)]
        return "\n".join(rows)

    __repr__ = __str__


@dataclass(frozen=True)
class EdgeOfStability:
    """Full-batch training with the sharpness measured along the way.

    Sharpness rises while it is below 2/η (progressive sharpening) and then hovers about it, while the loss goes up and
    down over short times and falls over long ones; with momentum the edge is that of the rule. A start above the edge
    is the catapult: the sharpness falls below it at once. The quadratic loss of a linearized network knows neither.

    `rule`: `GradientDescent`, `HeavyBall` or `Nesterov`, with its learning rate. `records`: how many evenly spaced
    moments, the start and the end among them.
    Source: Cohen et al. 2021; Damian et al. 2023 (why it hovers).

    ```python
    path = EdgeOfStability(wf.GradientDescent(0.1), steps=1000).run(net.apply, params, x, y)
    path.ratio  # → 1
    ```
    """

    rule: Rule
    steps: int = 1000
    loss: Loss = field(default_factory=SquareLoss)
    records: int = 25

    def __post_init__(self):
        momentum_of(self.rule)
        if self.steps < 1 or self.records < 2:
            raise ValueError(f"EdgeOfStability: wanted at least 1 step and 2 records, got {self!r}")

    def run(self, f: Network, params: Any, x: Any, y: Any) -> SharpnessPath:
        """Train `f(params, x)` on `x [D, …]`, targets `y` as the loss wants them.

        Errors: ValueError for targets in the wrong form and outputs of another shape than the targets.
        Cost: a gradient a step; at each record some tens of products with the Hessian.
        """
        moving, rest = trainable(params)
        model = Model(f, moving, rest)
        x, y = prepared(self.loss, model, x, y)
        descent = Descent(model, self.loss, x, y, None, *momentum_of(self.rule))
        tasks = Tasks.begin([moving], [0], [self.rule.lr], self.steps)
        steps, sharpness = np.unique(np.linspace(0, self.steps, self.records).round().astype(int)), []
        for step in steps:
            tasks = descent.advance(tasks, [step])
            seen = np.asarray(tasks.losses[0, :step], np.float64)
            finite = bool(np.isfinite(seen).all())
            now = Curvature(model, tasks.params_of(0), x, y, self.loss)
            sharpness.append(now.sharpness(_TOLERANCE) if finite else np.inf)
        losses = np.asarray(tasks.losses[0], np.float64)
        return SharpnessPath(self.rule, steps, np.array(sharpness), np.where(np.isfinite(losses), losses, np.inf))

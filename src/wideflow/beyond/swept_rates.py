"""What a sweep over learning rates found: arrays, and a table of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

SMALLEST_LOSS = float(np.finfo(np.float32).tiny)  # where a network starts at its targets, losses are relative to this


@dataclass(frozen=True, eq=False)
class Moment:
    """Networks after `steps [C]` steps at each rate; the other arrays are `[W, M, S, C]`, infinite where it diverged.

    `loss`: on all training points. `curvature`: the largest eigenvalue of the Gauss-Newton matrix, and `ntk`: that of
    Θ/D, both divided by the same at the start; equal for square loss. `kernel_change`: ‖Θ − Θ_0‖_F/‖Θ_0‖_F, averaged
    over outputs. `accuracy`: share of test points (training points where none were given) whose largest output is at
    the largest target, or with one output has the target's sign; NaN where training diverged.
    """

    steps: Int[np.ndarray, " C"]
    loss: Float[np.ndarray, "W M S C"]
    curvature: Float[np.ndarray, "W M S C"]
    ntk: Float[np.ndarray, "W M S C"]
    kernel_change: Float[np.ndarray, "W M S C"]
    accuracy: Float[np.ndarray, "W M S C"]


@dataclass(frozen=True, eq=False)
class SweptRates:
    """A sweep over c = ηλ_0: W widths, M models, S networks a width, C rates. Printable, medians over networks.

    `models`: "network", or "Taylor k". `lam0 [W, S]`: the largest eigenvalue of the Gauss-Newton matrix at the start,
    of Θ/D for square loss. `losses [W, M, S, C, T]`: the loss of every step's batch before the step, not finite after
    an overflow. `equal_steps`: after all steps; `equal_time`: after the time η × steps that the smallest rate ends at.
    """

    c: Float[np.ndarray, " C"]
    widths: tuple[int, ...]
    models: tuple[str, ...]
    lam0: Float[np.ndarray, "W S"]
    losses: Float[np.ndarray, "W M S C T"]
    equal_steps: Moment
    equal_time: Moment

    @property
    def diverged(self) -> np.ndarray:
        """Whether the loss overflowed, `[W, M, S, C]`."""
        return ~(np.isfinite(self.losses).all(axis=-1) & np.isfinite(self.equal_steps.loss))

    @property
    def peak(self) -> Float[np.ndarray, "W M S C"]:
        """The largest loss of any step divided by the first, infinite where it overflowed."""
        largest = np.maximum(np.nanmax(self.losses, axis=-1), self.equal_steps.loss)
        return np.where(self.diverged, np.inf, largest / np.maximum(self.losses[..., 0], SMALLEST_LOSS))

    @property
    def eta_curvature(self) -> Float[np.ndarray, "W M S C"]:
        """ηλ at the end, λ the largest eigenvalue of the Gauss-Newton matrix: c λ/λ_0."""
        return self.c * self.equal_steps.curvature

    def __str__(self) -> str:
        end, time = self.equal_steps, self.equal_time
        head = f"{'':46}{'after equal steps':<46}after equal time\n"
        head += f"{'width':>6} {'model':10}{'c':>6} {'diverged':>9}{'peak':>10}"
        head += f"{'loss':>12}{'λ/λ₀':>9}{'ηλ':>9}{'ΔΘ':>9}{'acc':>7}{'loss':>14}{'λ/λ₀':>9}{'acc':>7}"
        rows = [head]
        for w, width in enumerate(self.widths):
            for m, model in enumerate(self.models):
                for i, c in enumerate(self.c):
                    at = (w, m, slice(None), i)
                    share = f"{self.diverged[at].sum()}/{self.lam0.shape[1]}"
                    row = f"{width:>6} {model:10}{c:>6.3g} {share:>9}{_median(self.peak[at]):>10.3g}"
                    row += f"{_median(end.loss[at]):>12.3g}{_median(end.ntk[at]):>9.3g}"
                    row += f"{_median(self.eta_curvature[at]):>9.3g}{_median(end.kernel_change[at]):>9.2g}"
                    row += f"{_median(end.accuracy[at]):>7.3f}{_median(time.loss[at]):>14.3g}"
                    rows.append(row + f"{_median(time.ntk[at]):>9.3g}{_median(time.accuracy[at]):>7.3f}")
        return "\n".join(rows)

    __repr__ = __str__


def _median(values: np.ndarray) -> float:
    """The lower median, which infinities do not make NaN; NaN where nothing else is there."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2])
